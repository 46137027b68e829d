import { expect } from 'chai';
import fc from 'fast-check';
import type { MessageView, ThreadView, TurnView } from '../../core/agent/thread.ts';
import { McpctlError } from '../../core/errors.ts';
import { usualLimits, type RegistryLimits } from '../../core/registry/names/limits.ts';
import { importBatches } from '../../core/registry/threads/keeping/import-messages.ts';
import { createThreads } from '../../core/registry/threads/threads.ts';
import { createThreadsDuty } from '../../scheduler/duties/threads.ts';
import { edgeFixture, publicLlm, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';
import { speakFor, texts } from '../support/speaker.ts';
import { dutyDeps } from '../support/tasks.ts';

const later = { prefer: 'respond-async' };

describe('what becomes of threads', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'gpt');
    const agent = { name: 'reviewer', llm: 'gpt', systemPrompt: 'You review.' };
    expect((await t.call('POST /api/v1/agents', { token: t.tokens.root, body: agent })).status).to.equal(201);
  });
  after(() => t.close());

  const call = async (what: string, options: Call = {}): Promise<Answer> => {
    const [method = '', path = ''] = what.split(' ');
    const answer = await t.call(`${method} /api/v1${path}`, options);
    expect(answer.status, `${what} ${answer.text}`).to.be.within(200, 204);
    return answer;
  };
  const code = async (what: string, options: Call = {}): Promise<string> => {
    const [method = '', path = ''] = what.split(' ');
    return ((await t.call(`${method} /api/v1${path}`, options)).json as { code: string }).code;
  };
  const answered = async (turn: TurnView, content: string): Promise<TurnView> => {
    const row = (await t.registry.tasks.byId(turn.taskId ?? '')) ?? expect.fail('no task');
    const body = JSON.stringify({ choices: [{ message: { content }, finish_reason: 'stop' }] });
    const speaker = await speakFor(t, row);
    await speaker.end({ kind: 'completed', status: 200, body, finishReason: 'stop' });
    await call(`GET /tasks/${row.id}?wait=10`);
    return turn;
  };
  const say = async (message: string, content: string, threadId?: string): Promise<TurnView> => {
    const body = { message, ...(threadId !== undefined && { threadId }) };
    return await answered(
      (await call('POST /agents/reviewer/chat', { body, headers: later })).json as TurnView,
      content,
    );
  };
  const messages = async (id: string): Promise<string[]> =>
    ((await call(`GET /threads/${id}/messages`)).json as { items: MessageView[] }).items.map(
      ({ turn, turnIndex, content, inContext }) =>
        `${turn} ${turnIndex} ${content}${inContext ? '' : ' (out)'}`,
    );
  const requestOf = async ({ taskId }: TurnView): Promise<string[]> => {
    const { requestBody } = await t.registry.tasks.bodies(taskId ?? '');
    return (JSON.parse(requestBody ?? '') as { messages: { content: string }[] }).messages.map(
      ({ content }) => content,
    );
  };

  it('the last turn is tried again, and the one before is told of no more', async () => {
    const { threadId } = await say('one?', 'One.');
    const first = await say('two?', 'Wrong.', threadId);
    const stale = await code(`POST /threads/${threadId}/turns/1/retry`, { headers: later });
    expect(stale).to.equal('invalid_request');
    const again = (await call(`POST /threads/${threadId}/turns/2/retry`, { headers: later }))
      .json as TurnView;
    expect(again).to.include({ turn: 3, status: 'running' });
    expect(again.supersedes).to.be.a('string');
    expect(await requestOf(again)).to.deep.equal(['You review.', 'one?', 'One.', 'two?']);
    expect(await code(`POST /threads/${threadId}/turns/3/retry`, { headers: later })).to.equal('thread_busy');
    await answered(again, 'Right.');
    expect(await messages(threadId)).to.deep.equal([
      ...['1 0 one?', '1 1 One.', '2 2 two? (out)', '2 3 Wrong. (out)'],
      ...['3 4 two?', '3 5 Right.'],
    ]);
    expect(await requestOf(first)).to.have.length(4);
    const pinned = { body: { pin: 'nobody' }, headers: later };
    expect(await code(`POST /threads/${threadId}/turns/3/retry`, pinned)).to.equal('llm_not_found');
    expect(await messages(threadId)).to.have.length(6); // what is refused leaves nothing
  });

  it('who may look at all of them deletes none that is another’s', async () => {
    const { threadId } = await say('mine?', 'Yours.');
    const bindings = ['view', 'edit'].map((role) => ({ role, resource: 'thread' }));
    const body = { name: 'onlookers', subjects: [{ kind: 'user', name: 'bob' }], bindings };
    await call('POST /rbac', { token: t.tokens.root, body });
    const by = { token: t.tokens.bob };
    await call(`GET /threads/${threadId}`, by);
    expect(await code(`DELETE /threads/${threadId}`, by)).to.equal('forbidden');
    expect(await messages(threadId)).to.have.length(2);
    await call('PATCH /rbac/onlookers', {
      token: t.tokens.root,
      body: { bindings: [{ role: 'delete', resource: 'thread' }] },
    });
    await call(`DELETE /threads/${threadId}`, by);
    expect(await code(`GET /threads/${threadId}`)).to.equal('thread_not_found');
  });

  it('a turn is left out of what is told, and what was said stays', async () => {
    const { threadId } = await say('one?', 'One.');
    await say('two?', 'Two.', threadId);
    for (let again = 0; again < 2; again++) {
      const dropped = (await call(`DELETE /threads/${threadId}/turns/2?drop=true`)).json;
      expect(dropped).to.include({ status: 'completed', inContext: false });
    }
    const next = await say('three?', 'Three.', threadId);
    expect(await requestOf(next)).to.deep.equal(['You review.', 'one?', 'One.', 'three?']);
    expect(await messages(threadId)).to.include('2 3 Two. (out)');
    const open = (
      await call('POST /agents/reviewer/chat', { body: { message: 'x', threadId }, headers: later })
    ).json as TurnView;
    const ended = (await call(`DELETE /threads/${threadId}/turns/${open.turn}?drop=true`)).json;
    expect(ended).to.include({ status: 'cancelled', inContext: false });
  });

  it('a copy goes its own way, and a thread is taken along and made again of what was taken', async () => {
    const { threadId } = await say('one?', 'One.');
    await say('two?', 'Two.', threadId);
    const forked = (await call(`POST /threads/${threadId}/fork`, { body: { atTurn: 1 } })).json as ThreadView;
    expect(forked).to.include({ forkedFrom: threadId, forkedAt: 1, turns: 1, messages: 2, openTurn: null });
    const next = await say('else?', 'Else.', forked.id);
    expect(await requestOf(next)).to.deep.equal(['You review.', 'one?', 'One.', 'else?']);
    expect(await messages(threadId)).to.have.length(4);
    await call(`DELETE /threads/${threadId}`);
    expect(await messages(forked.id)).to.deep.equal(['1 0 one?', '1 1 One.', '2 2 else?', '2 3 Else.']);
    expect(await requestOf(next)).to.have.length(4);

    const taken = (await call(`GET /threads/${forked.id}/export`)).json as object;
    const made = (await call('POST /agents/reviewer/threads', { body: taken })).json as ThreadView;
    expect(made).to.include({ title: 'one?', turns: 2, messages: 4 });
    expect((await call(`GET /threads/${made.id}/export`)).json).to.deep.equal(taken);
    expect(await requestOf(await say('and?', 'And.', made.id))).to.deep.equal([
      'You review.',
      ...['one?', 'One.', 'else?', 'Else.', 'and?'],
    ]);
    const lines = (await call(`GET /threads/${made.id}/export?format=jsonl`)).text.trim().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as MessageView).turnIndex)).to.deep.equal([
      0, 1, 2, 3, 4, 5,
    ]);
    const text = (await call(`GET /threads/${made.id}/export?format=markdown`)).text;
    expect(text).to.include('# one?').and.to.include('**reviewer**\n\nElse.').and.not.include('You review.');
    const twice = {
      messages: [
        { role: 'assistant', content: 'a' },
        { role: 'assistant', content: 'b' },
      ],
    };
    expect(await code('POST /agents/reviewer/threads', { body: twice })).to.equal('invalid_request');
    for (const path of ['export', 'messages'])
      expect(await code(`GET /threads/${made.id}/${path}`, { token: t.tokens.bob })).to.equal(
        'thread_not_found',
      );
  });

  it('what was said elsewhere is kept some hundred messages at a time, each turn in one piece', () => {
    const message = fc.record({
      role: fc.constantFrom('user', 'assistant', 'tool'),
      content: fc.constantFrom('', 'short', 'x'.repeat(90_000), 'y'.repeat(300_000)),
      ...{ parts: fc.constant(null), toolCalls: fc.constant(null), toolCallId: fc.constant(null) },
    });
    const some = fc.array(message, { maxLength: 60 });
    const many = fc.array(
      message.map((one) => ({ ...one, content: 'short' })),
      { maxLength: 1_500 },
    );
    fc.assert(
      fc.property(fc.oneof(some, many), (imported) => {
        const conversation = imported.map((one) => ({ ...one, bytes: Buffer.byteLength(one.content) }));
        const batches = [...importBatches(conversation)];
        const turns = batches.flat();
        expect(turns.flatMap((turn) => turn.messages)).to.deep.equal(conversation);
        turns.forEach(({ n, isAnswered, messages: its }, at) => {
          expect(n).to.equal(at + 1);
          expect(its.findIndex(({ role }) => role === 'assistant')).to.equal(
            isAnswered ? its.length - 1 : -1,
          );
        });
        for (const batch of batches) {
          if (batch.length === 1) continue;
          expect(batch.flatMap((turn) => turn.messages)).to.have.length.at.most(500);
          expect(batch.reduce((sum, { bytes }) => sum + bytes, 0)).to.be.at.most(262_144);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('what was said elsewhere has no more room than what is said here', async () => {
    const limits = { ...usualLimits, maxThreadMessages: 4, maxThreadBytes: 1_000 };
    const threads = createThreads(t.connection, limits);
    const { id: agentId } = (await call('GET /agents/reviewer', { token: t.tokens.root })).json as {
      id: string;
    };
    const rows = async (): Promise<unknown> =>
      await t.connection.db('chatThreads').where({ title: 'full' }).select('id');
    const made = async (contents: readonly string[]): Promise<string> => {
      const conversation = contents.map((content, at) => ({
        ...({ role: at % 2 === 0 ? 'user' : 'assistant', content } as const),
        ...{ parts: null, toolCalls: null, toolCallId: null },
      }));
      return await threads.create({ agentId, ownerId: t.ada.id, title: 'full', messages: conversation }).then(
        () => 'made',
        (thrown: unknown) => (thrown instanceof McpctlError ? thrown.message : 'failed'),
      );
    };
    expect(await made(['1', '2', '3', '4', '5'])).to.include('MCPCTL_MAX_THREAD_MESSAGES');
    expect(await made(['x'.repeat(600), 'y'.repeat(600)])).to.include('MCPCTL_MAX_THREAD_BYTES');
    expect(await rows()).to.deep.equal([]);
    expect(await made(['1', '2', '3', '4'])).to.equal('made');
  });

  it('has bounds together, of each user and of all: the duty weighs what was answered', async () => {
    const duty = createThreadsDuty(dutyDeps(t));
    const { threadId } = await say('x'.repeat(1_000), 'y'.repeat(5_000));
    // As if it had called a tool that its client runs.
    const { taskId } = await say('what?', 'w'.repeat(3_000));
    const waiting = { status: 'waiting', endedAt: null, toolDeadline: new Date(Date.now() + 3_600_000) };
    await t.connection.db('chatTurns').where({ taskId }).update(waiting);
    await duty.run(new AbortController().signal);
    const over = { status: 'completed', endedAt: new Date(), toolDeadline: null };
    await t.connection.db('chatTurns').where({ taskId }).update(over);
    const sums = async (where = ''): Promise<{ threads: number; bytes: number }> => {
      const { rows } = await t.connection.db.raw<{ rows: { threads: number; bytes: number }[] }>(
        `select count(distinct t.id)::int as threads, sum(m.bytes)::float8 as bytes
           from chat_threads t left join chat_messages m on m.thread_id = t.id where not t.is_passing ${where}`,
      );
      return rows[0] ?? expect.fail('no sums');
    };
    const all = await sums();
    const { rows: totals } = await t.connection.db.raw<{ rows: unknown[] }>(
      'select threads, bytes::float8 as bytes from thread_totals',
    );
    expect(totals).to.deep.equal([all]);
    const own = await sums(`and t.owner_id = '${t.ada.id}'`);
    const { id: agentId } = (await call('GET /agents/reviewer', { token: t.tokens.root })).json as {
      id: string;
    };
    const message = (content: string) => ({
      ...{ role: 'user' as const, content, parts: null, toolCalls: null, toolCallId: null },
    });
    const ways = (bounds: Partial<RegistryLimits>) => {
      const threads = createThreads(t.connection, { ...usualLimits, ...bounds });
      const why = (made: Promise<unknown>): Promise<string> =>
        made.then(
          () => 'made',
          (thrown: unknown) =>
            thrown instanceof McpctlError ? `${thrown.code} ${thrown.message}` : 'failed',
        );
      const of = { agentId, ownerId: t.ada.id, title: '' };
      return {
        create: (bytes: number) => why(threads.create({ ...of, messages: [message('z'.repeat(bytes))] })),
        fork: () => why(threads.fork({ id: threadId, ownerId: t.ada.id, atTurn: null, title: null })),
      };
    };
    const user = ways({ maxUserThreadBytes: own.bytes + 100 });
    expect(await user.create(101)).to.match(/^quota_exceeded .*MCPCTL_MAX_USER_THREAD_BYTES/);
    expect(await user.fork()).to.match(/^quota_exceeded .*MCPCTL_MAX_USER_THREAD_BYTES/);
    const inAll = ways({ maxAllThreadBytes: all.bytes + 100 });
    expect(await inAll.create(101)).to.match(/^quota_exceeded .*MCPCTL_MAX_ALL_THREAD_BYTES/);
    expect(await ways({ maxThreads: all.threads }).fork()).to.match(/^quota_exceeded .*MCPCTL_MAX_THREADS/);
    expect(await ways({ maxUserThreads: own.threads }).fork()).to.match(
      /^quota_exceeded .*MCPCTL_MAX_USER_THREADS/,
    );
    expect(await sums()).to.deep.equal(all);
    expect(await user.create(100)).to.equal('made');
  });

  it('a turn that would be over what a user’s threads may hold is refused, and nothing of it is kept', async () => {
    const { threadId } = await say('one?', 'One.');
    const { registry } = t.deps;
    const usual = registry.threads.accept.bind(registry.threads);
    const { rows } = await t.connection.db.raw<{ rows: { bytes: number }[] }>(
      `select sum(weighed_bytes)::float8 as bytes from chat_threads where owner_id = ? and not is_passing`,
      [t.ada.id],
    );
    const maxUserThreadBytes = (rows[0]?.bytes ?? 0) + 2_000;
    const bounded = createThreads(t.connection, { ...usualLimits, maxUserThreadBytes });
    registry.threads.accept = (turn) => bounded.accept(turn);
    try {
      const body = { message: 'x'.repeat(2_000), threadId };
      const refused = await t.call('POST /api/v1/agents/reviewer/chat', { body, headers: later });
      expect(refused.status).to.equal(429);
      expect(refused.json).to.include({ code: 'quota_exceeded' });
      expect(refused.text).to.include('MCPCTL_MAX_USER_THREAD_BYTES');
      const fresh = await t.call('POST /api/v1/agents/reviewer/chat', {
        body: { message: body.message },
        headers: later,
      });
      expect(fresh.text).to.include('MCPCTL_MAX_USER_THREAD_BYTES');
      expect(await messages(threadId)).to.deep.equal(['1 0 one?', '1 1 One.']);
      await say('x'.repeat(1_200), 'That counts, before the duty has looked.');
      const next = { body: { message: 'x'.repeat(1_200) }, headers: later };
      expect(await code('POST /agents/reviewer/chat', next)).to.equal('quota_exceeded');
      await say('two?', 'Two.', threadId);
    } finally {
      registry.threads.accept = usual;
    }
  });

  it('one whose time is over goes, and one in which somebody waits stays; old requests are kept by no task', async () => {
    const old = await say('old?', 'Old.');
    const set = { title: 'Mine', pinned: true, expiresAt: '2020-01-01T00:00:00Z' };
    const changed = await call(`PATCH /threads/${old.threadId}`, { body: set });
    expect(changed.json).to.include({ title: 'Mine', pinned: true, expiresAt: '2020-01-01T00:00:00.000Z' });
    const busy = (await call('POST /agents/reviewer/chat', { body: { message: 'x' }, headers: later }))
      .json as TurnView;
    await call(`PATCH /threads/${busy.threadId}`, { body: { expiresAt: '2020-01-01T00:00:00Z' } });
    const kept = await say('kept?', 'Kept.');
    const run = async (threadRetentionMs: number): Promise<number> => {
      const deps = dutyDeps(t);
      const duty = createThreadsDuty({ ...deps, config: { ...deps.config, threadRetentionMs } });
      return await duty.run(new AbortController().signal);
    };
    expect(await run(0)).to.equal(1);
    expect(await code(`GET /threads/${old.threadId}`)).to.equal('thread_not_found');
    expect((await t.registry.tasks.bodies(old.taskId ?? '')).requestBody).to.equal(null);
    await call(`GET /threads/${busy.threadId}`);
    await t.connection
      .db('chatTurns')
      .where({ taskId: kept.taskId })
      .update({ endedAt: new Date(0) });
    expect(await run(0)).to.equal(1);
    expect(await run(0)).to.equal(0);
    expect((await t.registry.tasks.bodies(kept.taskId ?? '')).requestBody).to.equal(null);
    expect(await messages(kept.threadId)).to.deep.equal(['1 0 kept?', '1 1 Kept.']);
    const again = (await call(`POST /threads/${kept.threadId}/turns/1/retry`, { headers: later }))
      .json as TurnView;
    expect(await requestOf(again)).to.deep.equal(['You review.', 'kept?']);
    await answered(again, 'Again.');
    await call(`PATCH /threads/${kept.threadId}`, { body: { pinned: true } });
    await t.connection
      .db('chatThreads')
      .where({ id: kept.threadId })
      .update({ lastTurnAt: new Date(0) });
    await run(86_400_000);
    expect(await code(`GET /threads/${kept.threadId}`)).to.equal('thread_not_found');
  });

  it('a backend that has read much less than was sent is told of, one that counts nothing is believed', async () => {
    const asked = async (
      message: string,
      promptTokens: number | null,
      { threadId, streamed }: { threadId?: string; streamed?: object[] } = {},
    ): Promise<Answer> => {
      const accepted = new Promise<string>((resolve) => {
        const off = t.bus.on('task.accepted', ({ taskId }) => (off(), resolve(taskId)));
      });
      const how = streamed && { stream: true, params: { stream_options: { include_usage: true } } };
      const body = { message, ...(threadId !== undefined && { threadId }), ...how };
      const answering = call('POST /agents/reviewer/chat', { body, headers: { prefer: 'wait=20' } });
      const row = (await t.registry.tasks.byId(await accepted)) ?? expect.fail('no task');
      const counts = {
        prompt_tokens: promptTokens,
        completion_tokens: 1,
        total_tokens: (promptTokens ?? 0) + 1,
      };
      const whole = { choices: [{ message: { content: 'x' }, finish_reason: 'stop' }], usage: counts };
      const usage = {
        promptTokens: promptTokens ?? 0,
        completionTokens: 1,
        totalTokens: (promptTokens ?? 0) + 1,
      };
      const end = {
        kind: 'completed',
        status: 200,
        ...(!streamed && { body: JSON.stringify(whole) }),
        finishReason: 'stop',
      } as const;
      const speaker = await speakFor(t, row);
      await speaker.say(...(streamed ?? []));
      if (streamed) await speaker.finish('stop', counts);
      await speaker.end(promptTokens === null ? end : { ...end, usage });
      return await answering;
    };
    const { json } = await asked('one?', 100);
    expect(json).not.to.have.property('backendTruncated');
    const { threadId } = json as { threadId: string };
    expect((await asked('two?', 120, { threadId })).json).not.to.have.property('backendTruncated');
    expect((await asked('three?', 10, { threadId })).json).to.include({ backendTruncated: true });
    const { threadId: other } = (await asked('one?', 100)).json as { threadId: string };
    for (const none of [0, null])
      expect((await asked('two?', none, { threadId: other })).json).not.to.have.property('backendTruncated');
    // Nor is anything measured by it: what is expected is by the first one still.
    expect((await asked('three?', 10, { threadId: other })).json).to.include({ backendTruncated: true });
    // In a stream the chunk with the usage says it, also where that is the first one and says where the answer is.
    for (const deltas of [texts('x'), []]) {
      const { text } = await asked('four?', 10, { threadId, streamed: deltas });
      const lines = text.split('\n');
      const places = lines.filter((line) => line.includes(`"threadId":"${threadId}"`));
      const telling = lines.filter((line) => line.includes('"backendTruncated":true'));
      expect([places.length, telling.length]).to.deep.equal([1, 1]);
      expect(telling[0]).to.include('"prompt_tokens":10');
      expect(telling[0] === places[0]).to.equal(deltas.length === 0);
    }
    const { text } = await asked('five?', 1_000, { threadId, streamed: texts('x') });
    expect(text).to.include('"prompt_tokens":1000').and.to.not.include('backendTruncated');
  });
});
