import { expect } from 'chai';
import type { TurnView } from '../../core/agent/thread.ts';
import type { TakenView } from '../../core/resources/define.ts';
import { createForgetDuty } from '../../scheduler/duties/forget.ts';
import { createThreadsDuty } from '../../scheduler/duties/threads.ts';
import { secondEdge } from '../relay/second-edge.ts';
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
import { until } from '../support/system.ts';
import { dutyDeps } from '../support/tasks.ts';

const own = [{ type: 'function', function: { name: 'ask_me', parameters: { type: 'object' } } }];

describe('a call of an agent whose calls the server runs, in no thread', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await setUp();
  });
  beforeEach(() => announceServers());
  after(() => t.close());
  const { setUp, announceServers, ok, speak, requestOf, callsOf, called, nextRound, waitedFor } = servedTurns(
    () => t,
  );
  const ask = (body: object, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<Answer> =>
    t.call('POST /v1/chat/completions', {
      headers: { ...waits, ...headers },
      body: { model: 'worker', ...body },
      signal,
    });
  const messageIn = ({ json }: Answer): unknown =>
    (json as { choices: { message: unknown }[] }).choices[0]?.message;
  const statusOf = (turn: TurnView) => t.registry.threads.turn(turn.threadId, 1);
  /** A conversation that a client has. */
  const chat = [
    { role: 'user', content: 'hi', name: 'ada' },
    { role: 'assistant', content: 'Hello.' },
    { role: 'user', content: [{ type: 'text', text: 'sum?' }] },
  ];

  it('asks each round with all of the conversation as it was sent, tells of an unknown outcome, and is in no list', async () => {
    const before = (await callsOf('one')).length;
    const { asking, turn } = await waitedFor(() => ask({ messages: chat }));
    expect((await requestOf(turn.taskId)).messages).to.deep.equal(chat);
    await (await speak(turn.taskId)).end(choice(calling(['a', 'one__add']), 'tool_calls'));
    const lost = { kind: 'failed', code: 'worker_lost', message: 'Its worker has gone.' } as const;
    await (await speak(await called('one', before))).end(lost);
    const round = await nextRound(turn);
    const { messages, tools = [] } = await requestOf(round.taskId);
    expect(messages.slice(0, 3)).to.deep.equal(chat);
    expect(messages.slice(3).map(({ role }) => role)).to.deep.equal(['assistant', 'tool']);
    expect(messages.at(-1)?.['content']).to.match(/not run again.*\(outcome_unknown\)$/);
    expect(tools.map(({ function: { name } }) => name)).to.include('one__add');
    await (await speak(round.taskId)).end(choice({ content: 'Unknown.' }));
    const answer = await asking;
    expect(messageIn(answer)).to.deep.equal({ content: 'Unknown.' });
    expect(answer.headers.get('x-mcpctl-thread-id')).to.equal(null);
    const { items } = (await ok('GET /api/v1/threads')).json as { items: unknown[] };
    expect(items).to.deep.equal([]);
    expect((await t.call(`GET /api/v1/threads/${turn.threadId}`)).status).to.equal(404);
    expect((await ok('GET /api/v1/agents/worker')).json).to.include({ threads: 0 });
    const { deletes = [] } = (await ok('DELETE /api/v1/agents/worker?dryRun=true')).json as TakenView;
    expect(deletes.map(({ resource }) => resource)).to.not.include('thread');
  });

  it("shows its client the client's calls alone, and goes on with what it has run once their results come", async () => {
    const before = (await callsOf('one')).length;
    const messages = [{ role: 'user', content: 'sum, and ask me' }];
    const { asking, turn } = await waitedFor(() => ask({ messages, tools: own }));
    const both = calling(['a', 'one__add'], ['b', 'ask_me']);
    await (await speak(turn.taskId)).end(choice({ ...both, content: 'Let me see.' }, 'tool_calls'));
    const shown = { role: 'assistant', ...(messageIn(await asking) as { tool_calls: { id: string }[] }) };
    expect(shown.tool_calls.map(({ id }) => id)).to.deep.equal(['b']);
    const result = { role: 'tool', tool_call_id: 'b', content: 'yes' };
    // Calls of another conversation may be called alike.
    const other = await waitedFor(() =>
      ask({ messages: [{ role: 'user', content: 'another' }, shown, result], tools: own }),
    );
    expect(other.turn.threadId).to.not.equal(turn.threadId);
    await (await speak(other.turn.taskId)).end(choice({ content: 'Another.' }));
    expect(messageIn(await other.asking)).to.deep.equal({ content: 'Another.' });
    const going = ask({ messages: [...messages, shown, result], tools: own });
    await (await speak(await called('one', before))).end(whole(text('3')));
    const round = await nextRound(turn);
    expect((await requestOf(round.taskId)).messages.slice(-2).map(({ content }) => content)).to.deep.equal([
      '3',
      'yes',
    ]);
    await (await speak(round.taskId)).end(choice(calling(['c', 'ask_me']), 'tool_calls'));
    const more = { role: 'assistant', ...(messageIn(await going) as object) };
    const second = { role: 'tool', tool_call_id: 'c', content: 'no' };
    const goneOn = ask({ messages: [...messages, shown, result, more, second], tools: own });
    const last = await nextRound({ ...turn, taskId: round.taskId ?? '' });
    expect((await requestOf(last.taskId)).messages.map(({ content }) => content).slice(-2)).to.deep.equal([
      null,
      'no',
    ]);
    await (await speak(last.taskId)).end(choice({ content: 'Three.' }));
    expect(messageIn(await goneOn), 'not again what was said before').to.deep.equal({ content: 'Three.' });
    expect(await callsOf('one')).to.have.length(before + 1);
  });

  it('is refused with results of some of its calls, and goes on once all of them come', async () => {
    const messages = [{ role: 'user', content: 'ask me twice' }];
    const { asking, turn } = await waitedFor(() => ask({ messages, tools: own }));
    await (await speak(turn.taskId)).end(choice(calling(['b', 'ask_me'], ['c', 'ask_me']), 'tool_calls'));
    const shown = { role: 'assistant', ...(messageIn(await asking) as object) };
    const [one, other] = ['b', 'c'].map((id) => ({ role: 'tool', tool_call_id: id, content: 'yes' }));
    const some = await ask({ messages: [...messages, shown, one], tools: own });
    expect(some.status, some.text).to.equal(400);
    expect(some.text).to.include("a result of the call 'c'").and.not.include(turn.threadId);
    const going = ask({ messages: [...messages, shown, one, other], tools: own });
    await (await speak((await nextRound(turn)).taskId)).end(choice({ content: 'Good.' }));
    expect(messageIn(await going)).to.deep.equal({ content: 'Good.' });
  });

  for (const when of ['while a call runs', 'while a later round does'] as const)
    it(`ends with its caller ${when}`, async () => {
      const leaving = new AbortController();
      const before = (await callsOf('one')).length;
      const { signal } = leaving;
      const { asking, turn } = await waitedFor(() => ask({ messages: chat, stream: true }, {}, signal));
      await (await speak(turn.taskId)).end(choice(calling(['a', 'one__add']), 'tool_calls'));
      const call = await called('one', before);
      if (when === 'while a later round does') {
        await (await speak(call)).end(whole(text('3')));
        const round = await nextRound(turn);
        await t.call(`GET /api/v1/tasks/${round.taskId ?? ''}`);
      }
      leaving.abort();
      await asking.catch(() => undefined);
      const { taskId } = await until(
        () => statusOf(turn),
        ({ status }) => status === 'cancelled',
      );
      const ended = when === 'while a call runs' ? call : (taskId ?? '');
      await until(
        () => t.registry.tasks.byId(ended),
        (row) => row?.status === 'cancelled',
      );
    });

  it('is one under a key, and its answer is kept for who comes again', async () => {
    const key = { 'idempotency-key': 'once' };
    const before = (await callsOf('one')).length;
    const { asking, turn } = await waitedFor(() => ask({ messages: chat }, key));
    const looking = { ...calling(['a', 'one__add']), content: 'Let me look.' };
    await (await speak(turn.taskId)).end(choice(looking, 'tool_calls'));
    await (await speak(await called('one', before))).end(whole(text('3')));
    await (await speak((await nextRound(turn)).taskId)).end(choice({ content: 'Three.' }));
    const first = messageIn(await asking);
    expect(first).to.deep.equal({ content: 'Let me look.\n\nThree.' });
    const again = await ask({ messages: chat }, key);
    expect(again.headers.get('idempotency-replayed')).to.equal('true');
    expect(messageIn(again)).to.deep.equal(first);
    expect(await callsOf('one')).to.have.length(before + 1);
    expect((await ask({ messages: chat.slice(0, 1) }, key)).status).to.equal(422);
  });

  it('keeps nothing of what was said where its caller wants so', async () => {
    const before = (await callsOf('one')).length;
    const { asking, turn } = await waitedFor(() => ask({ messages: chat }, { 'x-mcpctl-retention': 'none' }));
    const thread = t.connection.db('chatThreads').where({ id: turn.threadId });
    const brief = await thread.clone().whereRaw(`expires_at < now() + interval '11 minutes'`);
    expect(brief, 'should its caller leave, or its edge die').to.have.length(1);
    await (await speak(turn.taskId)).end(choice(calling(['a', 'one__add']), 'tool_calls'));
    const call = await called('one', before);
    await (await speak(call)).end(whole(text('3')));
    const round = await nextRound(turn);
    await (await speak(round.taskId)).end(choice({ content: 'Three.' }));
    expect((await asking).status).to.equal(200);
    await until(
      () => Promise.all([turn.taskId, round.taskId ?? '', call].map((id) => t.registry.tasks.bodies(id))),
      (bodies) => bodies.every((each) => each.requestBody === null && each.responseBody === null),
    );
    const left = await t.connection.db('chatThreads').where({ id: turn.threadId });
    expect(left).to.deep.equal([]);
  });

  it('is not run once more under its key where nothing of it is kept', async () => {
    const how = { 'idempotency-key': 'unkept', 'x-mcpctl-retention': 'none' };
    const { asking, turn } = await waitedFor(() => ask({ messages: chat }, how));
    await (await speak(turn.taskId)).end(choice({ content: 'Three.' }));
    expect((await asking).status).to.equal(200);
    const { db } = t.connection;
    const [{ request } = {}] = await until(
      () => db('chatTurns').where({ threadId: turn.threadId }).select<{ request: string }[]>('request'),
      ([row]) => row?.request !== undefined && !row.request.includes('sum?'),
    );
    expect(request).to.equal('{}');
    const texts = await db('chatMessages').where({ threadId: turn.threadId }).select<{ content: string }[]>();
    expect(texts.map(({ content }) => content)).to.deep.equal(['']);
    const again = await ask({ messages: chat }, how);
    expect([again.status, (again.json as { error: { code: string } }).error.code]).to.deep.equal([
      ...[410, 'gone'],
    ]);
  });

  it('forgets what it kept under its key where nobody has come for that in ten minutes', async () => {
    const how = { 'idempotency-key': 'uncollected', 'x-mcpctl-retention': 'none' };
    const leaving = new AbortController();
    const { asking, turn } = await waitedFor(() => ask({ messages: chat }, how, leaving.signal));
    leaving.abort();
    await asking.catch(() => undefined);
    await (await speak(turn.taskId)).end(choice({ content: 'Three.' }));
    await t.call(`GET /api/v1/tasks/${turn.taskId}?wait=10`);
    expect(await statusOf(turn)).to.include({ status: 'completed' });
    const { db } = t.connection;
    const requestIn = async (): Promise<string | undefined> =>
      (await db('chatTurns').where({ threadId: turn.threadId }).first<{ request: string }>('request'))
        ?.request;
    const lookAfter = async (minutes: number): Promise<void> => {
      const endedAt = db.raw(`now() - ? * interval '1 minute'`, [minutes]);
      await db('chatTurns').where({ threadId: turn.threadId }).update({ endedAt });
      await createThreadsDuty(dutyDeps(t)).run(new AbortController().signal);
    };
    await lookAfter(9);
    expect(await requestIn()).to.include('sum?');
    await lookAfter(11);
    expect(await requestIn()).to.equal('{}');
    const again = await ask({ messages: chat }, how);
    expect([again.status, (again.json as { error: { code: string } }).error.code]).to.deep.equal([
      ...[410, 'gone'],
    ]);
  });

  it('counts with what its user keeps, and the oldest go first; what is open stays', async () => {
    const { db } = t.connection;
    await db('chatThreads').where({ isPassing: true }).delete();
    const [first, second, open] = ['first', 'second', 'open'].map((word) => ({
      headers: { 'idempotency-key': `kept-${word}` },
      body: { messages: [{ role: 'user', content: word.padEnd(20_000, '.') }], tools: own },
    }));
    const threads: string[] = [];
    for (const each of [first, second, open]) {
      const { asking, turn } = await waitedFor(() => ask(each?.body ?? {}, each?.headers));
      const message = each === open ? calling(['b', 'ask_me']) : { content: 'z'.repeat(10_000) };
      await (await speak(turn.taskId)).end(choice(message, each === open ? 'tool_calls' : 'stop'));
      expect((await asking).status).to.equal(200);
      threads.push(turn.threadId);
    }
    const lengths = (): Promise<number[]> =>
      Promise.all(
        threads.map(async (threadId) => {
          const row = await db('chatTurns').where({ threadId }).first<{ request: string }>('request');
          return row?.request.length ?? 0;
        }),
      );
    const passing = (await t.registry.threads.passingBytes()).get(t.ada.id) ?? 0;
    expect(passing, 'of two that have ended').to.be.within(60_000, 62_000);
    const forget = async (mostBytes: number): Promise<unknown> => {
      const deps = dutyDeps(t);
      const config = { ...deps.config, maxUserKeptBytes: mostBytes };
      return await createForgetDuty({ ...deps, config }).run(new AbortController().signal);
    };
    const kept = ((await t.registry.tasks.keptBytes()).get(t.ada.id) ?? 0) + passing;
    await forget(kept - 1_000);
    expect((await lengths()).map((length) => length > 20_000)).to.deep.equal([false, true, true]);
    expect((await ask(first?.body ?? {}, first?.headers)).status, 'not run once more').to.equal(410);
    expect((await ask(second?.body ?? {}, second?.headers)).status).to.equal(200);
    await forget(1);
    expect((await lengths()).map((length) => length > 20_000)).to.deep.equal([false, false, true]);
    expect((await t.registry.threads.passingBytes()).get(t.ada.id)).to.equal(undefined);
  });

  it('waits for results of a client’s tools as far as there is room for the calls of its user', async () => {
    const body = { messages: [{ role: 'user', content: 'ask'.padEnd(20_000, '.') }], tools: own };
    const { asking, turn } = await waitedFor(() => ask(body));
    await (await speak(turn.taskId)).end(choice(calling(['b', 'ask_me']), 'tool_calls'));
    expect((await asking).status).to.equal(200);
    const narrow = await secondEdge(t, { ...t.deps.config, maxUserQueuedBytes: 30_000 });
    try {
      const refused = await fetch(`${narrow.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${t.tokens.ada}`, 'content-type': 'application/json', ...waits },
        body: JSON.stringify({ model: 'worker', ...body }),
      });
      const { error } = (await refused.json()) as { error: { code: string; message: string } };
      expect([refused.status, error.code]).to.deep.equal([429, 'quota_exceeded']);
      expect(error.message).to.match(/hold \d{5} bytes; with this one they would be over 30000/);
    } finally {
      await narrow.close();
    }
  });

  it("is answered in Ollama's words at its door", async () => {
    const before = (await callsOf('one')).length;
    const body = { model: 'worker', messages: [{ role: 'user', content: 'sum?' }], stream: true };
    const { asking, turn } = await waitedFor(() => t.call('POST /api/chat', { headers: waits, body }));
    await streamCalls(await speak(turn.taskId), 'Let me look.', ['a', 'one__add']);
    await (await speak(await called('one', before))).end(whole(text('3')));
    const second = await speak((await nextRound(turn)).taskId);
    await second.say({ content: 'Three.' });
    await second.finish('stop');
    await second.end();
    const lines = (await asking).text
      .trim()
      .split('\n')
      .map(
        (line) => JSON.parse(line) as { message: { content: string; tool_calls?: object }; done: boolean },
      );
    expect(lines.map(({ message }) => message.content).join('')).to.equal('Let me look.\n\nThree.');
    expect(lines.filter(({ done }) => done)).to.have.length(1);
    expect(lines.at(-1)).to.include({ done: true, done_reason: 'stop' });
    expect(lines.filter(({ message }) => message.tool_calls)).to.deep.equal([]);
  });

  it('is refused where nobody waits for it, and where agents are not asked', async () => {
    const messages = [{ role: 'user', content: 'sum?' }];
    const refused = [
      await t.call('POST /v1/chat/completions', { headers: later, body: { model: 'worker', messages } }),
      await t.call('POST /api/v1/tasks', { body: { llm: 'worker', request: { messages } } }),
      await t.call('POST /v1/responses', { body: { model: 'worker', input: 'sum?' } }),
    ];
    expect(refused.map(({ status }) => status)).to.deep.equal([400, 400, 400]);
    expect(refused[0]?.text).to.include('ask for it in a thread: POST /api/v1/agents/worker/chat');
    expect(refused[1]?.text).to.include('ask for it in a thread');
    expect(refused[2]?.text).to.match(/chat/);
  });
});
