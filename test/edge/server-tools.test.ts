import { expect } from 'chai';
import type { TurnDetail, TurnView } from '../../core/agent/thread.ts';
import { edgeFixture, type Answer, type EdgeFixture } from '../support/edge.ts';
import {
  calling,
  choice,
  later,
  servedTurns,
  streamCalls,
  text,
  waits,
  whole,
} from '../support/server-tools.ts';
import { watchAt } from '../mcp/traffic/watched.ts';
import { until } from '../support/system.ts';

const own = [{ type: 'function', function: { name: 'ask_me', parameters: { type: 'object' } } }];

describe('an agent with the tools of its project', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await setUp();
  });
  beforeEach(() => announceServers());
  after(() => t.close());
  const {
    setUp,
    announceServers,
    ok,
    turnOf,
    messagesOf,
    speak,
    answered,
    begin,
    requestOf,
    toolsIn,
    callsOf,
    called,
    nextRound,
    waitedFor,
  } = servedTurns(() => t);

  it('is offered what the endpoint lists, calls two servers at once, and goes on with both results', async () => {
    const watch = await watchAt(t.url, t.tokens.ada);
    const turn = await begin();
    expect(await toolsIn(turn)).to.deep.equal(['one__add', 'two__add', 'two__secret']);
    const [one, two] = [(await callsOf('one')).length, (await callsOf('two')).length];
    await answered(
      turn,
      calling(
        ['a', 'one__add', '{"n": 1.0,"id":1234567890123456789}'],
        ['b', 'two__add'],
        ['c', 'one__secret'],
        ['d', 'two__add', '[1]'],
      ),
    );
    const [first, second] = [await called('one', one), await called('two', two)];
    expect((await t.registry.tasks.bodies(first)).requestBody, 'as the model wrote it').to.include(
      '"method":"tools/call","params":{"name":"add","arguments":{"n": 1.0,"id":1234567890123456789}}',
    );
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
    const seen = await watch.exchange(({ server }) => server === 'one');
    expect(seen).to.deep.include({
      ...{ user: 'ada', token: 'test', client: 'agent', era: null, method: 'tools/call', taskId: first },
      ...{ name: 'one__add', tool: 'add', outcome: 'ok', status: null, replayed: false, stages: [] },
    });
    expect(seen.ms.total).to.be.at.least(seen.ms.run ?? Infinity);
    await watch.exchange(({ taskId }) => taskId === second);
    watch.close();
    await answered(round, { content: 'Three.' });
    expect(await turnOf(turn)).to.include({ status: 'completed' });
    const roles = (await messagesOf(turn)).map(({ role }) => role);
    expect(roles.join(' ')).to.equal('user assistant tool tool tool tool assistant');
  });

  it('tells the model of a call whose outcome is not known, and of a server that is down', async () => {
    const watch = await watchAt(t.url, t.tokens.ada, { query: '?errors=true' });
    const turn = await begin();
    const before = (await callsOf('one')).length;
    await answered(turn, calling(['a', 'one__add']));
    const speaker = await speak(await called('one', before));
    await speaker.end({ kind: 'failed', code: 'worker_lost', message: 'Its worker has gone.' });
    const round = await nextRound(turn);
    expect((await requestOf(round.taskId)).messages.at(-1)?.['content']).to.match(
      /not run again.*\(outcome_unknown\)$/,
    );
    await watch.exchange(({ client, outcome }) => client === 'agent' && outcome === 'outcome_unknown');
    watch.close();
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

  it('reads on in a result that its project shows in pages, and runs nothing for that', async () => {
    await ok('PATCH /api/v1/projects/demo', { body: { pipeline: { paginate: { over: 1_000, page: 600 } } } });
    const lines = Array.from({ length: 200 }, (_, n) => `line ${n}\n`).join('');
    try {
      const turn = await begin();
      expect(await toolsIn(turn)).to.include('read_page');
      const before = (await callsOf('two')).length;
      await answered(turn, calling(['a', 'two__add']));
      await (await speak(await called('two', before))).end(whole(text(lines)));
      const round = await nextRound(turn);
      const shown = String((await requestOf(round.taskId)).messages.at(-1)?.['content']);
      const [, next = ''] = /The next: read_page (\{.*?\});/.exec(shown) ?? [];
      expect(shown)
        .to.match(/in 3 pages/)
        .and.include('line 0\n')
        .and.not.include('line 90');
      const all = next.replace('"page":2', '"page":"all"');
      const other = JSON.stringify({ result: `${turn.taskId ?? ''}.00000000`, page: 1 });
      await answered(
        round,
        calling(['b', 'read_page', next], ['c', 'read_page', all], ['d', 'read_page', other]),
      );
      const last = await nextRound({ ...turn, taskId: round.taskId });
      const [second, everything, gone] = (await requestOf(last.taskId)).messages
        .slice(-3)
        .map(({ content }) => String(content));
      expect(second).to.include('line 90\n').and.not.include('line 0\n');
      expect(everything).to.equal(lines);
      expect(gone).to.match(/\(mcp_result_gone\)$/);
      expect(await callsOf('two'), 'runs').to.have.length(before + 1);
      const calls = (await turnOf(turn)).answers.flatMap(({ serverCalls = [] }) => serverCalls);
      expect(calls.map(({ name, code }) => [name, code])).to.deep.equal([
        ['two__add', null],
        ...['b', 'c'].map(() => ['read_page', null]),
        ['read_page', 'tool_failed'],
      ]);
      await answered(last, { content: 'Read.' });
    } finally {
      await ok('PATCH /api/v1/projects/demo', { body: { pipeline: {} } });
    }
  });

  it('reads no more pages for one answer than calls are run for it', async () => {
    await ok('PATCH /api/v1/projects/demo', { body: { pipeline: { paginate: { over: 1_000, page: 600 } } } });
    try {
      const turn = await begin();
      const before = (await callsOf('two')).length;
      const page = JSON.stringify({ result: `${turn.taskId ?? ''}.00000000`, page: 1 });
      const pages = Array.from({ length: 16 }, (_, n): [string, string, string] => [
        `p${n}`,
        'read_page',
        page,
      ]);
      await answered(turn, calling(['a', 'two__add'], ...pages, ['z', 'two__add']));
      await (await speak(await called('two', before))).end(whole(text('two said')));
      const round = await nextRound(turn);
      const contents = (await requestOf(round.taskId)).messages
        .filter(({ role }) => role === 'tool')
        .map(({ content }) => /\((\w+)\)$/.exec(String(content))?.[1] ?? content);
      expect(contents).to.deep.equal([
        'two said',
        ...Array<string>(15).fill('mcp_result_gone'),
        ...['too_many_requests', 'too_many_requests'],
      ]);
      expect(await callsOf('two')).to.have.length(before + 1);
      await answered(round, { content: 'Enough.' });
    } finally {
      await ok('PATCH /api/v1/projects/demo', { body: { pipeline: {} } });
    }
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

  /** Answers a turn that somebody waits for, round by round. */
  async function play(ask: () => Promise<Answer>): Promise<{ answer: Answer; turn: TurnView }> {
    const { asking, turn } = await waitedFor(ask);
    const { taskId } = turn;
    const calls = (await callsOf('one')).length;
    const first = await speak(taskId);
    const { streaming } = (await t.registry.tasks.byId(taskId)) ?? expect.fail('no task');
    const [words, call] = ['Let me look.', ['a', 'one__add', '{"n":1}']] as const;
    if (streaming) await streamCalls(first, words, [...call]);
    else await first.end(choice({ ...calling([...call]), content: words }, 'tool_calls'));
    await (await speak(await called('one', calls))).end(whole(text('3')));
    const round = await nextRound(turn);
    const second = await speak(round.taskId);
    if (streaming) {
      await second.say({ content: 'It is ' }, { content: 'three.' });
      await second.finish('stop');
      await second.end();
    } else await second.end(choice({ content: 'It is three.' }));
    return { answer: await asking, turn };
  }
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

  const asked = [{ role: 'user', content: 'sum?' }];
  /** `passes`: a turn of no thread that its caller knows. */
  for (const [door, { passes }, ask] of [
    [
      'our own door',
      { passes: false },
      (stream: boolean) =>
        t.call('POST /api/v1/agents/worker/chat', { headers: waits, body: { message: 'sum?', stream } }),
    ],
    [
      "OpenAI's door without a thread",
      { passes: true },
      (stream: boolean) =>
        t.call('POST /v1/chat/completions', {
          headers: waits,
          body: { model: 'worker', messages: asked, stream },
        }),
    ],
    [
      'the door for inference',
      { passes: true },
      (stream: boolean) =>
        t.call('POST /api/v1/llms/worker/infer', { headers: waits, body: { messages: asked, stream } }),
    ],
    [
      "OpenAI's door",
      { passes: false },
      (stream: boolean) =>
        t.call('POST /v1/chat/completions', {
          headers: { ...waits, 'x-mcpctl-thread': 'new' },
          body: { model: 'worker', messages: asked, stream },
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
      expect(answer.headers.has('x-mcpctl-thread-id')).to.equal(!passes);
      if (passes) return;
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
