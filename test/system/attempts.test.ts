import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { answers, chats, hangs, startBackend, type Backend, type Script } from '../support/backend.ts';
import { onEachTransport } from '../support/each-transport.ts';
import { startSystem, until, type System } from '../support/system.ts';
import { programOf } from '../support/program.ts';

const request = { messages: [{ role: 'user', content: 'hi' }] };
const instant = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;

onEachTransport('a task tells of every attempt', function (transport) {
  this.timeout(60_000);
  let t: System;
  let backends: Backend[];
  /** Whichever member has the task: what its backend does with the nth request. */
  let scripts: Script[] = [];
  before(async () => {
    t = await startSystem({}, { transport });
    backends = [await startBackend(), await startBackend()];
    for (const backend of backends)
      backend.reply((exchange) => (scripts.shift() ?? chats(['done']))(exchange));
    for (const [n, backend] of backends.entries())
      await t.startWorker([{ name: `m${n}`, poolName: 'house', backend }]);
  });
  after(async () => {
    await t.close();
    for (const backend of backends) await backend.close();
  });
  const submit = async (): Promise<string> => {
    const answer = await t.call('POST', '/api/v1/tasks', { body: { llm: 'house', request } });
    return ((await answer.json()) as { id: string }).id;
  };
  const log = async (id: string) => (await t.task(id)).attemptLog ?? [];
  const describeTask = async (id: string): Promise<string> => {
    const env = {
      PATH: process.env['PATH'] ?? '',
      MCPCTL_HOME: '/nowhere',
      MCPCTL_SERVER: t.url,
      MCPCTL_TOKEN: t.token,
    };
    return (await promisify(execFile)(process.execPath, [programOf('cli'), 'describe', 'task', id], { env }))
      .stdout;
  };

  it('with its member, start, end and reason, also the one that runs', async () => {
    scripts = [answers(500, { error: { message: 'broken' } }), chats(['done'], { paced: true })];
    const id = await submit();
    const two = await until(
      () => log(id),
      (attempts) => attempts.length === 2,
    );
    const [failed, running] = two;
    expect([failed?.llm, running?.llm]).to.have.members(['m0', 'm1']);
    expect(failed).to.include({ n: 1 });
    expect(failed?.reason).to.match(/^backend_error/);
    expect(failed?.startedAt).to.match(instant);
    expect(failed?.endedAt).to.match(instant);
    expect(running).to.include({ n: 2, endedAt: null, reason: 'running' });
    expect(running?.startedAt).to.match(instant);
    expect(running?.session).to.match(/^[0-9a-f-]{36}$/);
    expect(await t.task(id)).to.include({ status: 'claimed', claimedLlm: running?.llm });
    expect(await describeTask(id)).to.match(/^ {2}2 +m[01] +\S+Z +- +running$/m);
    for (const backend of backends) backend.release();
    const ended = await until(
      () => t.task(id),
      ({ status }) => status === 'completed',
    );
    expect(ended.attemptLog?.[0]).to.deep.equal(failed);
    expect(ended.attemptLog?.[1]).to.deep.equal({ ...running, endedAt: ended.completedAt, reason: 'stop' });
    expect(await describeTask(id)).to.match(
      /Attempts:\n {2}N +MEMBER +STARTED +ENDED +REASON\n {2}1 +m[01] +\S+Z +\S+Z +backend_error.*\n {2}2 +m[01] +\S+Z +\S+Z +stop$/m,
    );
  });

  it('that was cut short by a cancel', async () => {
    scripts = [hangs()];
    const id = await submit();
    const [running] = await until(
      () => log(id),
      (attempts) => attempts.length === 1,
    );
    await t.call('DELETE', `/api/v1/tasks/${id}`);
    const task = await t.task(id);
    expect(task).to.include({ status: 'cancelled', claimedLlm: running?.llm });
    expect(task.attemptLog).to.deep.equal([
      { ...running, endedAt: task.completedAt, reason: 'task_cancelled' },
    ]);
  });

  it('and of none when nobody ever had it', async () => {
    const worker = await t.startWorker([{ name: 'gone', backend: t.backend }]);
    await worker.kill('SIGTERM');
    const idle = await t.call('POST', '/api/v1/tasks', { body: { llm: 'gone', request } });
    const waiting = ((await idle.json()) as { id: string }).id;
    expect(await log(waiting)).to.deep.equal([]);
    await t.call('DELETE', `/api/v1/tasks/${waiting}`);
    expect(await log(waiting)).to.deep.equal([]);
  });
});
