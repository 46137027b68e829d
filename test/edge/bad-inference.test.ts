import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { entryOf, type ErrorCode } from '../../core/errors.ts';
import { edgeFixture, type Answer, type Call, type EdgeFixture, publicLlm } from '../support/edge.ts';

const chat = { model: 'gpt', messages: [{ role: 'user', content: 'hi' }] };
const deep = `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`;

/** The doors for inference, a body that each takes, and where its errors have which shape. */
const doors = [
  { what: 'POST /api/v1/llms/gpt/infer', good: chat as object, openAi: false },
  { what: 'POST /v1/chat/completions', good: chat as object, openAi: true },
  { what: 'POST /api/v1/tasks', good: { llm: 'gpt', request: chat } as object, openAi: false },
];

const inputs: Record<string, (good: object) => Call & { status: number; code: string; path?: string }> = {
  'malformed JSON': () => ({ raw: '{"messages": [', status: 400, code: 'invalid_json' }),
  'no body': () => ({ status: 400, code: 'invalid_json' }),
  'an array': () => ({ raw: '[]', status: 400, code: 'invalid_request' }),
  'JSON nested 5,000 deep': () => ({ raw: deep, status: 400, code: 'invalid_json' }),
  'a good body with something 5,000 deep in it': (good) => ({
    raw: `${JSON.stringify(good).slice(0, -1)},"x":${deep}}`,
    status: 400,
    code: 'invalid_json',
  }),
  'bytes that are no UTF-8': () => ({
    raw: new Uint8Array([0x7b, 0xff, 0x7d]),
    status: 400,
    code: 'invalid_json',
  }),
  'another content type': (good) => ({
    body: good,
    headers: { 'content-type': 'text/plain' },
    status: 415,
    code: 'unsupported_media_type',
  }),
  'a body over the limit': () => ({
    raw: `{"messages":[{"content":"${'x'.repeat(68_000_000)}"}]}`,
    status: 413,
    code: 'body_too_large',
  }),
  'no token': (good) => ({ body: good, token: null, status: 401, code: 'unauthenticated' }),
  'a wrong token': (good) => ({ body: good, token: 'wrong', status: 401, code: 'unauthenticated' }),
};

/** Chat bodies with a fault, and where it is. */
const faulty: [string, object, string][] = [
  ['no messages', { model: 'gpt' }, 'messages'],
  ['messages that are none', { model: 'gpt', messages: 'hi' }, 'messages'],
  ['empty messages', { model: 'gpt', messages: [] }, 'messages'],
  ['a message that is no object', { model: 'gpt', messages: [1] }, 'messages.0'],
  ['a stream that is no boolean', { ...chat, stream: 'yes' }, 'stream'],
  ['stream options that are none', { ...chat, stream_options: 1 }, 'stream_options'],
];

