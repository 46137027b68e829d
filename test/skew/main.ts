import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureAdmin } from '../../core/registry/bootstrap.ts';
import { createRegistry } from '../../core/registry/registry.ts';
import { pause } from '../../core/runtime/clock.ts';
import { chats, startBackend } from '../support/backend.ts';
import { startProcess, type TestProcess } from '../support/process.ts';
import { sandbox } from '../support/sandbox.ts';

/**
 * The release before and this one, one of each process of both, over one Redis and one Postgres that this one has migrated:
 * callers at both edges, streamed and whole, and each stream resumed at the other edge from its middle.
 *
 *   REDIS_URL=… DATABASE_URL=… npm run skew -- <folder of a built checkout of the release before> [rounds]
 */
const [older = '', rounds = '20'] = process.argv.slice(2);
const token = 'mcpctl_skew-0123456789-0123456789-0123';
const words = ['a', 'b', 'c', 'd', 'e', 'f'];
const request = { messages: [{ role: 'user', content: 'hi' }] };

try {
  await access(join(older, 'dist/edge/main.js'));
} catch {
  process.stderr.write('skew: name a folder in which the release before is built (npm ci; npm run build).\n');
  process.exit(2);
}

const box = await sandbox();
const registry = createRegistry(box.connection);
await ensureAdmin(registry, token);
const env = {
  DATABASE_URL: box.databaseUrl,
  REDIS_URL: box.redisUrl,
  MCPCTL_REDIS_NAMESPACE: box.namespace,
  MCPCTL_PG_SCHEMA: box.schema,
  MCPCTL_HOST: '127.0.0.1',
};
const backend = await startBackend();
backend.reply(chats(words, { intervalMs: 20 }));
const processes: TestProcess[] = [];
const homes: string[] = [];
const start = (entry: string, more: Record<string, string> = {}, args: string[] = []): TestProcess => {
  const started = startProcess(entry, { args, env: { ...env, ...more } });
  processes.push(started);
  return started;
};
const edges: string[] = [];
for (const folder of [older, '.']) {
  const edge = start(join(folder, 'dist/edge/main.js'), { PORT: '0' });
  edges.push(
    `http://127.0.0.1:${String((await edge.next(({ msg }) => msg === 'the edge listens'))['port'])}`,
  );
  await start(join(folder, 'dist/scheduler/main.js')).event('service.ready');
}
const workers = [older, '.'].flatMap((folder) => edges.map((url) => ({ folder, url })));
for (const [n, { folder, url }] of workers.entries()) {
  const home = await mkdtemp(join(tmpdir(), 'mcpctl-skew-'));
  homes.push(home);
  const offer = { type: 'openai', model: 'tiny', publish: true, url: backend.url, maxConcurrency: 4 };
  const providers = [{ ...offer, name: `desk${String(n)}`, poolName: 'desk' }];
  await writeFile(join(home, 'config.json'), JSON.stringify({ providers }));
  await writeFile(join(home, 'credentials'), JSON.stringify({ mcpdUrl: url, token }), { mode: 0o600 });
  // One in two of each release takes its tasks over Redis, where its edge lets it.
  const way = n % 2 === 0 ? {} : { REDIS_URL: '' };
  await start(join(folder, 'dist/worker/main.js'), { MCPCTL_HOME: home, ...way }, ['run']).event(
    'service.ready',
  );
}

const counts = new Map<string, number>();
const count = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
const ask = (at: string, path: string, body?: object): Promise<Response> =>
  fetch(at + path, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
const idsIn = (text: string): string[] => [...text.matchAll(/^id: ?(\S+)/gm)].map(([, id = '']) => id);
const saidIn = (text: string): string =>
  [...text.matchAll(/"content":"(\w)"/g)].map(([, word = '']) => word).join('');

async function streamed(at: string, other: string, of: string): Promise<void> {
  const answer = await ask(at, '/api/v1/llms/desk/infer', { ...request, stream: true });
  const text = await answer.text();
  if (answer.status !== 200) return count(`${of}: ${String(answer.status)} ${text.slice(0, 80)}`);
  count(saidIn(text) === words.join('') && text.includes('[DONE]') ? `${of}: whole` : `${of}: TORN`);
  const [, second = ''] = idsIn(text);
  const id = answer.headers.get('x-mcpctl-task-id') ?? '';
  const resumed = await ask(other, `/api/v1/tasks/${id}/stream?after=${second}`);
  const rest = await resumed.text();
  if (resumed.status !== 200) return count(`${of}, resumed at the other: ${String(resumed.status)}`);
  const isRest = saidIn(text).endsWith(saidIn(rest)) && saidIn(rest) !== '' && rest.includes('[DONE]');
  count(isRest ? `${of}, resumed at the other: well` : `${of}, resumed at the other: TORN`);
}

for (let round = 0; round < Number(rounds); round += 1) {
  await Promise.all(
    edges.flatMap((at, n) => {
      const other = edges[1 - n] ?? '';
      const of = n === 0 ? 'older edge' : 'newer edge';
      const whole = ask(at, '/api/v1/llms/desk/infer', request).then(async (answer) => {
        const text = await answer.text();
        count(
          `${of}: whole call ${String(answer.status)}${answer.status === 200 ? '' : ` ${text.slice(0, 80)}`}`,
        );
      });
      const later = ask(at, '/api/v1/tasks', { llm: 'desk', request }).then((answer) =>
        count(`${of}: async ${String(answer.status)}`),
      );
      return [streamed(at, other, of), streamed(at, other, of), whole, later];
    }),
  );
}
let open = -1;
for (let n = 0; n < 200 && open !== 0; n += 1) {
  open = (await registry.tasks.openOlderThan(0, { after: null, limit: 1_000 })).length;
  if (open !== 0) await pause(100);
}
count(`tasks open at the end: ${String(open)}`);
const ended = processes.filter(({ child }) => child.exitCode !== null).length;
count(`processes that ended: ${String(ended)}`);
for (const [what, n] of [...counts].sort()) process.stdout.write(`${String(n).padStart(5)}  ${what}\n`);
await Promise.all(processes.map((one) => one.kill('SIGKILL')));
await backend.close();
await box.close();
await Promise.all(homes.map((home) => rm(home, { recursive: true, force: true })));
const isWell = open === 0 && ended === 0 && ![...counts.keys()].some((what) => /TORN|: [45]\d\d/.test(what));
process.exit(isWell ? 0 : 1);
