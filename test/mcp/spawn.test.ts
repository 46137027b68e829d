import { execFile, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { until } from '../support/system.ts';
import { fixture, supervise, type Supervision } from './supervise.ts';

const script = fileURLToPath(new URL('short-lived.ts', import.meta.url));
const crowded = fileURLToPath(new URL('crowded.ts', import.meta.url));
const tsx = createRequire(import.meta.url).resolve('tsx');

describe('a worker that ends, or can start nothing, at the worst moment', function () {
  this.timeout(30_000);
  let servers: Supervision;
  before(() => void (servers = supervise()));
  after(() => servers.close());

  const run = (what: string, started: string): Promise<string> =>
    new Promise((resolve) => {
      const args = ['-c', 'ulimit -n 128; exec "$@"', 'sh', process.execPath, '--import', tsx, script];
      const stays = what === 'killed' ? ['--stays', '--deaf'] : [];
      const server = [process.execPath, fixture, ...stays, '--started', servers.at(started)];
      // It is killed, or says what went wrong.
      execFile('/bin/sh', [...args, what, ...server], { timeout: 20_000 }, (_error, stdout) =>
        resolve(stdout),
      );
    });

  it('leaves no child that nobody watches: what the guard does not know of yet runs nothing', async () => {
    const printed = await run('killed', 'killed');
    const group = Number(/^group (\d+)$/m.exec(printed)?.[1]);
    expect(group).to.be.above(1);
    await until(
      () => Promise.resolve(isThere(group)),
      (there) => !there,
    );
    expect(servers.lines('killed'), 'the program never ran').to.deep.equal([]);
  });

  it('says that there is no room for a process, nor for a command or npm, and starts one when there is again', async () => {
    const printed = await run('full', 'full');
    const why = 'could not be started (EMFILE: its worker may have no more files open; raise ulimit -n)';
    expect(printed.replace(/^exit/m, 'refused').split('\n').slice(0, 5)).to.deep.equal([
      ...['full', `refused ${why}`, `The wake command ${why}.`, `npm ${why}.`, 'answered {}'],
    ]);
    expect(servers.lines('full')).to.have.lengthOf(1);
  });

  it('says that its user may have no more processes, goes on with the servers that run, and starts one once it may', async function () {
    // Of whom there is nothing else; who is not root is held to limits as they are.
    const other = process.getuid?.() === 0 ? 61_234 : undefined;
    const worker = fork(crowded, [String(other)], { execArgv: ['--import', tsx] });
    const ended = once(worker, 'exit');
    const hear = async (): Promise<unknown> => {
      const [what] = (await Promise.race([once(worker, 'message'), ended])) as unknown[];
      return what;
    };
    const may = (processes: string): void => {
      const args = ['--pid', String(worker.pid), `--nproc=${processes}:`];
      execFileSync('prlimit', args, other === undefined ? {} : { uid: other, gid: other });
      worker.send('on');
    };
    try {
      expect(await hear()).to.deep.equal(['nothing']);
      may('1');
      expect(await hear()).to.deep.equal([
        'it could not be started (EAGAIN: its user may have no more processes; raise ulimit -u, or end some) (tried again in 1 s)',
        'failed',
        'nothing',
      ]);
      may('4096');
      expect(await hear()).to.deep.equal(['nothing', 'ready', 'nothing']);
      worker.send('on');
      await ended;
    } finally {
      worker.kill('SIGKILL');
    }
  });
});

/** Whether anybody of a process group is there. */
function isThere(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch {
    return false;
  }
}
