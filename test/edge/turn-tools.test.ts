import { expect } from 'chai';
import type { MessageView, TurnView } from '../../core/agent/thread.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { edgeFixture, publicLlm, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';
import { speakFor } from '../support/speaker.ts';
import { until } from '../support/system.ts';

const later = { prefer: 'respond-async' };
const tools = [{ type: 'function', function: { name: 'add', parameters: { type: 'object' } } }];
/** Arguments as a model writes them: no JavaScript number holds one of them. */
const given = ['{"n": 12345678901234567890, "ü": "é"}', '{not json'] as const;
const calls = given.map((text, at) => ({
  ...{ id: `c${at}`, type: 'function' },
  function: { name: 'add', arguments: text },
}));

describe('a turn that waits for results of tools', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'gpt');
    const agent = { name: 'reviewer', llm: 'gpt' };
    expect((await t.call('POST /api/v1/agents', { token: t.tokens.root, body: agent })).status).to.equal(201);
  });
  after(() => t.close());

  const turnOf = async ({ threadId, turn }: TurnView): Promise<TurnView> =>
    (await t.call(`GET /api/v1/threads/${threadId}/turns/${turn}`)).json as TurnView;
  const rowOf = async ({ taskId }: TurnView): Promise<TaskRow> =>
    (await t.registry.tasks.byId(taskId ?? '')) ?? expect.fail('no task');
  async function answered(turn: TurnView, message: object): Promise<void> {
    const speaker = await speakFor(t, await rowOf(turn));
    await speaker.end({ kind: 'completed', status: 200, body: JSON.stringify({ choices: [{ message }] }) });
    await t.call(`GET /api/v1/tasks/${turn.taskId ?? ''}?wait=10`);
  }
  const requestOf = async ({ taskId }: TurnView): Promise<Record<string, unknown>[]> => {
    const { requestBody } = await t.registry.tasks.bodies(taskId ?? '');
    return (JSON.parse(requestBody ?? '{}') as { messages: Record<string, unknown>[] }).messages;
  };
  const begin = async (more: object = {}, agent = 'reviewer'): Promise<TurnView> => {
    const body = { message: 'sum?', tools, ...more };
    return (await t.call(`POST /api/v1/agents/${agent}/chat`, { headers: later, body })).json as TurnView;
  };
  /** A turn that has called two tools. */
  async function waiting(agent?: string): Promise<TurnView> {
    const turn = await begin({}, agent);
    await answered(turn, { content: '', reasoning_content: 'Both.', tool_calls: calls });
    const now = await turnOf(turn);
    expect(now).to.include({ status: 'waiting', endedAt: null });
    return now;
  }
  const bring = (
    { threadId, turn }: TurnView,
    results: Record<string, string>,
    options: Call = {},
  ): Promise<Answer> =>
    t.call(`POST /api/v1/threads/${threadId}/turns/${turn}/tool-results`, {
      ...options,
      body: Object.entries(results).map(([id, content]) => ({ tool_call_id: id, content })),
    });
  const codeOf = ({ status, json }: Answer): [number, string] => [status, (json as { code: string }).code];
  const nextRound = (turn: TurnView): Promise<TurnView> =>
    until(
      () => turnOf(turn),
      ({ status, taskId }) => status === 'running' && taskId !== turn.taskId,
    );

  it('takes them in any order and in parts, each once, and goes on with all of them in the order of the calls', async () => {
    const turn = await waiting();
    expect((await bring(turn, {})).json).to.deep.include({ missing: ['c0', 'c1'] });
    expect((await bring(turn, { c1: 'second' })).json).to.deep.include({ missing: ['c0'] });
    expect((await bring(turn, { c1: 'second' })).json).to.deep.include({ missing: ['c0'] });
    expect(codeOf(await bring(turn, { c1: 'other' }))).to.deep.equal([409, 'tool_result_differs']);
    expect(codeOf(await bring(turn, { c7: 'x' }))).to.deep.equal([400, 'tool_result_mismatch']);
    const last = bring(turn, { c0: 'first' }, { headers: { prefer: 'wait=20' } });
    const round = await nextRound(turn);
    const [user, called, ...results] = await requestOf(round);
    expect(user).to.include({ content: 'sum?' });
    expect(called).to.deep.include({
      role: 'assistant',
      content: null,
      reasoning_content: 'Both.',
      tool_calls: calls,
    });
    expect(results).to.deep.equal([
      { role: 'tool', tool_call_id: 'c0', content: 'first' },
      { role: 'tool', tool_call_id: 'c1', content: 'second' },
    ]);
    await answered(round, { content: 'Done.' });
    const answer = await last;
    expect(answer.json, answer.text).to.deep.include({
      turn: 1,
      assistant: 'Done.',
      taskId: round.taskId,
      turnIndex: 4,
    });
    // Sent once more it is answered by the round that it has led to.
    expect((await bring(turn, { c0: 'first' })).json).to.include({ assistant: 'Done.' });
    expect(await turnOf(turn)).to.include({ status: 'completed' });
    const { items } = (await t.call(`GET /api/v1/threads/${turn.threadId}/messages`)).json as {
      items: MessageView[];
    };
    expect(items.map(({ role }) => role).join(' ')).to.equal('user assistant tool tool assistant');
    // What was thought goes back while the turn goes on, and never later.
    const next = await begin({ threadId: turn.threadId, message: 'thanks' });
    expect(JSON.stringify(await requestOf(next)))
      .to.include('"second"')
      .and.not.include('Both.');
  });

  for (const [reasoning, inLoop, later] of [
    ['never', [], []],
    ['always', ['reasoning_content: Both.'], ['reasoning_content: Both.', 'reasoning: So.']],
  ] as const)
    it(`sends back what was thought as its agent says: ${reasoning}`, async () => {
      const body = { name: `thinks-${reasoning}`, llm: 'gpt', extras: { reasoning } };
      const made = await t.call('POST /api/v1/agents', { token: t.tokens.root, body });
      expect(made.status, made.text).to.equal(201);
      const thoughts = async (turn: TurnView): Promise<unknown[]> =>
        (await requestOf(turn)).flatMap((message) =>
          ['reasoning_content', 'reasoning'].flatMap((field) =>
            typeof message[field] === 'string' ? `${field}: ${message[field]}` : [],
          ),
        );
      const turn = await waiting(body.name);
      await bring(turn, { c0: 'first', c1: 'second' }, { headers: { prefer: 'respond-async' } });
      const round = await nextRound(turn);
      expect(await thoughts(round)).to.deep.equal(inLoop);
      await answered(round, { content: 'Done.', reasoning: 'So.' });
      const next = await begin({ threadId: turn.threadId, message: 'thanks' }, body.name);
      expect(await thoughts(next)).to.deep.equal(later);
    });

  it('says so where the round that they have led to is kept no more, and results are sent again', async () => {
    const turn = await waiting();
    const results = { c0: 'first', c1: 'second' };
    const last = bring(turn, results, { headers: { prefer: 'wait=20' } });
    const round = await nextRound(turn);
    await answered(round, { content: 'Done.' });
    expect((await last).json).to.include({ assistant: 'Done.' });
    await t.registry.tasks.deleteEnded([round.taskId ?? '']);
    const again = await bring(turn, results);
    expect(codeOf(again)).to.deep.equal([410, 'gone']);
  });

  it('is asked again by a look, where whoever brought the last result has died', async () => {
    const turn = await waiting();
    const results = ['c0', 'c1'].map((id) => ({
      role: 'tool' as const,
      content: id,
      parts: null,
      toolCallId: id,
    }));
    // As by an edge that is killed between the result and the round.
    await t.registry.threads.addResults({
      threadId: turn.threadId,
      ownerId: t.ada.id,
      n: turn.turn,
      results,
    });
    expect(await requestOf(await nextRound(turn))).to.have.length(4);
  });

  it('lets no other turn go before it, unless that abandons it; then what is missing is said in neutral words', async () => {
    const turn = await waiting();
    const { threadId } = turn;
    const refused = await t.call(`POST /api/v1/threads/${threadId}/turns`, {
      headers: later,
      body: { message: 'and?' },
    });
    expect(codeOf(refused)).to.deep.equal([409, 'tools_pending']);
    await bring(turn, { c1: 'second' });
    const next = await begin({ threadId, message: 'and?', onPending: 'abandon' });
    expect(await turnOf(turn)).to.include({ status: 'completed' });
    const [, , ...others] = await requestOf(next);
    expect(others.map(({ content }) => content)).to.deep.equal([
      'No result is available for this call.',
      'second',
      'No answer was given.',
      'and?',
    ]);
    expect(codeOf(await bring(turn, { c0: 'late' }))).to.deep.equal([400, 'tool_result_mismatch']);
  });

  it('ends after a day, or cancelled, and then the line goes on', async () => {
    for (const how of ['late', 'cancelled'] as const) {
      const turn = await waiting();
      const { threadId } = turn;
      if (how === 'cancelled') await t.call(`DELETE /api/v1/threads/${threadId}/turns/${turn.turn}`);
      else
        await t.connection
          .db('chatTurns')
          .where({ threadId })
          .update({ toolDeadline: new Date(0) });
      const ended = await until(
        () => turnOf(turn),
        ({ status }) => status !== 'waiting',
      );
      expect(ended.error?.code).to.equal(how === 'late' ? 'tools_expired' : 'task_cancelled');
      expect(await requestOf(await begin({ threadId, message: 'go on' }))).to.have.length(6);
    }
  });

  it('calls tools in sixteen rounds and no more', async () => {
    const turn = await waiting();
    await t.connection.db('chatTurns').where({ threadId: turn.threadId }).update({ rounds: 16 });
    await bring(turn, { c0: '1', c1: '2' }, { headers: later });
    expect((await turnOf(turn)).error?.code).to.equal('tool_rounds_exceeded');
  });

  it('goes with the tasks of all its rounds where its thread’s time is over', async () => {
    const turn = await waiting();
    await bring(turn, { c0: '3', c1: '4' }, { headers: later });
    const next = await nextRound(turn);
    await answered(next, { content: 'Seven.' });
    await t.connection
      .db('chatThreads')
      .where({ id: turn.threadId })
      .update({ expiresAt: new Date(0) });
    const tasks = await t.registry.threads.deleteOutlived(turn.threadId, null);
    expect(tasks).to.have.members([turn.taskId, next.taskId]);
  });

  it('is answered through OpenAI’s door by messages of tools alone, streamed', async () => {
    const turn = await waiting();
    const messages = ['c0', 'c1'].map((id) => ({ role: 'tool', tool_call_id: id, content: id }));
    const streamed = t.call('POST /v1/chat/completions', {
      headers: { 'x-mcpctl-thread': turn.threadId },
      body: { model: 'reviewer', messages, tools, stream: true },
    });
    const round = await nextRound(turn);
    await answered(round, { content: 'Through.' });
    expect((await streamed).text).to.include('Through.');
    const locked = await t.call('POST /v1/chat/completions', {
      headers: { ...later, 'x-mcpctl-thread': (await waiting()).threadId },
      body: { model: 'reviewer', messages: [{ role: 'user', content: 'x' }] },
    });
    expect(locked.status).to.equal(400);
  });
});
