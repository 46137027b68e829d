import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import type { MessageView, ThreadView, TurnView } from '../../core/agent/thread.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { layAnew } from '../../core/flow/requeue.ts';
import { flowOf } from '../../edge/deps.ts';
import { createThreadsDuty } from '../../scheduler/duties/threads.ts';
import { createSettleDuty } from '../../scheduler/duties/settle.ts';
import { edgeFixture, publicLlm, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';
import { loseRedis } from '../support/lose-redis.ts';
import { speakFor, texts, type Speaker } from '../support/speaker.ts';
import { nextText, sseData } from '../support/sse.ts';
import { until } from '../support/system.ts';
import { dutyDeps } from '../support/tasks.ts';

const waits = { prefer: 'wait=20' };
const later = { prefer: 'respond-async' };

describe('threads', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture({ MCPCTL_KEEPALIVE_MS: '50' });
    await publicLlm(t, 'gpt');
    const agent = { name: 'reviewer', llm: 'gpt', systemPrompt: 'You review.' };
    expect((await t.call('POST /api/v1/agents', { token: t.tokens.root, body: agent })).status).to.equal(201);
  });
  after(() => t.close());

  const chat = (body: object, options: Call = {}): Promise<Answer> =>
    t.call('POST /api/v1/agents/reviewer/chat', { headers: waits, ...options, body });
  const get = async <T>(path: string, options: Call = {}): Promise<T> => {
    const answer = await t.call(`GET /api/v1${path}`, options);
    expect(answer.status, answer.text).to.equal(200);
    return answer.json as T;
  };
  const messages = async (id: string): Promise<MessageView[]> =>
    (await get<{ items: MessageView[] }>(`/threads/${id}/messages`)).items;
  const shown = async (id: string): Promise<string[]> =>
    (await messages(id)).map(({ role, status, content }) => `${role} ${status}: ${content}`);
  const taskOf = async (id: string): Promise<TaskRow> =>
    (await t.registry.tasks.byId(id)) ?? expect.fail('no task');
  const nextTask = (): Promise<string> =>
    new Promise((resolve) => {
      const off = t.bus.on('task.accepted', ({ taskId }) => {
        off();
        resolve(taskId);
      });
    });
  /** A turn that nobody waits for. */
  async function begin(body: object): Promise<{ turn: TurnView; row: TaskRow }> {
    const answer = await chat(body, { headers: later });
    expect(answer.status, answer.text).to.equal(202);
    const turn = answer.json as TurnView;
    return { turn, row: await taskOf(turn.taskId ?? '') };
  }
  /** A turn that was answered. */
  async function finished(body: object, answer = 'Yes.'): Promise<TurnView> {
    const { turn, row } = await begin(body);
    const speaker = await speakFor(t, row);
    const whole = JSON.stringify({ choices: [{ message: { content: answer }, finish_reason: 'stop' }] });
    await speaker.end({ kind: 'completed', status: 200, body: whole, finishReason: 'stop' });
    await t.call(`GET /api/v1/tasks/${row.id}?wait=10`);
    return turn;
  }
  /** A caller who reads the answer of a turn as it comes. */
  async function streamed(body: object): Promise<{
    answer: Response;
    events: AsyncGenerator<string, void, undefined>;
    speaker: Speaker;
    row: TaskRow;
  }> {
    const accepted = nextTask();
    const asked = fetch(`${t.url}/api/v1/agents/reviewer/chat`, {
      method: 'POST',
      headers: { authorization: `Bearer ${t.tokens.ada}`, 'content-type': 'application/json', ...waits },
      body: JSON.stringify({ ...body, stream: true }),
    });
    const row = await taskOf(await accepted);
    const speaker = await speakFor(t, row);
    await speaker.say(...texts('One'));
    const answer = await asked;
    return { answer, events: sseData(answer), speaker, row };
  }

  it('hold what was said and answered, and tell a later turn of it', async () => {
    const { answer, events, speaker, row } = await streamed({ message: 'first?' });
    const threadId = answer.headers.get('x-mcpctl-thread-id') ?? '';
    expect(answer.headers.get('x-mcpctl-turn')).to.equal('1');
    expect(await nextText(events)).to.equal('One');
    expect(await shown(threadId)).to.deep.equal(['user complete: first?', 'assistant pending: ']);
    expect((await get<ThreadView>(`/threads/${threadId}`)).openTurn).to.deep.equal({
      n: 1,
      status: 'running',
      taskId: row.id,
    });
    await speaker.say({ reasoning_content: 'hm' }, ...texts(' two'));
    await speaker.end();
    expect(await nextText(events)).to.equal(' two');
    expect(await nextText(events)).to.equal(undefined);
    const [, kept] = await messages(threadId);
    expect(kept).to.include({
      content: 'One two',
      reasoning: 'hm',
      status: 'complete',
      turnIndex: 1,
      isWhole: true,
    });
    expect((await get<ThreadView>(`/threads/${threadId}`)).openTurn).to.equal(null);

    const { turn, row: second } = await begin({
      message: 'and?',
      threadId,
      params: { seed: 12345678901234567890n.toString() },
    });
    expect(turn).to.include({ threadId, turn: 2, status: 'running' });
    const { requestBody } = await t.registry.tasks.bodies(second.id);
    expect((JSON.parse(requestBody ?? '') as { messages: unknown }).messages).to.deep.equal([
      { role: 'system', content: 'You review.' },
      { role: 'user', content: 'first?' },
      { role: 'assistant', content: 'One two' },
      { role: 'user', content: 'and?' },
    ]);
    await t.call(`DELETE /api/v1/threads/${threadId}/turns/2`);
  });

  it('keep of an answer that is cut short what was shown of it, whoever cuts it', async () => {
    const { answer, events, speaker } = await streamed({ message: 'long?' });
    const threadId = answer.headers.get('x-mcpctl-thread-id') ?? '';
    expect(await nextText(events)).to.equal('One');
    await speaker.say(...texts(' and'));
    expect(await nextText(events)).to.equal(' and');
    const cancelled = await t.call(`DELETE /api/v1/threads/${threadId}/turns/1`);
    expect(cancelled.json).to.include({ status: 'cancelled', inContext: true });
    expect(await nextText(events)).to.equal(undefined);
    expect(await shown(threadId)).to.deep.equal(['user complete: long?', 'assistant cancelled: One and']);

    // Its backend, by ending without a word, tells the same in the frame, in the row and in the thread.
    const cut = await streamed({ message: 'and then?' });
    expect(await nextText(cut.events)).to.equal('One');
    const message = 'The backend ended its stream before it had finished the answer.';
    await cut.speaker.end({ kind: 'failed', code: 'backend_incomplete', message });
    const frames: string[] = [];
    for await (const data of cut.events) frames.push(data);
    expect(frames.at(-1)).to.include('backend_incomplete').and.to.include(message);
    expect(await taskOf(cut.row.id)).to.include({ status: 'error', errorCode: 'backend_incomplete' });
    const ofCut = cut.answer.headers.get('x-mcpctl-thread-id') ?? '';
    expect(await shown(ofCut)).to.deep.equal(['user complete: and then?', 'assistant error: One']);

    // Of one that nobody saw anything of nothing is kept, and later turns are not told of it.
    const { turn, row } = await begin({ message: 'again?', threadId });
    await (await speakFor(t, row)).say(...texts('unseen'));
    await t.call(`DELETE /api/v1/threads/${threadId}/turns/${turn.turn}`);
    expect((await shown(threadId)).slice(2)).to.deep.equal([
      'user complete: again?',
      'assistant cancelled: ',
    ]);
    const { row: third } = await begin({ message: 'third?', threadId });
    const { requestBody } = await t.registry.tasks.bodies(third.id);
    expect(requestBody).to.include('One and').and.to.include('third?');
    expect(requestBody).not.to.match(/again|unseen/);
  });

  it('end with their task whoever ends it: the duty, a loss of Redis, or an older release', async () => {
    const first = await begin({ messages: [{ role: 'user', content: 'a' }], params: { stream: true } });
    const speaker = await speakFor(t, first.row);
    const whole = JSON.stringify({ choices: [{ message: { content: 'by the duty' } }] });
    await speaker.end({ kind: 'completed', status: 200, body: whole });
    await createSettleDuty(dutyDeps(t)).run(new AbortController().signal);
    expect((await shown(first.turn.threadId))[1]).to.equal('assistant complete: by the duty');

    const { answer, events, row } = await streamed({ message: 'lost?' });
    expect(await nextText(events)).to.equal('One');
    await loseRedis(t);
    const { redis, keys } = t.deps.queue;
    await redis.set(keys.epoch, '1');
    await layAnew(flowOf(t.deps), row, null);
    await (await speakFor(t, row)).say(...texts('Other'));
    await nextText(events);
    await until(
      async () => (await taskOf(row.id)).status,
      (status) => status === 'error',
    );
    const lostId = answer.headers.get('x-mcpctl-thread-id') ?? '';
    expect((await shown(lostId))[1]).to.equal('assistant error: One');

    const older = await begin({ message: 'b' });
    await t.connection
      .db('tasks')
      .where({ id: older.row.id })
      .update({ status: 'error', errorCode: 'x', completedAt: new Date() });
    expect((await shown(older.turn.threadId))[1]).to.equal('assistant error: ');
    expect(await get<TurnView>(`/threads/${older.turn.threadId}/turns/1`)).to.deep.include({
      status: 'error',
    });
  });

  it('get the text of an answer that a scheduler of an older release has ended, streamed or whole, once', async () => {
    const body = JSON.stringify({ choices: [{ message: { content: 'Whole.' } }] });
    const [streaming, whole, gone] = [
      await begin({ messages: [{ role: 'user', content: 'a' }], params: { stream: true } }),
      await begin({ message: 'b' }),
      await begin({ message: 'c' }),
    ];
    const speaker = await speakFor(t, streaming.row);
    await speaker.say(...texts('Str', 'eamed.'));
    await speaker.end();
    const ends = async ({ row }: { row: TaskRow }, more: object): Promise<void> =>
      void (await t.connection
        .db('tasks')
        .where({ id: row.id })
        .update({ status: 'completed', completedAt: new Date(), ...more }));
    await ends(streaming, { claimId: speaker.claimId });
    await ends(whole, { responseBody: body });
    await ends(gone, { claimId: 'none' });
    const answers = async (): Promise<(string | undefined)[]> =>
      Promise.all([streaming, whole, gone].map(async ({ turn }) => (await shown(turn.threadId))[1]));
    const empty = 'assistant complete: ';
    expect(await answers()).to.deep.equal([empty, empty, empty]);
    const duty = createThreadsDuty(dutyDeps(t));
    await Promise.all([1, 2].map(() => duty.run(new AbortController().signal)));
    expect(await answers()).to.deep.equal([`${empty}Streamed.`, `${empty}Whole.`, empty]);
    expect(await duty.run(new AbortController().signal)).to.equal(0);
    // Later turns are told of it.
    const { threadId } = whole.turn;
    const next = await begin({ message: 'and?', threadId });
    const { requestBody } = await t.registry.tasks.bodies(next.row.id);
    expect(requestBody).to.include('Whole.');
  });

  it('answer whole in a form of their own, and under a key once', async () => {
    const headers = { ...waits, 'idempotency-key': randomUUID() };
    const accepted = nextTask();
    const asked = Array.from({ length: 10 }, () => chat({ message: 'once?' }, { headers }));
    const row = await taskOf(await accepted);
    const speaker = await speakFor(t, row);
    const message = {
      content: 'Once.',
      tool_calls: [{ id: 'c1', function: { name: 'f', arguments: '{"a":1}' } }],
    };
    const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
    const body = JSON.stringify({ choices: [{ message, finish_reason: 'tool_calls' }], usage });
    await speaker.end({ kind: 'completed', status: 200, body, finishReason: 'tool_calls' });
    const answers = await Promise.all(asked);
    const [one] = answers.map(({ json }) => json as { threadId: string });
    for (const answer of answers) expect(answer.json, answer.text).to.deep.equal(one);
    expect(one).to.deep.include({
      ...{ turn: 1, taskId: row.id, assistant: 'Once.', turnIndex: 1, finishReason: 'tool_calls' },
      toolCalls: [{ id: 'c1', name: 'f', arguments: '{"a":1}' }],
      usage: { promptTokens: 3, completionTokens: 2, totalTokens: 5 },
    });
    expect(answers.filter(({ headers }) => headers.get('idempotency-replayed') === 'true')).to.have.length(9);
    expect(await messages(one?.threadId ?? '')).to.have.length(2);
    const other = await chat({ message: 'other?' }, { headers });
    expect(other.status).to.equal(422);
    // A day later the key means another turn.
    const yesterday = t.connection.db.raw(`now() - interval '25 hours'`);
    await t.connection.db('chatTurns').where({ taskId: row.id }).update({ createdAt: yesterday });
    const anew = await chat({ message: 'other?' }, { headers: { ...headers, ...later } });
    expect(anew.status, anew.text).to.equal(202);
    expect(anew.json).to.not.include({ threadId: one?.threadId });
    // The results of tools are a turn; one that did not come is said in neutral words.
    const results = [{ role: 'tool', tool_call_id: 'c1', content: '7' }];
    const { row: next } = await begin({ messages: results, threadId: one?.threadId });
    expect((await t.registry.tasks.bodies(next.id)).requestBody).to.include(
      '"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\\"a\\":1}"}}]},{"role":"tool","tool_call_id":"c1","content":"7"}]',
    );
  });

  it('leave their oldest turns out of what is asked where members have no room, and say so; the cut stays for many turns', async () => {
    const token = t.tokens.root;
    const llm = { name: 'small', type: 'openai', model: 'm', url: 'http://backend.test/v1' };
    await t.call('POST /api/v1/llms', { token, body: { ...llm, capabilities: { contextLength: 1_000 } } });
    await t.call('POST /api/v1/agents', { token, body: { name: 'short', llm: 'small' } });
    const asked: string[][] = [];
    const leftOut: (string | null)[] = [];
    let threadId: string | undefined;
    for (let n = 0; n < 7; n++) {
      const body = { message: `q${n} ${'x'.repeat(250)}`, threadId };
      const made = await t.call('POST /api/v1/agents/short/chat', { body, headers: later });
      expect(made.status, made.text).to.equal(202);
      const { taskId, threadId: id } = made.json as TurnView;
      threadId = id;
      const { requestBody } = await t.registry.tasks.bodies(taskId ?? '');
      asked.push([...(requestBody ?? '').matchAll(/q\d/g)].map(String));
      leftOut.push(made.headers.get('x-mcpctl-left-out'));
      const speaker = await speakFor(t, await taskOf(taskId ?? ''));
      const answer = JSON.stringify({ choices: [{ message: { content: 'y'.repeat(250) } }] });
      await speaker.end({ kind: 'completed', status: 200, body: answer });
      await t.call(`GET /api/v1/tasks/${taskId ?? ''}?wait=10`);
    }
    // Room for 1,837 bytes: over it, the request is cut to 1,378.
    expect(asked).to.deep.equal([
      ['q0'],
      ['q0', 'q1'],
      ['q0', 'q1', 'q2'],
      ['q2', 'q3'],
      ['q2', 'q3', 'q4'],
      ['q4', 'q5'],
      ['q4', 'q5', 'q6'],
    ]);
    expect(leftOut).to.deep.equal([null, null, null, '2', '2', '4', '4']);
    expect(await messages(threadId ?? '')).to.have.length(14);
  });

  it('are their owner’s: for others there is none, also for who may see that it is there', async () => {
    const { threadId } = await finished({ message: 'private' });
    const calls = [
      `GET /api/v1/threads/${threadId}`,
      `GET /api/v1/threads/${threadId}/messages`,
      `GET /api/v1/threads/${threadId}/turns/1`,
      `DELETE /api/v1/threads/${threadId}/turns/1`,
      `DELETE /api/v1/threads/${threadId}`,
    ];
    const token = t.tokens.bob;
    for (const call of calls) expect((await t.call(call, { token })).status, call).to.equal(404);
    for (const path of [`/threads/${threadId}/turns`, '/agents/reviewer/chat']) {
      const body = { message: 'x', ...(path.includes('chat') && { threadId }) };
      const answer = await t.call(`POST /api/v1${path}`, { token, body, headers: later });
      expect(answer.json, path).to.include({ code: 'thread_not_found' });
    }
    expect((await t.call(`GET /api/v1/threads/${threadId}`, { token: t.tokens.root })).status).to.equal(200);
    expect(
      (await t.call(`GET /api/v1/threads/${threadId}/messages`, { token: t.tokens.root })).status,
    ).to.equal(404);
    const bound = {
      userId: t.ada.id,
      name: randomUUID(),
      pools: ['other'],
      expiresInDays: null,
      createdBy: null,
    };
    const elsewhere = (await t.registry.tokens.create(bound)).text;
    expect((await t.call(`GET /api/v1/threads/${threadId}`, { token: elsewhere })).status).to.equal(404);
    expect((await get<{ items: ThreadView[] }>('/threads', { token: elsewhere })).items).to.deep.equal([]);
    const publishing = {
      ...bound,
      name: randomUUID(),
      pools: null,
      filter: { preset: 'publish', bindings: [], operations: [] } as const,
    };
    const worker = (await t.registry.tokens.create(publishing)).text;
    const before = await t.connection.db('chatThreads').select('id');
    expect((await t.call('POST /api/v1/agents', { body: { name: 'of-ada', llm: 'gpt' } })).status).to.equal(
      201,
    );
    const begun = await t.call('POST /api/v1/agents/of-ada/threads', { token: worker, body: {} });
    expect(begun.json, 'and nothing is made').to.include({ code: 'forbidden' });
    expect(await t.connection.db('chatThreads').select('id')).to.have.length(before.length);
    const mine = (await get<{ items: ThreadView[] }>('/agents/reviewer/threads?limit=2')).items;
    expect(mine).to.have.length(2);
    expect(mine[0]).to.include({ id: threadId, agent: 'reviewer', title: 'private', turns: 1 });
    // A title is the first that was said: who may read that reads it, and others see that there is a thread.
    const grant = { bindings: [{ role: 'view', resource: 'thread' }], operations: ['impersonate'] };
    const subjects = [{ kind: 'user', name: 'bob' }];
    const root = { token: t.tokens.root };
    const granted = { name: 'watchers', subjects, ...grant };
    expect((await t.call('POST /api/v1/rbac', { ...root, body: granted })).status).to.equal(201);
    const asAda = { token: t.tokens.bob, headers: { 'x-mcpctl-as': 'ada' } };
    for (const by of [{ token: t.tokens.bob }, asAda]) {
      const { items } = await get<{ items: ThreadView[] }>('/threads', by);
      expect(items.find(({ id }) => id === threadId)).to.include({ owner: 'ada', title: '' });
      expect(await get(`/threads/${threadId}`, by)).to.include({ title: '' });
    }
    expect(await get(`/threads/${threadId}`, root), 'who has logs').to.include({ title: 'private' });
    expect((await t.call('DELETE /api/v1/rbac/watchers', root)).status).to.equal(204);
  });

  it('are gone when they are deleted, with what their tasks keep, also in the middle of an answer', async () => {
    const { answer, events, row } = await streamed({ message: 'secret words' });
    const threadId = answer.headers.get('x-mcpctl-thread-id') ?? '';
    expect(await nextText(events)).to.equal('One');
    expect((await t.call(`DELETE /api/v1/threads/${threadId}`)).status).to.equal(204);
    const frames: string[] = [];
    for await (const data of events) frames.push(data);
    expect(frames.at(-1), 'its reader is told').to.include('"task_cancelled"');
    for (const path of ['', '/messages', '/turns/1', '/stream', '/export'])
      expect((await t.call(`GET /api/v1/threads/${threadId}${path}`)).status, path).to.equal(404);
    const { redis, keys } = t.deps.queue;
    // Who reads them just now has a moment; what is there no more is -2.
    expect(await redis.pttl(keys.pool(row.poolName).task(row.id).stream), 'events')
      .to.be.within(-2, 2_000)
      .and.not.equal(-1);
    expect(await taskOf(row.id)).to.include({ status: 'cancelled' });
    expect(await t.registry.tasks.bodies(row.id)).to.deep.equal({ requestBody: null, responseBody: null });
    const { rows } = await t.connection.db.raw<{ rows: unknown[] }>(
      'select 1 from chat_messages where thread_id = ? union all select 1 from chat_turns where thread_id = ?',
      [threadId, threadId],
    );
    expect(rows).to.deep.equal([]);
  });

  it('keep their agent from being deleted with what others have said, unless by an admin', async () => {
    const agent = { name: 'shared', llm: 'gpt' };
    await t.call('POST /api/v1/agents', { body: agent });
    const options = { body: { message: 'bob’s' }, headers: later, token: t.tokens.bob };
    const { json } = await t.call('POST /api/v1/agents/shared/chat', options);
    const { threadId } = json as TurnView;
    const refused = await t.call('DELETE /api/v1/agents/shared');
    expect(refused.status, refused.text).to.equal(409);
    expect(refused.text).to.include('a thread of another user');
    const token = t.tokens.bob;
    expect((await t.call(`GET /api/v1/threads/${threadId}`, { token })).status).to.equal(200);
    expect((await t.call('DELETE /api/v1/agents/shared', { token: t.tokens.root })).status).to.equal(204);
    expect((await t.call(`GET /api/v1/threads/${threadId}`, { token })).status).to.equal(404);
  });

  it('are asked through OpenAI’s door by a header, with what is new alone', async () => {
    const post = (thread: string, messages: object[], more: object = {}): Promise<Answer> =>
      t.call('POST /v1/chat/completions', {
        body: { model: 'reviewer', messages, ...more },
        headers: { ...later, 'x-mcpctl-thread': thread },
      });
    const user = { role: 'user', content: 'v1?' };
    const made = await post('new', [user]);
    expect(made.status, made.text).to.equal(202);
    const threadId = made.headers.get('x-mcpctl-thread-id') ?? '';
    const busy = await post(threadId, [user]);
    expect(busy.status).to.equal(400);
    expect(busy.text).to.include('conversation_locked');
    const history = await post(threadId, [user, { role: 'assistant', content: 'mine' }, user]);
    expect(history.status).to.equal(400);
    expect(history.text).to.include('messages.1.role');
    expect((await post('old', [user])).text).to.include('must be new, or the id of a thread');
    expect((await post('new', [user], { model: 'gpt' })).status).to.equal(404);
    expect(await shown(threadId)).to.deep.equal(['user complete: v1?', 'assistant pending: ']);
  });
});
