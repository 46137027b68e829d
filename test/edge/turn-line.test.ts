import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import type { MessageView, ThreadView, TurnView } from '../../core/agent/thread.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { secondEdge } from '../relay/second-edge.ts';
import { edgeFixture, publicLlm, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';
import { speakFor, texts } from '../support/speaker.ts';
import { nextText, sseData } from '../support/sse.ts';
import { until } from '../support/system.ts';

const later = { prefer: 'respond-async' };
/** Turns that are sent at once; `MCPCTL_ROUNDS=50` for the numbers of a long run. */
const AT_ONCE = Number(process.env['MCPCTL_ROUNDS'] ?? 16);

describe('the line of a thread', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'gpt');
    const agent = { name: 'reviewer', llm: 'gpt' };
    expect((await t.call('POST /api/v1/agents', { token: t.tokens.root, body: agent })).status).to.equal(201);
  });
  after(() => t.close());

  const chat = (body: object, options: Call = {}): Promise<Answer> =>
    t.call('POST /api/v1/agents/reviewer/chat', { headers: later, ...options, body });
  async function begin(body: object, options: Call = {}): Promise<TurnView> {
    const answer = await chat(body, options);
    expect(answer.status, answer.text).to.equal(202);
    return answer.json as TurnView;
  }
  const turnOf = async ({ threadId, turn }: TurnView): Promise<TurnView> =>
    (await t.call(`GET /api/v1/threads/${threadId}/turns/${turn}`)).json as TurnView;
  const started = (turn: TurnView): Promise<TurnView> =>
    until(
      () => turnOf(turn),
      ({ taskId }) => typeof taskId === 'string',
    );
  const rowOf = async ({ taskId }: TurnView): Promise<TaskRow> =>
    (await t.registry.tasks.byId(taskId ?? '')) ?? expect.fail('no task');
  const bodyOf = async ({ taskId }: TurnView): Promise<string> =>
    (await t.registry.tasks.bodies(taskId ?? '')).requestBody ?? '';
  async function answered(turn: TurnView, content: string): Promise<void> {
    const speaker = await speakFor(t, await rowOf(turn));
    const body = JSON.stringify({ choices: [{ message: { content } }] });
    await speaker.end({ kind: 'completed', status: 200, body });
    await t.call(`GET /api/v1/tasks/${turn.taskId ?? ''}?wait=10`);
  }

  it('costs one question a look where there is none', async () => {
    const asked: string[] = [];
    const note = ({ sql }: { sql: string }): void => void (/chat_(turns|calls)/.test(sql) && asked.push(sql));
    t.connection.db.on('query', note);
    await until(
      () => Promise.resolve(asked.length),
      (count) => count >= 3,
    );
    t.connection.db.off('query', note);
    expect([...new Set(asked)]).to.have.length(1);
  });

  it('composes a turn when its time has come: it has the answers before it; and takes eight', async () => {
    const first = await begin({ message: 'one?' });
    const { threadId } = first;
    const waiting = await Promise.all(
      Array.from({ length: 9 }, (_, n) => chat({ message: `m${n}`, threadId })),
    );
    const taken = waiting.filter(({ status }) => status === 202).map(({ json }) => json as TurnView);
    expect(taken.map(({ status }) => status)).to.deep.equal(Array.from({ length: 8 }, () => 'queued'));
    const [refused] = waiting.filter(({ status }) => status !== 202);
    expect([refused?.status, (refused?.json as { code: string }).code]).to.deep.equal([
      429,
      'turn_queue_full',
    ]);
    const inOrder = taken.sort((a, b) => a.turn - b.turn);
    expect(inOrder.map(({ turn }) => turn)).to.deep.equal([2, 3, 4, 5, 6, 7, 8, 9]);
    const [second, third, ...others] = inOrder;
    if (!second || !third) return expect.fail('too few');
    for (const turn of others) {
      const { json } = await t.call(`DELETE /api/v1/threads/${threadId}/turns/${turn.turn}`);
      expect(json).to.include({ status: 'cancelled', taskId: null });
    }
    await answered(first, 'The first.');
    const now = await started(second);
    expect(await bodyOf(now))
      .to.include('"content":"The first."')
      .and.not.include('m5');
    expect(await turnOf(third)).to.include({ status: 'queued' });
    // A turn that fails stops none behind it, and is told to none.
    await t.call(`DELETE /api/v1/threads/${threadId}/turns/${second.turn}`);
    const last = await started(third);
    const asked = (JSON.parse(await bodyOf(last)) as { messages: { content: string }[] }).messages;
    expect(asked.map(({ content }) => content).slice(0, 2)).to.deep.equal(['one?', 'The first.']);
    expect(asked).to.have.length(3);
    await answered(last, 'Done.');
    const { items } = (await t.call(`GET /api/v1/threads/${threadId}/messages`)).json as {
      items: MessageView[];
    };
    expect(items.map(({ turnIndex }) => turnIndex)).to.deep.equal(Array.from({ length: 12 }, (_, n) => n));
  });

  it('answers who waits in it, and lets a turn go before that interrupts', async () => {
    const first = await begin({ message: 'long?', stream: true });
    const { threadId } = first;
    const speaker = await speakFor(t, await rowOf(first));
    await speaker.say(...texts('Some'));
    const headers = { authorization: `Bearer ${t.tokens.ada}` };
    const seen = sseData(await fetch(`${t.url}/api/v1/threads/${threadId}/stream`, { headers }));
    expect(await nextText(seen)).to.equal('Some');
    const waits = { prefer: 'wait=20', 'idempotency-key': randomUUID() };
    const asked = chat({ message: 'instead?', threadId, onBusy: 'interrupt' }, { headers: waits });
    const second = await started({ ...first, turn: 2 });
    expect(await turnOf(first)).to.include({ status: 'cancelled' });
    // What was shown of it stays, and the one that came between is told of it.
    const { messages: composed } = JSON.parse(await bodyOf(second)) as { messages: object[] };
    expect(composed).to.deep.equal([
      { role: 'user', content: 'long?' },
      { role: 'assistant', content: 'Some' },
      { role: 'user', content: 'instead?' },
    ]);
    const again = chat({ message: 'instead?', threadId, onBusy: 'interrupt' }, { headers: waits });
    await answered(second, 'Instead.');
    for (const { json, text } of await Promise.all([asked, again]))
      expect(json, text).to.include({ threadId, turn: 2, assistant: 'Instead.', turnIndex: 3 });
    const { taskId } = await begin({ message: 'x', threadId });
    const refused = await chat({ message: 'y', threadId, onBusy: 'reject' });
    expect(refused.status).to.equal(409);
    expect(refused.json).to.include({ code: 'thread_busy', taskId });
    expect(['x-mcpctl-turn', 'retry-after'].map((name) => refused.headers.get(name))).to.deep.equal([
      '3',
      '1',
    ]);
  });

  it('asks for the rights again when a turn’s time has come', async () => {
    const made = { userId: t.ada.id, name: 'short', pools: null, expiresInDays: null, createdBy: null };
    const { row, text: token } = await t.registry.tokens.create(made);
    const first = await begin({ message: 'one?' });
    const second = await begin({ message: 'two?', threadId: first.threadId }, { token });
    expect(second.status).to.equal('queued');
    await t.registry.tokens.revoke(row.id);
    await answered(first, 'One.');
    const ended = await until(
      () => turnOf(second),
      ({ status }) => status !== 'queued',
    );
    expect(ended).to.deep.include({ status: 'error', taskId: null });
    expect(ended.error?.code).to.equal('unauthenticated');
  });

  it('has neither gap nor double in its numbers, whatever comes at once, at two edges, and is asked in their order', async () => {
    const raised = { ...t.deps.config, maxQueuedTurns: 64 };
    const edges = [await secondEdge(t, raised), await secondEdge(t, raised)] as const;
    try {
      const first = await begin({ message: 'start' });
      const { threadId } = first;
      const send = (n: number): Promise<number> =>
        fetch(`${edges[n % 2 === 0 ? 0 : 1].url}/api/v1/threads/${threadId}/turns`, {
          method: 'POST',
          headers: { authorization: `Bearer ${t.tokens.ada}`, 'content-type': 'application/json', ...later },
          body: JSON.stringify({ message: `m${n}` }),
        }).then(({ status }) => status);
      const statuses = await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => send(n)));
      expect(statuses.filter((status) => status !== 202)).to.deep.equal([]);
      await until(
        async () => {
          const { openTurn } = (await t.call(`GET /api/v1/threads/${threadId}`)).json as ThreadView;
          if (openTurn?.taskId) await t.call(`DELETE /api/v1/threads/${threadId}/turns/${openTurn.n}`);
          return openTurn === null;
        },
        (isOver) => isOver,
        25_000,
      );
      const { rows } = await t.connection.db.raw<{
        rows: { indices: number[]; turns: number[]; asked: number[]; open: string; together: string }[];
      }>(
        `with turns as (
           select q.n, k.id as task_id, k.created_at, lag(k.completed_at) over (order by q.n) as before
             from chat_turns q join tasks k on k.id = q.task_id where q.thread_id = :threadId
         )
         select array_agg(m.turn_index order by m.turn_index) as indices, count(*) filter (where m.status = 'pending') as open,
           (select array_agg(n order by n) from turns) as turns, (select array_agg(n order by created_at, task_id) from turns) as asked,
           (select count(*) from turns where created_at < before) as together
         from chat_messages m where m.thread_id = :threadId`,
        { threadId },
      );
      const turns = Array.from({ length: AT_ONCE + 1 }, (_, n) => n + 1);
      expect(rows[0]?.turns, 'each has one task').to.deep.equal(turns);
      expect(rows[0]?.asked).to.deep.equal(turns);
      expect(rows[0]?.indices).to.deep.equal(Array.from({ length: 2 * turns.length }, (_, n) => n));
      expect(rows[0]).to.include({ open: '0', together: '0' });
    } finally {
      await Promise.all(edges.map((edge) => edge.close()));
    }
  });
});
