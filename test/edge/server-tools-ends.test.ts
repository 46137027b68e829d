import { expect } from 'chai';
import type { TurnView } from '../../core/agent/thread.ts';
import { isErrorCode } from '../../core/errors.ts';
import { edgeFixture, type Answer, type EdgeFixture } from '../support/edge.ts';
import { calling, later, servedTurns, text, waits, whole } from '../support/server-tools.ts';
import { until } from '../support/system.ts';

describe('a turn whose calls the server runs, as something comes between', function () {
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

  it('calls in sixteen rounds and no more, and no gate of its project is before that', async () => {
    await ok('PATCH /api/v1/projects/demo', { body: { gate: 'require' } });
    let turn = await begin();
    expect(await toolsIn(turn), 'nothing to be briefed with').to.deep.equal([
      ...['one__add', 'two__add', 'two__secret'],
    ]);
    const before = (await callsOf('one')).length;
    await answered(turn, calling(['a', 'one__add']));
    await (await speak(await called('one', before))).end(whole(text('3')));
    for (let round = 2; round <= 16; round++) {
      const next = await nextRound(turn);
      if (round === 1) expect((await requestOf(next.taskId)).messages.at(-1)).to.include({ content: '3' });
      turn = { ...turn, taskId: next.taskId };
      await answered(turn, calling(['b', 'no_such']));
    }
    const ended = await until(
      () => turnOf(turn),
      ({ status }) => status === 'error',
    );
    expect(ended.error?.code).to.equal('tool_rounds_exceeded');
    expect(ended.answers).to.have.length(16);
    await ok('PATCH /api/v1/projects/demo', { body: { gate: 'off' } });
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

  it('belongs to the project that it was made with, where its agent is moved meanwhile', async () => {
    const secret = { servers: [{ server: 'one' }], pipeline: { redact: ['tok_[a-z]+'] } };
    await ok('POST /api/v1/projects', { body: { name: 'strict', ...secret } });
    await ok('POST /api/v1/projects', { body: { name: 'open', servers: [{ server: 'two', alias: 'one' }] } });
    const nomad = { name: 'nomad', llm: 'gpt', project: 'strict', serverTools: true };
    await ok('POST /api/v1/agents', { body: nomad });
    const begun = async () =>
      (await ok('POST /api/v1/agents/nomad/chat', { headers: later, body: { message: 'sum?' } }))
        .json as TurnView;
    const move = (project: string) => ok('PATCH /api/v1/agents/nomad', { body: { project } });
    const lastResult = async (taskId: string | null) =>
      (await requestOf(taskId)).messages.at(-1)?.['content'];
    const turn = await begun();
    const before = (await callsOf('one')).length;
    await answered(turn, calling(['a', 'one__add']));
    const call = await called('one', before);
    await move('open');
    await (await speak(call)).end(whole(text('It is tok_hush.')));
    const round = await nextRound(turn);
    expect(await lastResult(round.taskId), 'redacted as there').to.equal('It is [redacted].');
    await answered(round, { content: 'Done.' });
    await move('strict');
    const offered = await begun();
    await move('open');
    await answered(offered, calling(['b', 'one__add']));
    const next = await nextRound(offered);
    expect(await lastResult(next.taskId), 'what it was offered was another').to.match(
      /^Unknown tool: one__add/,
    );
    await answered(next, { content: 'Done.' });
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
    const close = dispatch.close.bind(dispatch);
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
    const close = dispatch.close.bind(dispatch);
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
});

describe('calls of an answer that their caller has no room for', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture({ MCPCTL_MAX_USER_TASKS: '2' });
    await setUp();
  });
  beforeEach(() => announceServers());
  after(() => t.close());
  const { setUp, announceServers, turnOf, speak, answered, begin, requestOf, callsOf, nextRound } =
    servedTurns(() => t);
  /** Tasks of all calls, in the order that they were planned in, once there are so many. */
  const begunCalls = async (count: number): Promise<string[]> =>
    (
      await until(
        () => callsOf('two'),
        (rows) => rows.length === count,
      )
    )
      .map(({ id }) => id)
      .sort();
  const argumentsOf = async (id: string): Promise<unknown> =>
    (
      JSON.parse((await t.registry.tasks.bodies(id)).requestBody ?? '{}') as {
        params: { arguments: unknown };
      }
    ).params.arguments;

  it('are begun in order as there is room, and the turn goes on with all results', async () => {
    const turn = await begin();
    const made = [1, 2, 3, 4].map((n): [string, string, string] => [`c${n}`, 'two__add', `{"n":${n}}`]);
    await answered(turn, calling(...made));
    const [first = '', second = ''] = await begunCalls(2);
    const { answers } = await turnOf(turn);
    expect(answers[0]?.serverCalls.map(({ taskId }) => taskId !== null)).to.deep.equal([
      true,
      true,
      false,
      false,
    ]);
    await (await speak(second)).end(whole(text('2')));
    const [, , third = ''] = await begunCalls(3);
    expect(await argumentsOf(third)).to.deep.equal({ n: 3 });
    await (await speak(first)).end(whole(text('1')));
    await (await speak(third)).end(whole(text('3')));
    const [, , , fourth = ''] = await begunCalls(4);
    expect(await argumentsOf(fourth)).to.deep.equal({ n: 4 });
    await (await speak(fourth)).end(whole(text('4')));
    const round = await nextRound(turn);
    const results = (await requestOf(round.taskId)).messages.slice(-4).map(({ content }) => content);
    expect(results).to.deep.equal(['1', '2', '3', '4']);
    await answered(round, { content: 'Ten.' });
    expect(await turnOf(turn)).to.include({ status: 'completed' });
  });

  it('end their turn with a sentence where there is none for an hour, and with it', async () => {
    // How many tasks are open is known a moment later.
    const { json } = await until(
      () => t.call('POST /api/v1/agents/worker/chat', { headers: later, body: { message: 'sum?' } }),
      ({ status }) => status === 202,
    );
    const turn = json as TurnView;
    await answered(turn, calling(['a', 'two__add'], ['b', 'two__add'], ['c', 'two__add']));
    const [, , , , call = ''] = await begunCalls(6);
    const { threadId } = turn;
    const longAgo = t.connection.db.raw(`now() - interval '2 hours'`);
    await t.connection.db('chatTurns').where({ threadId }).update({ toolsSince: longAgo });
    const ended = await until(
      () => turnOf(turn),
      ({ status }) => status === 'error',
    );
    expect(ended.error).to.include({ code: 'queue_timeout' });
    expect(ended.error?.message).to.match(
      /^1 calls of the turn found no room within an hour: .*MCPCTL_MAX_USER_TASKS/,
    );
    const { answers } = await until(
      () => turnOf(turn),
      (now) => now.answers[0]?.serverCalls.every(({ status }) => status === 'ended') === true,
    );
    expect(answers[0]?.serverCalls.map(({ code }) => code)).to.deep.equal([
      'task_cancelled',
      'task_cancelled',
      'task_cancelled',
    ]);
    expect(await t.registry.tasks.byId(call)).to.include({ status: 'cancelled' });
  });
});
