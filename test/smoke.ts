/**
 * `npm run smoke -- --url --token`: the main job against any running system. A temporary worker publishes a
 * scripted backend under a random name; it is called, stopped, and everything it made is removed again.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { createEdge, saying, type Edge } from './smoke/edge.ts';
import { mustBe } from './smoke/failure.ts';
import { walk } from './smoke/path.ts';
import { createPublisher } from './smoke/publisher.ts';
import { createSteps } from './smoke/steps.ts';
import { readTarget, usage, type Target } from './smoke/target.ts';
import { startBackend } from './support/backend.ts';

const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function smoke(target: Target, stop: AbortSignal): Promise<void> {
  const step = createSteps(print, stop);
  const edge = createEdge(target);
  const name = `smoke-${randomBytes(4).toString('hex')}`;
  const folder = await mkdtemp(join(tmpdir(), 'mcpctl-smoke-'));
  const backend = await startBackend();
  const agent = `${name}-agent`;
  const publisher = createPublisher(target, { name, agent, backendUrl: backend.url, folder });
  const failures: unknown[] = [];
  try {
    await walk({ target, edge, backend, publisher, name, agent, step });
  } catch (thrown) {
    failures.push(thrown);
  }
  try {
    // Also after an interruption.
    await createSteps(print, new AbortController().signal)('nothing is left of it', async () => {
      await publisher.stop();
      await remove(edge, `agents/${agent}`);
      await remove(edge, `llms/${name}`);
    });
  } catch (thrown) {
    failures.push(thrown);
  }
  await backend.close();
  await rm(folder, { recursive: true, force: true });
  mustBe(failures.length === 0, failures.map(messageOf).join('\n'));
}

/** Where it never came to a row, there is nothing to remove. */
async function remove(edge: Edge, what: string): Promise<void> {
  const deleted = await edge.call('DELETE', `/api/v1/${what}`).catch(() => undefined);
  if (!deleted || deleted.status === 401) return; // then there was no way to make a row either
  mustBe([204, 404].includes(deleted.status), `${what} could not be deleted: ${saying(deleted)}`);
  const left = await edge.call('GET', `/api/v1/${what}`);
  mustBe(left.status === 404, `${what} is still there: ${saying(left)}`);
}

async function main(): Promise<number> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
  try {
    const target = await readTarget(process.argv.slice(2), process.env);
    if (!target) {
      print(usage);
      return 0;
    }
    await smoke(target, stop.signal);
    print('The system works.');
    return 0;
  } catch (thrown) {
    process.stderr.write(`\n${messageOf(thrown)}\n`);
    return 1;
  }
}

process.exit(await main());
