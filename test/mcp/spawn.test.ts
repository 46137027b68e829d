import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { until } from '../support/system.ts';
import { fixture, supervise, type Supervision } from './supervise.ts';

const script = fileURLToPath(new URL('short-lived.ts', import.meta.url));
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

  it('says that there is no room for a process, and starts one when there is again', async () => {
    const printed = await run('full', 'full');
    expect(printed).to.match(/^full\n(refused|exit) could not be started \(E[A-Z]+\)\n/);
    expect(printed).to.include('answered {}');
    expect(servers.lines('full')).to.have.lengthOf(1);
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
