import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import type { MessageView, TurnDetail, TurnView } from '../../core/agent/thread.ts';
import { isErrorCode } from '../../core/errors.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { edgeFixture, publicLlm, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';
import { speakFor, type Speaker } from '../support/speaker.ts';
import { until } from '../support/system.ts';

const later = { prefer: 'respond-async' };
const waits = { prefer: 'wait=20' };
const own = [{ type: 'function', function: { name: 'ask_me', parameters: { type: 'object' } } }];
const calling = (...calls: [id: string, name: string, args?: string][]): object => ({
  content: null,
  tool_calls: calls.map(([id, name, text = '{}']) => ({
    ...{ id, type: 'function' },
    function: { name, arguments: text },
  })),
});
const text = (words: string): object => ({ result: { content: [{ type: 'text', text: words }] } });

describe('an agent with the tools of its project', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'gpt');
    for (const name of ['one', 'two']) await serve(name);
    const servers = [{ server: 'one', tools: { deny: ['secret*'] } }, { server: 'two' }];
    await ok('POST /api/v1/projects', { body: { name: 'demo', servers } });
    const agent = { name: 'worker', llm: 'gpt', project: 'demo', serverTools: true };
    await ok('POST /api/v1/agents', { body: agent });
  });
  after(() => t.close());

  /** A server of ada's that nobody runs here: a test speaks for its calls. */
  async function serve(name: string): Promise<void> {
    const providers = [{ name: `mcp.${name}`, type: 'mcp', model: 'mcp' }];
    const worker = { instanceId: randomUUID(), workerVersion: '1', transports: ['redis'], providers };
    const { json } = await ok('POST /api/v1/llms/_provider-register', { body: worker });
    const { providerSessionId } = json as { providerSessionId: string };
    const tools = ['add', 'secret'].map((tool) => ({ name: tool, inputSchema: { type: 'object' } }));
    const info = { name, version: '1' };
    const report = { providerSessionId, server: name, journal: randomUUID(), info, tools };
    await ok('POST /api/v1/llms/_provider-tools', { body: report });
  }
  const ok = async (what: string, options: Call = {}): Promise<Answer> => {
    const answer = await t.call(what, options);
    expect(answer.status, `${what} ${answer.text}`).to.be.within(200, 204);
    return answer;
  };
  const turnOf = async ({ threadId, turn }: TurnView): Promise<TurnDetail> =>
    (await t.call(`GET /api/v1/threads/${threadId}/turns/${turn}`)).json as TurnDetail;
  const messagesOf = async ({ threadId }: TurnView): Promise<MessageView[]> =>
    ((await t.call(`GET /api/v1/threads/${threadId}/messages`)).json as { items: MessageView[] }).items;
  const speak = async (taskId: string | null): Promise<Speaker> =>
    speakFor(t, (await t.registry.tasks.byId(taskId ?? '')) ?? expect.fail('no task'));
  const whole = (body: object) => ({ kind: 'completed', status: 200, body: JSON.stringify(body) }) as const;
  async function answered(turn: TurnView, message: object): Promise<void> {
    await (await speak(turn.taskId)).end(whole({ choices: [{ message }] }));
    await t.call(`GET /api/v1/tasks/${turn.taskId ?? ''}?wait=10`);
  }
  const begin = async (more: object = {}, options: Call = {}): Promise<TurnView> => {
    const body = { message: 'sum?', ...more };
    return (await ok('POST /api/v1/agents/worker/chat', { headers: later, ...options, body }))
      .json as TurnView;
  };
  const requestOf = async (taskId: string | null) =>
    JSON.parse((await t.registry.tasks.bodies(taskId ?? '')).requestBody ?? '{}') as {
      tools?: { function: { name: string } }[];
      messages: Record<string, unknown>[];
    };
  const toolsIn = async (turn: TurnView): Promise<string[]> =>
    ((await requestOf(turn.taskId)).tools ?? []).map(({ function: { name } }) => name);
  /** Tasks of calls of a server, the newest first. */
  const callsOf = (server: string): Promise<Pick<TaskRow, 'id' | 'status'>[]> =>
    t.connection
      .db('tasks')
      .where({ poolName: `mcp.${server}` })
      .orderBy('createdAt', 'desc')
      .select('id', 'status');
  const called = async (server: string, before = 0): Promise<string> =>
    (
      await until(
        () => callsOf(server),
        (rows) => rows.length > before,
      )
    )[0]?.id ?? '';
  const nextRound = (turn: TurnView): Promise<TurnDetail> =>
    until(
      () => turnOf(turn),
      ({ status, taskId }) => status === 'running' && taskId !== turn.taskId,
    );

  it('is offered what the endpoint lists, calls two servers at once, and goes on with both results', async () => {
    const turn = await begin();
    expect(await toolsIn(turn)).to.deep.equal(['one__add', 'two__add', 'two__secret']);
    const [one, two] = [(await callsOf('one')).length, (await callsOf('two')).length];
    await answered(
      turn,
      calling(
        ['a', 'one__add', '{"n":1}'],
        ['b', 'two__add'],
        ['c', 'one__secret'],
        ['d', 'two__add', '[1]'],
      ),
    );
    const [first, second] = [await called('one', one), await called('two', two)];
    expect(JSON.parse((await t.registry.tasks.bodies(first)).requestBody ?? '')).to.deep.include({
      method: 'tools/call',
      params: { name: 'add', arguments: { n: 1 } },
    });
    await (await speak(second)).end(whole(text('two said')));
    await (await speak(first)).end(whole(text('one said')));
    const round = await nextRound(turn);
    expect((await requestOf(round.taskId)).messages.slice(-4)).to.deep.equal([
      { role: 'tool', tool_call_id: 'a', content: 'one said' },
      { role: 'tool', tool_call_id: 'b', content: 'two said' },
      { role: 'tool', tool_call_id: 'c', content: 'Unknown tool: one__secret (invalid_request)' },
      {
        role: 'tool',
        tool_call_id: 'd',
        content: 'The arguments of a call are one JSON object; these are none. (invalid_json)',
      },
    ]);
    await answered(round, { content: 'Three.' });
    expect(await turnOf(turn)).to.include({ status: 'completed' });
    const roles = (await messagesOf(turn)).map(({ role }) => role);
    expect(roles.join(' ')).to.equal('user assistant tool tool tool tool assistant');
  });

  it('tells the model of a call whose outcome is not known, and of a server that is down', async () => {
    const turn = await begin();
    const before = (await callsOf('one')).length;
    await answered(turn, calling(['a', 'one__add']));
    const speaker = await speak(await called('one', before));
    await speaker.end({ kind: 'failed', code: 'worker_lost', message: 'Its worker has gone.' });
    const round = await nextRound(turn);
    expect((await requestOf(round.taskId)).messages.at(-1)?.['content']).to.match(
      /not run again.*\(outcome_unknown\)$/,
    );
    await answered(round, { content: 'No.' });
  });

  it("stops for the client's own tools, runs the others, and goes on when all results are there", async () => {
    const turn = await begin({ tools: own });
    expect(await toolsIn(turn)).to.deep.equal(['ask_me', 'one__add', 'two__add', 'two__secret']);
    const before = (await callsOf('one')).length;
    await answered(turn, calling(['a', 'one__add'], ['b', 'ask_me']));
    const at = `POST /api/v1/threads/${turn.threadId}/turns/${turn.turn}/tool-results`;
    await (await speak(await called('one', before))).end(whole(text('done')));
    await until(
      () => messagesOf(turn),
      (messages) => messages.some(({ content }) => content === 'done'),
    );
    expect((await ok(at, { body: [] })).json).to.deep.include({ missing: ['b'], status: 'waiting' });
    const wrong = await t.call(at, { body: [{ tool_call_id: 'a', content: 'mine' }] });
    expect(wrong.status, wrong.text).to.equal(409);
    await ok(at, { headers: later, body: [{ tool_call_id: 'b', content: 'yes' }] });
    const round = await nextRound(turn);
    expect((await requestOf(round.taskId)).messages.slice(-2).map(({ content }) => content)).to.deep.equal([
      'done',
      'yes',
    ]);
    await answered(round, { content: 'Both.' });
  });

  it('runs sixteen calls of an answer, and tells of a result what its project lets be shown', async () => {
    const turn = await begin();
    const many = Array.from({ length: 17 }, (_, n): [string, string] => [`c${n}`, 'two__add']);
    const before = (await callsOf('two')).length;
    await answered(turn, calling(...many));
    await until(
      () => callsOf('two'),
      (rows) => rows.length >= before + 16,
    );
    await ok('PATCH /api/v1/projects/demo', { body: { pipeline: { redact: ['tok_[a-z]+'] } } });
    for (const { id } of (await callsOf('two')).slice(0, 16))
      await (await speak(id)).end(whole(text('tok_abc')));
    const round = await nextRound(turn);
    await ok('PATCH /api/v1/projects/demo', { body: { pipeline: {} } });
    const results = (await requestOf(round.taskId)).messages.filter(({ role }) => role === 'tool');
    expect(results.map(({ content }) => content)).to.deep.equal([
      ...Array<string>(16).fill('[redacted]'),
      'At most 16 calls of one answer are run; call it again. (too_many_requests)',
    ]);
    expect(await callsOf('two')).to.have.length(before + 16);
    await answered(round, { content: 'Many.' });
  });

  it('is told of what is nested too deep for anybody, and goes on', async () => {
    const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
    const turn = await begin();
    const before = (await callsOf('two')).length;
    await answered(
      turn,
      calling(['deep', 'two__add', `{"a":${deep}}`], ['b', 'two__add'], ['c', 'two__add']),
    );
    const rows = await until(
      () => callsOf('two'),
      (calls) => calls.length >= before + 2,
    );
    expect(rows).to.have.length(before + 2);
    const structured = `{"result":{"structuredContent":${deep}}}`;
    await (await speak(rows[0]?.id ?? '')).end({ kind: 'completed', status: 200, body: structured });
    const error = { code: -32_000, message: 'x'.repeat(200_000) };
    await (await speak(rows[1]?.id ?? '')).end(whole({ error }));
    const round = await nextRound(turn);
    const contents = (await requestOf(round.taskId)).messages
      .filter(({ role }) => role === 'tool')
      .map(({ content }) => String(content));
    expect(contents.map((content) => /\((-?\w+)\)$/.exec(content)?.[1]).sort()).to.deep.equal(
      ['-32000', 'invalid_json', 'mcp_server_failed'].sort(),
    );
    expect(contents.join('')).to.match(/cut here: 200000 bytes in all/);
    await answered(round, { content: 'Deep.' });
  });

  it('offers nothing to a token that may not use the project, and runs nothing for it', async () => {
    const bob = { token: t.tokens.bob };
    const made = { userId: t.ada.id, name: 'bound', pools: ['gpt'], expiresInDays: null, createdBy: null };
    const bound = { token: (await t.registry.tokens.create(made)).text };
    for (const options of [bob, bound]) {
      const turn = await begin({}, options);
      expect(await toolsIn(turn)).to.deep.equal([]);
      const before = (await callsOf('one')).length;
      await answered(turn, calling(['a', 'one__add']));
      const { threadId, turn: n } = turn;
      const round = await until(
        async () => (await t.call(`GET /api/v1/threads/${threadId}/turns/${n}`, options)).json as TurnDetail,
        ({ status, taskId }) => status === 'running' && taskId !== turn.taskId,
      );
      const [result] = (await requestOf(round.taskId)).messages.slice(-1);
      expect(result?.['content']).to.equal('Unknown tool: one__add (invalid_request)');
      expect(await callsOf('one')).to.have.length(before);
      await t.call(`DELETE /api/v1/threads/${threadId}`, options);
    }
  });

  it('asks for the rights of its caller anew at each round', async () => {
    const turn = await begin();
    const before = (await callsOf('one')).length;
    await ok('PATCH /api/v1/agents/worker', { body: { serverTools: false } });
    await answered(turn, calling(['a', 'one__add']));
    const round = await nextRound(turn);
    expect((await requestOf(round.taskId)).tools).to.equal(undefined);
    expect(await callsOf('one')).to.have.length(before);
    await ok('PATCH /api/v1/agents/worker', { body: { serverTools: true } });
    await answered(round, { content: 'No tools.' });
    expect(await turnOf(turn)).to.include({ status: 'completed' });
  });

  it('ends its calls with the turn, whichever way that ends', async () => {
    const turn = await begin();
    const before = (await callsOf('one')).length;
    await answered(turn, calling(['a', 'one__add']));
    await called('one', before);
    await ok(`DELETE /api/v1/threads/${turn.threadId}/turns/${turn.turn}`);
    expect((await callsOf('one'))[0]?.status).to.equal('cancelled');
    const next = await begin({ threadId: turn.threadId });
    const busy = { message: 'and?', onBusy: 'reject' };
    await answered(next, calling(['a', 'one__add']));
    await called('one', before + 1);
    // Meanwhile it is as one that runs: neither its client nor anybody else has a result to bring.
    const refused = await t.call(`POST /api/v1/threads/${turn.threadId}/turns`, {
      headers: later,
      body: busy,
    });
    expect([refused.status, (refused.json as { code: string }).code]).to.deep.equal([409, 'thread_busy']);
    const queued = await begin({ threadId: turn.threadId, onPending: 'abandon' });
    expect(queued.status).to.equal('queued');
    await ok(`DELETE /api/v1/threads/${turn.threadId}/turns/${queued.turn}`);
    const interrupting = await begin({ threadId: turn.threadId, onBusy: 'interrupt' });
    await until(
      () => turnOf(interrupting),
      ({ status }) => status === 'running',
    );
    expect((await callsOf('one'))[0]?.status).to.equal('cancelled');
    expect(await turnOf(next)).to.include({ status: 'cancelled' });
  });

  it('says of each call a code of the catalogue, also where its tool has failed', async () => {
    const turn = await begin();
    const [one, two] = [(await callsOf('one')).length, (await callsOf('two')).length];
    await answered(turn, calling(['a', 'one__add'], ['b', 'two__add'], ['c', 'no_such']));
    const failed = { result: { content: [{ type: 'text', text: 'No.' }], isError: true } };
    await (await speak(await called('one', one))).end(whole(failed));
    await (
      await speak(await called('two', two))
    ).end(whole({ error: { code: -32_602, message: 'n is missing' } }));
    const round = await nextRound(turn);
    const [answer] = (await turnOf(turn)).answers;
    const codes = answer?.serverCalls.map(({ code }) => code ?? '') ?? [];
    expect(codes).to.deep.equal(['tool_failed', 'tool_failed', 'invalid_request']);
    expect(codes.filter((code) => !isErrorCode(code))).to.deep.equal([]);
    const results = (await requestOf(round.taskId)).messages.slice(-3).map(({ content }) => content);
    expect(results).to.deep.equal([
      'No.',
      'n is missing (-32602)',
      'Unknown tool: no_such (invalid_request)',
    ]);
    await answered(round, { content: 'No.' });
  });

  it('shows nothing of a result once there is no project that could say what', async () => {
    await ok('POST /api/v1/projects', { body: { name: 'brief', servers: [{ server: 'one' }] } });
    const lent = { name: 'lent', llm: 'gpt', project: 'brief', serverTools: true };
    await ok('POST /api/v1/agents', { body: lent });
    const body = { message: 'sum?' };
    const turn = (await ok('POST /api/v1/agents/lent/chat', { headers: later, body })).json as TurnView;
    const before = (await callsOf('one')).length;
    await answered(turn, calling(['a', 'one__add']));
    const call = await called('one', before);
    await ok('DELETE /api/v1/projects/brief');
    await (await speak(call)).end(whole(text('a secret')));
    const round = await nextRound(turn);
    expect((await requestOf(round.taskId)).messages.at(-1)?.['content']).to.match(/\(mcp_result_withheld\)$/);
    await answered(round, { content: 'Nothing.' });
    expect(await turnOf(turn)).to.include({ status: 'completed' });
  });

  for (const when of ['before its calls are begun', 'while a call runs'] as const)
    it(`ends with a token that is revoked ${when}, and calls nothing more`, async () => {
      const made = { userId: t.ada.id, name: when, pools: null, expiresInDays: null, createdBy: null };
      const { row, text: token } = await t.registry.tokens.create(made);
      const turn = await begin({}, { token });
      const before = (await callsOf('one')).length;
      if (when === 'before its calls are begun') await t.registry.tokens.revoke(row.id);
      await answered(turn, calling(['a', 'one__add']));
      if (when === 'while a call runs') {
        const call = await called('one', before);
        await t.registry.tokens.revoke(row.id);
        await (await speak(call)).end(whole(text('3')));
      }
      const ended = await until(
        () => turnOf(turn),
        ({ status }) => status === 'error',
      );
      expect(ended.error?.code).to.equal('unauthenticated');
      expect(ended.taskId, 'no next round').to.equal(turn.taskId);
      expect(await callsOf('one')).to.have.length(when === 'while a call runs' ? before + 1 : before);
    });

  /** Does something once, as the first task is about to be closed. */
  function onClose(act: (taskId: string) => Promise<void>): void {
    const { dispatch } = t.deps.queue;
    const { close } = dispatch;
    dispatch.close = async (...of) => {
      dispatch.close = close;
      await act(of[0].taskId);
      return await close(...of);
    };
  }

  for (const how of ['cancelled', 'interrupted'] as const)
    it(`is ${how}, and its calls with it, where its answer was quicker and has called tools`, async () => {
      const turn = await begin();
      const before = (await callsOf('one')).length;
      onClose(async () => {
        await answered(turn, calling(['a', 'one__add']));
        await called('one', before);
      });
      if (how === 'cancelled') {
        const { json } = await ok(`DELETE /api/v1/threads/${turn.threadId}/turns/${turn.turn}`);
        expect(json).to.include({ status: 'cancelled' });
      } else {
        const next = await begin({ threadId: turn.threadId, onBusy: 'interrupt' });
        await until(
          () => turnOf(next),
          ({ status }) => status === 'running',
        );
      }
      expect(await turnOf(turn)).to.include({ status: 'cancelled' });
      expect((await callsOf('one'))[0]?.status).to.equal('cancelled');
    });

  it('ends calls that strayed, though one of them cannot be ended, and fails no cancel of another turn', async () => {
    const turns = [await begin(), await begin(), await begin()];
    const calls: string[] = [];
    for (const turn of turns) {
      const before = (await callsOf('one')).length;
      await answered(turn, calling(['a', 'one__add']));
      calls.push(await called('one', before));
    }
    const { dispatch } = t.deps.queue;
    const { close } = dispatch;
    dispatch.close = (...of) =>
      of[0].taskId === calls[0] ? Promise.reject(new Error('WRONGTYPE')) : close(...of);
    try {
      for (const { threadId } of turns.slice(0, 2))
        await t.connection.db('chatTurns').where({ threadId }).update({ status: 'cancelled' });
      const statusOf = async (id = '') => (await t.registry.tasks.byId(id))?.status;
      await until(
        () => statusOf(calls[1]),
        (status) => status === 'cancelled',
      );
      await ok(`DELETE /api/v1/threads/${turns[2]?.threadId}/turns/1`);
      expect(await statusOf(calls[2])).to.equal('cancelled');
      expect(await statusOf(calls[0])).to.equal('pending');
    } finally {
      dispatch.close = close;
    }
  });

  /** A turn that somebody waits for. */
  async function waitedFor(
    ask: () => Promise<Answer>,
  ): Promise<{ asking: Promise<Answer>; turn: TurnView & { taskId: string } }> {
    const before = new Set(
      (await t.connection.db('chatTurns').select<{ id: string }[]>('id')).map(({ id }) => id),
    );
    const asking = ask();
    const turns = await until(
      () =>
        t.connection
          .db('chatTurns')
          .select<{ id: string; threadId: string; n: number; taskId: string }[]>(
            'id',
            'threadId',
            'n',
            'taskId',
          ),
      (rows) => rows.some(({ id }) => !before.has(id)),
    );
    const { threadId = '', n = 0, taskId = '' } = turns.find(({ id }) => !before.has(id)) ?? {};
    return { asking, turn: { ...(await turnOf({ threadId, turn: n } as TurnView)), taskId } };
  }
  const asks = (): Promise<Answer> =>
    t.call('POST /api/v1/agents/worker/chat', { headers: waits, body: { message: 'sum?' } });
  const looking = { ...calling(['a', 'one__add']), content: 'Let me look.' };

  it('gives who waits its last round, also where its agent has the tools no more', async () => {
    const { asking, turn } = await waitedFor(asks);
    await ok('PATCH /api/v1/agents/worker', { body: { serverTools: false } });
    await (await speak(turn.taskId)).end(whole({ choices: [{ message: looking }] }));
    const round = await nextRound(turn);
    await ok('PATCH /api/v1/agents/worker', { body: { serverTools: true } });
    await (await speak(round.taskId)).end(whole({ choices: [{ message: { content: 'No tools.' } }] }));
    const { json } = await asking;
    expect(json).to.include({ assistant: 'No tools.', taskId: round.taskId });
  });

  it('says to who waits that it has ended over its calls, and gives no round of it as its answer', async () => {
    const { asking, turn } = await waitedFor(asks);
    const { threadId } = turn;
    const longAgo = t.connection.db.raw(`now() - interval '2 hours'`);
    await t.connection.db('chatTurns').where({ threadId }).update({ toolsSince: longAgo });
    await (await speak(turn.taskId)).end(whole({ choices: [{ message: looking }] }));
    const { status, json } = await asking;
    expect([status, (json as { code: string }).code]).to.deep.equal([422, 'tool_rounds_exceeded']);
    expect(await turnOf(turn)).to.include({ status: 'error' });
  });

  /** Answers a turn that somebody waits for, round by round. */
  async function play(ask: () => Promise<Answer>): Promise<{ answer: Answer; turn: TurnView }> {
    const { asking, turn } = await waitedFor(ask);
    const { taskId } = turn;
    const calls = (await callsOf('one')).length;
    const first = await speak(taskId);
    const { streaming } = (await t.registry.tasks.byId(taskId)) ?? expect.fail('no task');
    const called = calling(['a', 'one__add', '{"n":1}']);
    const [delta] = [{ content: 'Let me look.' }];
    if (streaming) {
      await first.say(delta, {
        tool_calls: (called as { tool_calls: object[] }).tool_calls.map((call, index) => ({
          index,
          ...call,
        })),
      });
      await first.finish('tool_calls');
      await first.end({ kind: 'completed', status: 200, finishReason: 'tool_calls' });
    } else
      await first.end(
        whole({ choices: [{ message: { ...called, ...delta }, finish_reason: 'tool_calls' }] }),
      );
    await (await speak(await calledAfter('one', calls))).end(whole(text('3')));
    const round = await nextRound(turn);
    const second = await speak(round.taskId);
    if (streaming) {
      await second.say({ content: 'It is ' }, { content: 'three.' });
      await second.finish('stop');
      await second.end();
    } else
      await second.end(whole({ choices: [{ message: { content: 'It is three.' }, finish_reason: 'stop' }] }));
    return { answer: await asking, turn };
  }
  const calledAfter = called;
  const chunksOf = ({ text: body }: Answer) =>
    body
      .split('\n')
      .filter((line) => line.startsWith('data: {'))
      .map((line) => JSON.parse(line.slice(6)) as Chunk);
  interface Chunk {
    id: string;
    mcpctl?: { round?: number; calls?: { name: string; status: string }[] };
    choices: { delta: { content?: string; tool_calls?: object }; finish_reason: string | null }[];
  }

  for (const [door, ask] of [
    [
      'our own door',
      (stream: boolean) =>
        t.call('POST /api/v1/agents/worker/chat', { headers: waits, body: { message: 'sum?', stream } }),
    ],
    [
      "OpenAI's door",
      (stream: boolean) =>
        t.call('POST /v1/chat/completions', {
          headers: { ...waits, 'x-mcpctl-thread': 'new' },
          body: { model: 'worker', messages: [{ role: 'user', content: 'sum?' }], stream },
        }),
    ],
  ] as const) {
    it(`answers who waits at ${door} when all rounds are over, whole`, async () => {
      const { answer, turn } = await play(() => ask(false));
      expect(answer.status, answer.text).to.equal(200);
      if (door === 'our own door') {
        const { assistant, serverCalls, toolCalls } = answer.json as Record<string, unknown>;
        expect({ assistant, toolCalls }).to.deep.equal({ assistant: 'It is three.', toolCalls: undefined });
        expect(serverCalls).to.have.length(1);
      } else {
        const [{ message } = { message: {} }] = (answer.json as { choices: { message: object }[] }).choices;
        expect(message).to.deep.equal({ content: 'Let me look.\n\nIt is three.' });
      }
      const [, , result] = await messagesOf(turn);
      expect(result?.serverCall).to.include({ name: 'one__add', server: 'one', status: 'ended', code: null });
      const [first] = (await turnOf(turn)).answers;
      expect(first?.serverCalls.map(({ id }) => id)).to.deep.equal(['a']);
    });

    it(`answers who reads at ${door} one stream of all rounds`, async () => {
      const { answer } = await play(() => ask(true));
      expect(answer.status, answer.text).to.equal(200);
      const chunks = chunksOf(answer);
      const own = door === 'our own door';
      const heard = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta.content ?? '')).join('');
      expect(heard).to.equal(own ? 'Let me look.It is three.' : 'Let me look.\n\nIt is three.');
      expect(JSON.stringify(chunks)).to.not.include('tool_calls');
      const ends = chunks.flatMap(({ choices }) => choices.flatMap(({ finish_reason: why }) => why ?? []));
      expect(ends).to.deep.equal(['stop']);
      expect(answer.text.match(/data: \[DONE\]/g)).to.have.length(1);
      if (own)
        expect(chunks.flatMap(({ mcpctl }) => mcpctl?.calls?.at(-1)?.status ?? []).at(-1)).to.equal('ended');
      else expect(new Set(chunks.map(({ id }) => id))).to.have.property('size', 1);
    });
  }
});
