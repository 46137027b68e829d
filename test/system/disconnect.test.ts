import { expect } from 'chai';
import { ASKED_NO_MORE_MS } from '../../core/queue/pool-indexes.ts';
import type { TaskView } from '../../core/task/task.ts';
import { openAttachments, type Attachments } from '../support/attachments.ts';
import { chats, hangs, type Backend } from '../support/backend.ts';
import { loseRedis } from '../support/lose-redis.ts';
import { startSystem, until, type EdgeProcess, type System } from '../support/system.ts';

const INFER = '/api/v1/llms/desk/infer';
const POOL = 'desk';

/** A call whose task runs. */
interface Running {
  id: string;
  answer: Promise<Response>;
  /** Closes the caller's connection. */
  leave: () => void;
}

describe('what happens when a caller leaves', function () {
  this.timeout(120_000);
  let t: System;
  let backend: Backend;
  let attachments: Attachments;
  let other: EdgeProcess;
  let calls = 0;

  before(async () => {
    t = await startSystem({ MCPCTL_SHUTDOWN_GRACE_MS: '1500' });
    backend = t.backend;
    attachments = openAttachments(t.sandbox);
    other = t.edge;
    await t.startWorker([{ name: 'desk', maxConcurrency: 8, backend }]);
  });
  after(async () => {
    attachments.close();
    await t.close();
  });
  afterEach(async () => {
    expect(await t.openTasks()).to.equal(0);
  });

  const bodyOf = (marker: string, stream: boolean) => ({
    model: 'desk',
    stream,
    messages: [{ role: 'user', content: marker }],
  });
  const reached = async (event: 'request' | 'closed', marker: string): Promise<void> => {
    for (;;) if ((await backend.next(event)).body.includes(marker)) return;
  };
  const ends = (id: string, status: string, withinMs?: number): Promise<TaskView> =>
    until(
      () => t.task(id),
      (task) => task.status === status,
      withinMs,
    );
  const waitersOf = (id: string, count: number): Promise<number> =>
    until(
      () => attachments.count(POOL, id),
      (seen) => seen === count,
    );

  /** Resolves once the backend works on it. */
  async function run(policy: string | undefined, at: EdgeProcess, stream = true): Promise<Running> {
    const marker = `call-${String((calls += 1))}-`;
    const left = new AbortController();
    const answer = t.call('POST', INFER, {
      body: bodyOf(marker, stream),
      ...(policy === undefined ? {} : { headers: { 'x-mcpctl-on-disconnect': policy } }),
      signal: left.signal,
      at,
    });
    answer.catch(() => undefined); // whoever leaves hears no answer
    await reached('request', marker);
    const { items } = (await (await t.call('GET', '/api/v1/tasks?limit=20')).json()) as { items: TaskView[] };
    const requests = await Promise.all(items.map(({ id }) => t.task(id)));
    const id = requests.find((task) => JSON.stringify(task.request).includes(marker))?.id ?? '';
    return { id, answer, leave: () => left.abort() };
  }

  /** Reads a task's stream at an edge; resolves once it counts as one who waits. */
  async function look(id: string, at: EdgeProcess): Promise<() => void> {
    const before = await attachments.count(POOL, id);
    const left = new AbortController();
    const reading = t.call('GET', `/api/v1/tasks/${id}/stream`, { at, signal: left.signal });
    // Read to its end: an answer that nobody holds is closed when memory is tidied up.
    reading.then((answer) => answer.text()).catch(() => undefined);
    await waitersOf(id, before + 1);
    return () => left.abort();
  }

  it('goes on to the end where the caller chose continue', async () => {
    backend.once(chats(['one', 'two'], { paced: true }));
    const { id, leave } = await run('continue', t.edge, false);
    leave();
    await t.edge.event('inference.finished', (line) => line['taskId'] === id);
    expect((await t.task(id)).status).to.equal('claimed');
    backend.release();
    const done = await ends(id, 'completed');
    expect(done).to.include({ onDisconnect: 'continue', graceSeconds: null });
    expect(done).to.have.nested.property('response.choices[0].message.content', 'onetwo');
  });

  it('goes on for the grace, and no longer', async () => {
    backend.once(hangs());
    const { id, leave } = await run('grace=2', t.edge);
    leave();
    await waitersOf(id, 0);
    const began = performance.now();
    expect((await t.task(id)).status).to.equal('claimed');
    const done = await ends(id, 'cancelled');
    expect(performance.now() - began).to.be.at.least(1_800);
    expect(done).to.include({ onDisconnect: 'grace', graceSeconds: 2 });
    expect(done).to.have.nested.property('error.code', 'task_cancelled');
    await backend.next('closed');
  });

  it('forgets the grace when somebody attaches, at whichever edge', async () => {
    other = await t.startEdge();
    backend.reply(hangs());
    const { id, leave } = await run('grace=1', t.edge);
    leave();
    await waitersOf(id, 0);
    const lookAway = await look(id, other);
    // Two later tasks with the same grace are cancelled meanwhile: this one's time would have been over before.
    for (const later of [await run('grace=1', t.edge), await run('grace=1', t.edge)]) {
      later.leave();
      await ends(later.id, 'cancelled');
    }
    expect((await t.task(id)).status).to.equal('claimed');
    lookAway();
    await ends(id, 'cancelled');
  });

  it('keeps a task as long as anybody waits, at whichever edge', async () => {
    backend.once(hangs());
    const { id, leave } = await run(undefined, t.edge);
    const lookAway = await look(id, other);
    leave();
    await waitersOf(id, 1);
    expect((await t.task(id)).status).to.equal('claimed');
    lookAway();
    expect(await ends(id, 'cancelled', 2_500)).to.include({ onDisconnect: 'cancel' });
  });

  it('leaves no task behind whose callers come and go at two edges at the same time', async () => {
    backend.reply(hangs());
    for (let n = 0; n < 10; n++) {
      const { id, leave } = await run('cancel', t.edge);
      const left = new AbortController();
      const opened = t.call('GET', `/api/v1/tasks/${id}/stream`, { at: other, signal: left.signal });
      leave();
      // Whoever was quicker: the task is closed, or the reader keeps it.
      const answer = await opened;
      left.abort();
      await answer.text().catch(() => undefined);
      await ends(id, 'cancelled', 2_500);
    }
  });

  it('restores who waits and what they chose when Redis comes back empty', async () => {
    backend.reply(hangs());
    const staying = await run('cancel', t.edge);
    const gracious = await run('grace=300', other);
    await loseRedis(t.sandbox);
    for (const [{ id }, policy] of [
      [staying, 'cancel'],
      [gracious, 'grace:300'],
    ] as const) {
      await until(
        () => attachments.policy(POOL, id),
        (policyNow) => policyNow === policy,
        30_000,
      );
      await waitersOf(id, 1);
    }
    staying.leave();
    await ends(staying.id, 'cancelled');
    expect((await t.task(gracious.id)).status).not.to.equal('cancelled');
    await t.call('DELETE', `/api/v1/tasks/${gracious.id}`);
  });

  it('lets go on what was to go on when an edge is stopped, and cancels the rest', async () => {
    const leaving = await t.startEdge();
    backend.reply(hangs());
    const stopped = [
      await run('cancel', leaving),
      await run('grace=300', leaving),
      await run('continue', leaving),
    ];
    await leaving.kill('SIGTERM');
    for (const { answer, id } of stopped) {
      expect((await answer).headers.get('x-mcpctl-task-id')).to.equal(id);
      expect(await (await answer).text()).to.include('shutting_down');
    }
    const states = await Promise.all(
      stopped.map(({ id }) => t.call('GET', `/api/v1/tasks/${id}`, { at: other })),
    );
    const [cancelled, ...others] = (await Promise.all(states.map((state) => state.json()))) as TaskView[];
    expect(cancelled?.status).to.equal('cancelled');
    for (const task of others) expect(task.status).to.equal('claimed');
    for (const { id } of stopped) await t.call('DELETE', `/api/v1/tasks/${id}`, { at: other });
  });

  it('keeps the choice of every caller when their edge is killed', async () => {
    const dying = await t.startEdge();
    backend.reply(hangs());
    const cancel = await run('cancel', dying);
    const grace = await run('grace=4', dying);
    const watched = await run('cancel', dying);
    backend.once(chats(['one', 'two'], { paced: true }));
    const goesOn = await run('continue', dying, false);
    const lookAway = await look(watched.id, other);
    const killedAt = performance.now();
    await dying.kill('SIGKILL');
    const at = other;
    const task = async (id: string): Promise<TaskView> =>
      (await (await t.call('GET', `/api/v1/tasks/${id}`, { at })).json()) as TaskView;
    const cancelledAfter = async ({ id }: Running): Promise<number> => {
      await until(
        () => task(id),
        ({ status }) => status === 'cancelled',
        30_000,
      );
      return performance.now() - killedAt;
    };
    const [first, second] = await Promise.all([cancelledAfter(cancel), cancelledAfter(grace)]);
    // The lease was renewed at most 3 s before.
    expect(first).to.be.at.least(6_500);
    expect(second - first).to.be.at.least(3_000);
    expect((await task(watched.id)).status).to.equal('claimed');
    expect((await task(goesOn.id)).status).to.equal('claimed');
    backend.release();
    await until(
      () => task(goesOn.id),
      ({ status }) => status === 'completed',
    );
    lookAway();
    await cancelledAfter(watched);
    await t.startEdge();
  });

  it('keeps events for a minute of what its only reader has whole, and longer where somebody may ask again', async () => {
    backend.reply(chats(['a', 'b']));
    const asked = async (headers: Record<string, string>, stream: boolean): Promise<string> => {
      const answer = await t.call('POST', INFER, { body: bodyOf('kept-', stream), headers });
      await answer.text();
      return answer.headers.get('x-mcpctl-task-id') ?? '';
    };
    const keyed = await asked({ 'idempotency-key': 'kept' }, true);
    for (const stream of [true, false]) {
      const id = await asked({}, stream);
      await until(
        () => attachments.eventsStayMs(POOL, id),
        (ms) => ms > 0 && ms <= ASKED_NO_MORE_MS,
      );
    }
    expect(await attachments.eventsStayMs(POOL, keyed)).to.be.greaterThan(ASKED_NO_MORE_MS);
  });
});
