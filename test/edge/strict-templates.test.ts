import { expect } from 'chai';
import type { TurnView } from '../../core/agent/thread.ts';
import { edgeFixture, publicLlm, type Call, type EdgeFixture } from '../support/edge.ts';
import { speakFor, texts, type Speaker } from '../support/speaker.ts';
import { until } from '../support/system.ts';

const later = { prefer: 'respond-async' };
const tools = [{ type: 'function', function: { name: 'add', parameters: { type: 'object' } } }];
const calls = ['c0', 'c1'].map((id) => ({
  id,
  type: 'function',
  function: { name: 'add', arguments: '{}' },
}));

interface Sent {
  role: string;
  content: string | null;
  tool_calls?: { id: string }[];
  tool_call_id?: string;
}

/**
 * What the strictest templates and backends refuse: Mistral's and Gemma's want one system message, first, and then users and
 * answers in turns; others a result for each call right behind it, and no result without one.
 */
function refusal(messages: readonly Sent[]): string | null {
  const [first, ...rest] = messages;
  const spoken = first?.role === 'system' ? rest : messages;
  if (spoken.some(({ role }) => role === 'system')) return 'a system message that is not the first';
  let open: string[] = [];
  let next = 'user';
  for (const { role, content, tool_calls: called = [], tool_call_id: id = '' } of spoken) {
    if (role === 'tool') {
      if (!open.includes(id)) return `a result without a call: ${id}`;
      open = open.filter((each) => each !== id);
      continue;
    }
    if (open.length > 0) return `calls without a result: ${open.join()}`;
    if (called.length > 0) {
      if (next !== 'assistant') return 'a call that nobody asked for';
      open = called.map((call) => call.id);
      continue;
    }
    if (role !== next) return `${role} where ${next} is to speak`;
    if (role === 'assistant' && (content ?? '') === '') return 'an answer that says nothing';
    next = role === 'user' ? 'assistant' : 'user';
  }
  if (open.length > 0) return 'the last calls have no results';
  return spoken.at(-1)?.role === 'assistant' ? 'the last word is an answer' : null;
}

describe('a thread, whatever became of its turns,', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'gpt');
    const agent = { name: 'reviewer', llm: 'gpt', systemPrompt: 'You review.' };
    expect((await t.call('POST /api/v1/agents', { token: t.tokens.root, body: agent })).status).to.equal(201);
  });
  after(() => t.close());

  const turnOf = async ({ threadId, turn }: TurnView): Promise<TurnView> =>
    (await t.call(`GET /api/v1/threads/${threadId}/turns/${turn}`)).json as TurnView;
  const post = async (path: string, body: object, more: Call = {}): Promise<TurnView> => {
    const answer = await t.call(`POST /api/v1${path}`, { headers: later, ...more, body });
    expect(answer.status, answer.text).to.equal(202);
    return answer.json as TurnView;
  };
  const speaking = async (turn: TurnView): Promise<Speaker> =>
    speakFor(t, (await t.registry.tasks.byId(turn.taskId ?? '')) ?? expect.fail('no task'));
  const settled = (turn: TurnView): Promise<TurnView> =>
    until(
      () => turnOf(turn),
      ({ status }) => status !== 'running',
    );
  /** Each request that was made of the thread so far. */
  async function requests(threadId: string): Promise<Sent[][]> {
    const rows = await t.connection.db('tasks').where({ threadId }).orderBy('createdAt').select('id');
    const bodies = await Promise.all((rows as { id: string }[]).map(({ id }) => t.registry.tasks.bodies(id)));
    return bodies.map(
      ({ requestBody }) => (JSON.parse(requestBody ?? '{}') as { messages: Sent[] }).messages,
    );
  }

  it('is told to a backend with the strictest template in a form that it takes', async () => {
    const first = await post('/agents/reviewer/chat', { message: 'one', tools });
    const { threadId } = first;
    const say = (message: string, more: object = {}): Promise<TurnView> =>
      post(`/threads/${threadId}/turns`, { message, tools, ...more });
    const answer = async (turn: TurnView, message: object): Promise<TurnView> => {
      const body = JSON.stringify({ choices: [{ message, finish_reason: 'stop' }] });
      await (await speaking(turn)).end({ kind: 'completed', status: 200, body, finishReason: 'stop' });
      await t.call(`GET /api/v1/tasks/${turn.taskId ?? ''}?wait=10`);
      return await settled(turn);
    };
    const fail = async (turn: TurnView, shown: string[] = []): Promise<TurnView> => {
      const speaker = await speaking(turn);
      if (shown.length > 0) await speaker.say(...texts(...shown));
      await speaker.end({ kind: 'failed', code: 'backend_incomplete', message: 'It ended.' });
      await t.call(`GET /api/v1/tasks/${turn.taskId ?? ''}?wait=10`);
      return await settled(turn);
    };
    const stop = async (turn: TurnView): Promise<void> => {
      await t.call(`DELETE /api/v1/threads/${threadId}/turns/${turn.turn}`);
      await settled(turn);
    };

    await answer(first, { content: 'One.' });
    await stop(await say('stopped without a text'));
    await fail(await say('failed without a text'));
    for (const message of ['a', 'b', 'c']) await fail(await say(`failed in a row: ${message}`));
    const failed = await fail(await say('failed in the middle'), ['Half']);
    const again = await post(`/threads/${threadId}/turns/${failed.turn}/retry`, {});
    await answer(again, { content: 'Whole.' });
    const calling = await answer(await say('call'), { content: '', tool_calls: calls });
    expect(calling.status).to.equal('waiting');
    const abandoning = await say('instead', { onPending: 'abandon' });
    await answer(abandoning, { content: 'Instead.' });
    // One that its client never came back to, until its day was over.
    const left = await answer(await say('call, and be left'), { content: '', tool_calls: calls });
    await t.connection
      .db('chatTurns')
      .where({ threadId, n: left.turn })
      .update({ toolDeadline: new Date(0) });
    const late = await until(
      () => turnOf(left),
      ({ status }) => status !== 'waiting',
    );
    expect(late.error?.code).to.equal('tools_expired');
    // A round that was stopped before it said anything, behind results that had come.
    const turn = await answer(await say('call again'), { content: '', tool_calls: calls });
    const results = calls.map(({ id }) => ({ tool_call_id: id, content: '1' }));
    await t.call(`POST /api/v1/threads/${threadId}/turns/${turn.turn}/tool-results`, {
      headers: later,
      body: results,
    });
    const round = await until(
      () => turnOf(turn),
      ({ status, taskId }) => status === 'running' && taskId !== turn.taskId,
    );
    await stop(round);
    await answer(await say('thought only'), { content: '', reasoning_content: 'Hm.' });
    await answer(await say('last'), { content: 'Last.' });

    const made = await requests(threadId);
    expect(made).to.have.length.greaterThan(12);
    for (const [at, messages] of made.entries())
      expect(refusal(messages), `request ${at}: ${JSON.stringify(messages)}`).to.equal(null);
    const last = made.at(-1)?.map(({ content }) => content);
    expect(last).to.include('Whole.').and.to.include('Instead.').and.not.to.include('Half');
  });
});