describe('bad input to inference', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'gpt');
  });
  after(() => t.close());

  const check = (answer: Answer, openAi: boolean, [status, code]: [number, string]): string => {
    expect(answer.headers.get('content-type'), answer.text).to.match(/^application\/json/);
    expect(answer.text).not.to.match(/\\n +at |node_modules|\.ts:\d|insert into|select "/);
    const body = answer.json as Record<string, unknown>;
    const error = openAi ? (body['error'] as Record<string, string>) : body;
    const expected = (openAi ? entryOf(code as ErrorCode).v1Code : undefined) ?? code;
    expect([answer.status, error['code']], answer.text).to.deep.equal([status, expected]);
    if (openAi) {
      expect(error).to.have.all.keys('message', 'type', 'param', 'code');
      expect(answer.headers.get('x-should-retry')).to.be.oneOf(['true', 'false']);
    }
    return String(openAi ? error['message'] : error['error']);
  };

  for (const { what, good, openAi } of doors) {
    describe(what, () => {
      for (const [name, input] of Object.entries(inputs)) {
        it(`refuses ${name}`, async () => {
          const { status, code, ...call } = input(good);
          check(await t.call(what, call), openAi, [status, code]);
        });
      }
      for (const [name, body, path] of faulty) {
        it(`refuses ${name}, and says where`, async () => {
          const sent = what.endsWith('tasks') ? { llm: 'gpt', request: body } : body;
          const answer = await t.call(what, { body: sent });
          check(answer, openAi, [400, 'invalid_request']);
          expect(answer.text).to.include(path);
        });
      }
      it('names llms that are called nearly so', async () => {
        const sent = what.endsWith('tasks') ? { llm: 'gtp', request: chat } : { ...chat, model: 'gtp' };
        const answer = await t.call(what.replace('/gpt/', '/gtp/'), { body: sent });
        expect(check(answer, openAi, [404, 'llm_not_found'])).to.include('gpt');
      });
      if (what.includes('/gpt/')) return;
      it('finds no llm under a name that no llm can have', async () => {
        for (const name of ['a\u0000b', '\ud800', '../x', 'x'.repeat(128), '*', '%']) {
          const sent = what.endsWith('tasks') ? { llm: name, request: chat } : { ...chat, model: name };
          check(await t.call(what, { body: sent }), openAi, [404, 'llm_not_found']);
        }
      });
    });
  }

  it('finds no llm under a path that no llm can have', async () => {
    for (const name of ['%00', 'a%00b', '*', '..%2f..', '%25']) {
      check(await t.call(`POST /api/v1/llms/${name}/infer`, { body: chat }), false, [404, 'llm_not_found']);
    }
  });

  it('answers 503 in both shapes when nobody serves a llm that is there', async () => {
    const plain = await t.call('POST /api/v1/llms/gpt/infer', { body: chat });
    expect(check(plain, false, [503, 'no_active_llm'])).to.equal("No active Llm in pool 'gpt'");
    expect(plain.headers.get('retry-after')).to.equal('5');
    check(await t.call('POST /v1/chat/completions', { body: chat }), true, [503, 'no_active_llm']);
  });

  it('keeps NUL and lone surrogates of a prompt as the text they came as', async () => {
    const request = '{"messages":[{"role":"user","content":"a\\u0000b\\ud800"}],"big":12345678901234567890}';
    const made = await t.call('POST /api/v1/tasks', { raw: `{"llm":"gpt","request":${request}}` });
    expect(made.status, made.text).to.equal(202);
    const { id } = made.json as { id: string };
    expect((await t.registry.tasks.bodies(id)).requestBody).to.equal(request);
    expect((await t.call(`GET /api/v1/tasks/${id}`)).status).to.equal(200);
  });

  it('refuses unknown fields around a request, and an operation that nobody serves', async () => {
    const unknown = await t.call('POST /api/v1/tasks', { body: { llm: 'gpt', request: chat, prio: 1 } });
    expect(check(unknown, false, [400, 'invalid_request'])).to.be.a('string');
    expect(unknown.text).to.include('prio');
    const emb = { name: 'emb', type: 'openai', model: 'm', url: 'http://backend.test/v1' };
    const made = { ...emb, capabilities: { operations: ['embeddings'] } };
    await t.call('POST /api/v1/llms', { token: t.tokens.root, body: made });
    const body = { llm: 'emb', request: chat };
    check(await t.call('POST /api/v1/tasks', { body }), false, [400, 'no_capable_member']);
  });

  it('shows a stranger’s task like one that is not there', async () => {
    const made = await t.call('POST /api/v1/tasks', { body: { llm: 'gpt', request: chat } });
    const { id } = made.json as { id: string };
    const bob = { token: t.tokens.bob };
    const ofAda = await t.call(`GET /api/v1/tasks/${id}`, bob);
    const random = await t.call(`GET /api/v1/tasks/${randomUUID()}`, bob);
    const same = (a: Answer) => JSON.stringify({ ...(a.json as object), requestId: '' });
    expect(same(ofAda)).to.equal(same(random));
    check(ofAda, false, [404, 'task_not_found']);
    check(await t.call(`DELETE /api/v1/tasks/${id}`, bob), false, [404, 'task_not_found']);
    expect(((await t.call('GET /api/v1/tasks', bob)).json as { items: unknown[] }).items).to.deep.equal([]);
    expect((await t.call(`GET /api/v1/tasks/${id}`, { token: t.tokens.root })).status).to.equal(200);
  });

  it('refuses ids, positions and filters that cannot be any', async () => {
    for (const id of ['1', 'x', '%00', randomUUID().slice(1), '00000000']) {
      check(await t.call(`GET /api/v1/tasks/${id}`), false, [400, 'invalid_id']);
      check(await t.call(`DELETE /api/v1/tasks/${id}`), false, [400, 'invalid_id']);
    }
    for (const query of [
      'status=odd',
      'limit=0',
      'pool=A%00',
      'llm=%00',
      'after=x&wait=1',
      'limit=1&limit=2',
    ]) {
      check(await t.call(`GET /api/v1/tasks?${query}`), false, [400, 'invalid_request']);
    }
    check(await t.call('GET /api/v1/tasks?after=zzz'), false, [400, 'invalid_cursor']);
    check(await t.call(`GET /api/v1/tasks/${randomUUID()}?wait=1e9`), false, [400, 'invalid_request']);
  });
});
