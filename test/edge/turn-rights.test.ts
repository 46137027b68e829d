import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import type { ThreadView, TurnView } from '../../core/agent/thread.ts';
import { edgeFixture, publicLlm, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';
import { speakFor } from '../support/speaker.ts';
import { until } from '../support/system.ts';

const later = { prefer: 'respond-async' };
const hi = [{ role: 'user', content: 'hi' }];

describe('who talks to an agent', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let bound: string;
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'alpha');
    await publicLlm(t, 'beta');
    const made = {
      ...{ userId: t.ada.id, name: randomUUID(), pools: ['alpha'] },
      ...{ expiresInDays: null, createdBy: null },
    };
    bound = (await t.registry.tokens.create(made)).text;
  });
  after(() => t.close());

  const call = async (what: string, options: Call = {}): Promise<Answer> => {
    const [method = '', path = ''] = what.split(' ');
    return await t.call(`${method} ${path.startsWith('/v1') ? '' : '/api/v1'}${path}`, options);
  };
  const ok = async (what: string, options: Call = {}): Promise<Answer> => {
    const answer = await call(what, options);
    expect(answer.status, `${what} ${answer.text}`).to.be.within(200, 204);
    return answer;
  };
  const answered = async (turn: TurnView, content: string, token = t.tokens.ada): Promise<void> => {
    const row = (await t.registry.tasks.byId(turn.taskId ?? '')) ?? expect.fail('no task');
    const body = JSON.stringify({ choices: [{ message: { content }, finish_reason: 'stop' }] });
    await (await speakFor(t, row)).end({ kind: 'completed', status: 200, body, finishReason: 'stop' });
    await ok(`GET /tasks/${row.id}?wait=10`, { token });
  };

  it('with a token of some pools gets to no other one by it, whatever way it is asked', async () => {
    await ok('POST /agents', { body: { name: 'moving', llm: 'alpha' } });
    const token = bound;
    const begin = async (): Promise<TurnView> =>
      (await ok('POST /agents/moving/chat', { token, headers: later, body: { message: 'a' } }))
        .json as TurnView;
    const done = await begin();
    await answered(done, 'A.');
    const open = await begin();
    const queued = await ok(`POST /threads/${open.threadId}/turns`, {
      ...{ token, headers: later },
      body: { message: 'b' },
    });
    expect(queued.json).to.include({ status: 'queued' });
    const copy = (await ok(`POST /threads/${done.threadId}/fork`, { token })).json as ThreadView;

    await ok('PATCH /agents/moving', { token: t.tokens.ada, body: { llm: 'beta' } });
    const before = await t.connection.db('tasks').where({ poolName: 'beta' }).count();
    const ways: [string, Call][] = [
      ['POST /agents/moving/chat', { body: { message: 'x' } }],
      ['POST /agents/moving/chat', { body: { message: 'x', threadId: done.threadId } }],
      [`POST /threads/${done.threadId}/turns`, { body: { message: 'x' } }],
      [`POST /threads/${copy.id}/turns`, { body: { message: 'x' } }],
      [`POST /threads/${done.threadId}/turns/1/retry`, { body: {} }],
      [`POST /threads/${done.threadId}/fork`, { body: {} }],
      ['POST /agents/moving/compose', { body: { message: 'x' } }],
      ['POST /agents/moving/threads', { body: { messages: hi } }],
      ['POST /llms/moving/infer', { body: { messages: hi } }],
      ['POST /tasks', { body: { llm: 'moving', request: { messages: hi } } }],
      ['POST /v1/chat/completions', { body: { model: 'moving', messages: hi } }],
      [
        'POST /v1/chat/completions',
        { body: { model: 'moving', messages: hi }, headers: { ...later, 'x-mcpctl-thread': done.threadId } },
      ],
      [
        'POST /v1/chat/completions',
        { body: { model: 'moving', messages: hi }, headers: { ...later, 'x-mcpctl-thread': 'new' } },
      ],
    ];
    for (const [what, options] of ways) {
      const { status, text } = await call(what, { headers: later, ...options, token });
      expect(status, `${what} ${JSON.stringify(options.body)} ${text}`).to.be.oneOf([403, 404]);
    }
    // What waits in line is asked for when its time has come.
    await answered(open, 'B.');
    const { n } = { n: (queued.json as TurnView).turn };
    const ended = await until(
      async () => (await ok(`GET /threads/${open.threadId}/turns/${n}`)).json as TurnView,
      ({ status }) => status !== 'queued',
    );
    expect(ended).to.deep.include({ status: 'error', taskId: null });
    expect(await t.connection.db('tasks').where({ poolName: 'beta' }).count()).to.deep.equal(before);
  });

  it('and does not own it sees its persona nowhere, whatever they are shown', async () => {
    const secret = 'PERSONA-SECRET';
    const persona = { systemPrompt: `${secret} one`, defaultParams: { temperature: 0.123 } };
    await ok('POST /agents', { body: { name: 'masked', llm: 'alpha', ...persona } });
    await ok('POST /prompts', { body: { name: 'p', agent: 'masked', content: `${secret} two` } });
    const token = t.tokens.bob;
    const turn = (
      await ok('POST /agents/masked/chat', {
        ...{ token, headers: later },
        body: { message: 'mine', systemAppend: 'Appended.' },
      })
    ).json as TurnView;
    await answered(turn, 'Told.', token);
    const { threadId } = turn;
    const seen: [string, Call][] = [
      ['GET /agents/masked', {}],
      ['GET /agents', {}],
      ['GET /prompts', {}],
      ['GET /prompts?agent=masked', {}],
      ['GET /agents/masked/personalities', {}],
      ['POST /agents/masked/compose', { body: { message: 'x' } }],
      ['POST /agents/masked/compose', { body: { messages: hi } }],
      [`GET /threads/${threadId}`, {}],
      [`GET /threads/${threadId}/messages`, {}],
      [`GET /threads/${threadId}/turns/1`, {}],
      [`GET /threads/${threadId}/export?reasoning=true`, {}],
      [`GET /threads/${threadId}/export?format=jsonl`, {}],
      [`GET /threads/${threadId}/export?format=markdown`, {}],
      [`GET /tasks/${turn.taskId ?? ''}`, {}],
      ['GET /tasks', {}],
      [`GET /tasks/${turn.taskId ?? ''}/explain`, {}],
      ['GET /llms/masked/explain', {}],
      ['POST /agents/masked/chat', { body: { message: 'x', params: { n: 2 } } }],
      ['PATCH /agents/masked', { body: { systemPrompt: 'mine' } }],
      ['GET /v1/models', {}],
      ['GET /usage', {}],
    ];
    for (const [what, options] of seen) {
      const { text } = await call(what, { ...options, token });
      expect(text, what).not.to.include(secret);
      expect(text, what).not.to.include('0.123');
    }
    expect((await ok(`GET /tasks/${turn.taskId ?? ''}`, { token })).text).to.include('Appended.');
    const own = await ok('POST /agents/masked/compose', { body: { message: 'x' } });
    expect(own.text).to.include(`${secret} one\\\\n\\\\n${secret} two`);
  });

  it('as another, without logs, is told nothing of what was said to them', async () => {
    await ok('POST /agents', { body: { name: 'private', llm: 'alpha' } });
    const keyed = { body: { message: 'keyed' }, headers: { ...later, 'idempotency-key': 'whoever' } };
    const turn = (await ok('POST /agents/private/chat', keyed)).json as TurnView;
    await answered(turn, 'A secret.');
    const subjects = [{ kind: 'user', name: 'bob' }];
    const rbac = { name: 'helpers', subjects, operations: ['impersonate'] };
    await ok('POST /rbac', { token: t.tokens.root, body: rbac });
    const asAda = (body: object, more: object = {}): Call => ({
      ...{ token: t.tokens.bob, body },
      headers: { 'x-mcpctl-as': 'ada', ...more },
    });
    const { threadId } = turn;
    const message = 'What did I say?';
    // To go on in a thread would have its agent's llm tell what was said, to repeat a call what was answered.
    const answers = [
      await call('POST /agents/private/chat', asAda({ message, threadId }, later)),
      await call('POST /agents/private/chat', asAda(keyed.body, keyed.headers)),
      await call(
        'POST /v1/chat/completions',
        asAda({ model: 'private', messages: hi }, { 'x-mcpctl-thread': threadId }),
      ),
    ];
    expect(answers.map(({ status }) => status)).to.deep.equal([404, 403, 404]);
  });

  it('under a key is answered as a token was that may more by no other', async () => {
    const headers = { 'idempotency-key': 'one' };
    const body = { documents: [{ resource: 'prompt', name: 'keyed', content: 'x' }] };
    for (const replayed of [null, 'true'])
      expect((await ok('POST /apply', { body, headers })).headers.get('idempotency-replayed')).to.equal(
        replayed,
      );
    const { json } = await ok('POST /tokens', { body: { name: 'calls' } });
    const { token } = json as { token: string };
    expect((await call('POST /apply', { token, body, headers })).json).to.include({
      code: 'idempotency_mismatch',
    });
  });
});
