import { expect } from 'chai';
import { chats, hangs, startBackend, type Backend } from '../support/backend.ts';
import { measured } from '../support/measured.ts';
import type { LogLine, TestProcess } from '../support/process.ts';
import { startSystem, until, type System } from '../support/system.ts';

/** What is promised; a test on a busy machine allows ten times as much. */
const HAND_OVER_MS = 5_000;
const TIMES = 10;
const TASKS = 20;

/** In this order: each begins with the schedulers that the one before has left. */
describe('two schedulers', function () {
  this.timeout(120_000);
  let t: System;
  let own: Backend;
  let heirs: Backend;
  let leader: TestProcess;
  let standby: TestProcess;
  const leads = (line: LogLine): boolean => line.event === 'leader.changed' && line['leading'] === true;
  const resigned = (line: LogLine): boolean => line.event === 'leader.changed' && line['leading'] === false;
  const untilLogged = (process: TestProcess, fits: (line: LogLine) => boolean) =>
    until(
      async () => process.lines.some(fits),
      (yes) => yes,
      HAND_OVER_MS * TIMES,
    );
  const submit = async (llm: string): Promise<string> => {
    const request = { messages: [{ role: 'user', content: 'hi' }] };
    const answer = await t.call('POST', '/api/v1/tasks', { body: { llm, request } });
    return ((await answer.json()) as { id: string }).id;
  };
  const ended = (id: string) =>
    until(
      () => t.task(id),
      (task) => task.status === 'completed',
      60_000,
    );
  const posts = (backend: Backend): number => backend.requests.filter((r) => r.method === 'POST').length;
  /** Tasks that run at a worker which is killed; resolves when the first of them was requeued. */
  const killTheirWorker = async (pool: string): Promise<string[]> => {
    const doomed = await t.startWorker([
      { name: `${pool}-1`, poolName: pool, maxConcurrency: TASKS, backend: own },
    ]);
    const before = posts(own);
    const ids = await Promise.all(Array.from({ length: TASKS }, () => submit(pool)));
    await until(
      async () => posts(own) - before,
      (n) => n === TASKS,
    );
    await t.startWorker([{ name: `heir-${pool}`, poolName: pool, backend: heirs }]);
    await doomed.kill('SIGKILL');
    await until(
      async () => [leader, standby].some(({ lines }) => lines.some((l) => ids.includes(String(l['taskId'])))),
      (yes) => yes,
      30_000,
    );
    return ids;
  };
  const ranOnceMore = async (ids: readonly string[]): Promise<void> => {
    for (const id of ids) {
      const task = await ended(id);
      expect(task).to.include({ crashes: 1, attempts: 0 });
      expect(task.claimedLlm).to.match(/^heir/);
      expect(task.attemptLog).to.have.length(2);
    }
  };

  before(async () => {
    t = await startSystem();
    [own, heirs] = await Promise.all([startBackend(), startBackend()]);
    own.reply(hangs());
    heirs.reply(chats(['from the sibling'], { intervalMs: 10 }));
    leader = t.scheduler;
    standby = await t.startScheduler({ standby: true });
  });
  after(async () => {
    await t.close();
    await Promise.all([own.close(), heirs.close()]);
  });

  it('lose nothing and do nothing twice while both lead', async () => {
    expect(standby.lines.some(leads)).to.equal(false);
    // A lease is gone as soon as it was taken: whoever asks finds it free, so both hold it.
    const { db } = t.sandbox.connection;
    await db.raw(`create function free_lease() returns trigger language plpgsql as
      $$ begin delete from leases where name = new.name; return null; end $$`);
    await db.raw(`create trigger free_lease after insert or update on leases
      for each row when (new.name = 'scheduler') execute function free_lease()`);
    try {
      await untilLogged(standby, leads);
      await ranOnceMore(await killTheirWorker('doomed'));
      expect(posts(heirs)).to.equal(TASKS);
      expect([leader, standby].some(({ lines }) => lines.some(resigned))).to.equal(false);
    } finally {
      await db.raw('drop trigger free_lease on leases');
    }
    // One of the two is left with it.
    const [first] = await until(
      async () => [leader, standby].filter(({ lines }) => !lines.some(resigned)),
      (left) => left.length === 1,
      HAND_OVER_MS * TIMES,
    );
    if (first === standby) [leader, standby] = [standby, leader];
  });

  it('hand over within five seconds when the leader is SIGKILLed, in the middle of its reaping', async function () {
    const asked = posts(heirs);
    const led = standby.lines.filter(leads).length;
    const ids = await killTheirWorker('damned');
    await leader.kill('SIGKILL');
    await measured(this, () =>
      until(
        async () => standby.lines.filter(leads).length,
        (n) => n > led,
        HAND_OVER_MS * TIMES,
      ),
    );
    await ranOnceMore(ids);
    expect(posts(heirs)).to.equal(asked + TASKS);
  });

  it('hand over when the leader is stopped; when it goes on it finds that it leads no longer', async function () {
    leader = standby;
    standby = await t.startScheduler({ standby: true });
    const resignations = leader.lines.filter(resigned).length;
    leader.child.kill('SIGSTOP');
    await measured(this, () => untilLogged(standby, leads));
    leader.child.kill('SIGCONT');
    await until(
      async () => leader.lines.filter(resigned).length,
      (n) => n > resignations,
      HAND_OVER_MS * TIMES,
    );
    const id = await submit('damned');
    await ended(id);
    expect(standby.lines.some(resigned)).to.equal(false);
  });
});
