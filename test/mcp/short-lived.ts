/** A worker that is killed between the start of a child and the word to its guard, or that has no file descriptors left. */
import { openSync, closeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { install } from '../../worker/install/install.ts';
import { Child } from '../../worker/mcp/child.ts';
import { GroupGuard } from '../../worker/children/guard.ts';
import { runCommand } from '../../worker/wake/command.ts';
import { why } from './supervise.ts';

const [what = '', command = '', ...args] = process.argv.slice(2);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

class Late extends GroupGuard {
  override watch(group: number): Promise<void> {
    if (what !== 'killed') return super.watch(group);
    say(`group ${String(group)}`);
    process.kill(process.pid, 'SIGKILL');
    return Promise.resolve();
  }
}

const guard = new Late();
const start = (): Child =>
  new Child({
    ...{ command, args, cwd: undefined, env: {}, secrets: new Map(), guard },
    onExit: (why) => say(`exit ${why}`),
    onListChanged: () => undefined,
    onUpdated: () => undefined,
  });

const full: number[] = [];
if (what === 'full') {
  try {
    for (;;) full.push(openSync('/dev/null', 'r'));
  } catch {
    say('full');
  }
}
try {
  start();
} catch (thrown) {
  say(`refused ${thrown instanceof Error ? thrown.message : String(thrown)}`);
}
const nobody = new AbortController().signal;
const waking = { kind: 'wake', signal: nobody, environment: process.env, guard };
const waked =
  what === 'full' ? runCommand({ type: 'command', command, args, maxWaitSeconds: 5 }, waking) : null;
const spare = full.pop();
if (spare !== undefined) closeSync(spare); // a folder is read before npm is started
const root = join(dirname(args.at(-1) ?? ''), 'installed');
const installing =
  spare === undefined
    ? null
    : why(install({ name: 'server', version: '1.0.0' }, { root, environment: process.env, now: 0 }));
for (const file of full) closeSync(file);
if (waked) {
  say(String(await waked));
  say(String(await installing));
  const child = start();
  const how = { withinMs: 10_000, signal: nobody };
  const answered = await child.request('ping', {}, how);
  say(`answered ${JSON.stringify('result' in answered ? answered.result : answered.error)}`);
  await child.stop();
  guard.end();
  process.exit(); // whatever still waits for the npm that never was
}
