import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { apiErrorSchema } from '../../core/api-error.ts';
import { edgeFixture, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';

const llm = { name: 'gpt', type: 'openai', model: 'm', url: 'http://backend.test/v1' };
const { name: _name, ...replacement } = llm;
const offer = { name: 'tiny', type: 'openai', model: 'm' };
const session = '6f1c3c8e-0000-4000-8000-000000000001';

/** Each call that takes a body, a body that is right for it, and a text in it that is free. */
const calls: { what: string; good: Record<string, unknown>; text: string; strict: boolean }[] = [
  { what: 'POST /api/v1/llms', good: llm, text: 'description', strict: true },
  { what: 'PUT /api/v1/llms/gpt', good: replacement, text: 'description', strict: true },
  { what: 'PATCH /api/v1/llms/gpt', good: { tier: 'x' }, text: 'description', strict: true },
  { what: 'POST /api/v1/tokens', good: { name: 'x' }, text: 'name', strict: true },
  { what: 'POST /api/v1/pools/gpt/allow', good: { user: 'ada' }, text: 'user', strict: true },
  { what: 'POST /api/v1/pools/gpt/deny', good: { user: 'ada' }, text: 'user', strict: true },
  {
    what: 'POST /api/v1/llms/_provider-register',
    good: { transports: ['redis'], providers: [offer] },
    text: 'workerVersion',
    strict: false,
  },
  {
    what: 'POST /api/v1/llms/_provider-heartbeat',
    good: { providerSessionId: session },
    text: 'providerSessionId',
    strict: false,
  },
  {
    what: 'POST /api/v1/llms/_provider-goodbye',
    good: { providerSessionId: session },
    text: 'providerSessionId',
    strict: false,
  },
];

type Input = (call: (typeof calls)[number]) => Call & { status: number; code: string };

const raw = (text: string | Uint8Array<ArrayBuffer>, status: number, code: string): Input => {
  return () => ({ raw: text, status, code });
};
const deep = `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`;

const inputs: Record<string, Input> = {
  'malformed JSON': raw('{"name": "a",}', 400, 'invalid_json'),
  'half of it': raw('{"name": "a', 400, 'invalid_json'),
  'no body': () => ({ status: 400, code: 'invalid_json' }),
  'white space': raw('  \n', 400, 'invalid_json'),
  'an array': raw('[1]', 400, 'invalid_request'),
  'a string': raw('"x"', 400, 'invalid_request'),
  null: raw('null', 400, 'invalid_request'),
  'wrong types': ({ good }) => ({
    body: Object.fromEntries(Object.keys(good).map((key) => [key, { wrong: true }])),
    status: 400,
    code: 'invalid_request',
  }),
  'a NUL in a string': ({ good, text }) => ({
    body: { ...good, [text]: 'a\u0000b' },
    status: 400,
    code: 'invalid_request',
  }),
  'a NUL in a key': ({ good }) => ({ body: { ...good, 'a\u0000': 1 }, status: 400, code: 'invalid_request' }),
  'a lone surrogate': ({ good, text }) => ({
    raw: JSON.stringify({ ...good, [text]: '@' }).replace('@', '\\ud800'),
    status: 400,
    code: 'invalid_request',
  }),
  'JSON nested 5,000 deep': raw(deep, 400, 'invalid_json'),
  'a good body with something 5,000 deep in it': ({ good }) => ({
    raw: `${JSON.stringify(good).slice(0, -1)},"capabilities":${deep}}`,
    status: 400,
    code: 'invalid_json',
  }),
  'bytes that are no UTF-8': raw(new Uint8Array([0x22, 0xc3, 0x28, 0x22]), 400, 'invalid_json'),
  'another content type': ({ good }) => ({
    body: good,
    headers: { 'content-type': 'text/plain' },
    status: 415,
    code: 'unsupported_media_type',
  }),
  'another charset': ({ good }) => ({
    body: good,
    headers: { 'content-type': 'application/json; charset=utf-16' },
    status: 415,
    code: 'unsupported_media_type',
  }),
  'an encoding that nobody knows': ({ good }) => ({
    body: good,
    headers: { 'content-encoding': 'zstd' },
    status: 415,
    code: 'unsupported_media_type',
  }),
  'what is not gzip as it says': ({ good }) => ({
    body: good,
    headers: { 'content-encoding': 'gzip' },
    status: 400,
    code: 'invalid_request',
  }),
  'half a gzip': () => ({
    raw: new Uint8Array(gzipSync('{"a":1}'.repeat(50)).subarray(0, 20)),
    headers: { 'content-encoding': 'gzip' },
    status: 400,
    code: 'invalid_request',
  }),
  'more than a megabyte': raw(`{"x":"${'x'.repeat(1_100_000)}"}`, 413, 'body_too_large'),
  'no token': ({ good }) => ({ body: good, token: null, status: 401, code: 'unauthenticated' }),
  'a wrong token': ({ good }) => ({ body: good, token: 'wrong', status: 401, code: 'unauthenticated' }),
};

/** Of the limit on what arrives; a small call has a limit of its own after it. */
const overLimit = 'The body is larger than this edge accepts.';

describe('bad input', () => {
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture({ MCPCTL_BODY_LIMIT_BYTES: '3000000' });
    await t.call('POST /api/v1/llms', { token: t.tokens.root, body: llm });
  });
  after(() => t.close());

  const check = (answer: Answer, status: number, code: string): void => {
    expect(answer.headers.get('content-type'), answer.text).to.match(/^application\/json/);
    const body = apiErrorSchema.parse(answer.json);
    expect([answer.status, body.code], answer.text).to.deep.equal([status, code]);
    expect(body.requestId).to.equal(answer.headers.get('x-request-id'));
    expect(answer.text).not.to.match(/\\n +at |node_modules|\.ts:\d|insert into|select "/);
  };

  for (const call of calls) {
    describe(call.what, () => {
      for (const [name, input] of Object.entries(inputs)) {
        it(`refuses ${name}`, async () => {
          const { status, code, ...options } = input(call);
          check(await t.call(call.what, { token: t.tokens.root, ...options }), status, code);
        });
      }

      it(call.strict ? 'names an unknown field' : 'ignores an unknown field', async () => {
        const body = { ...call.good, [`${call.text}x`]: 1 };
        const answer = await t.call(call.what, { token: t.tokens.root, body });
        if (!call.strict) {
          expect(answer.status, answer.text).to.be.oneOf([200, 201, 404]);
          return;
        }
        check(answer, 400, 'invalid_request');
        const { details } = apiErrorSchema.parse(answer.json);
        expect(details).to.deep.equal([
          { path: `${call.text}x`, message: `is not a field here; did you mean ${call.text}?` },
        ]);
      });
    });
  }

  const paths: [what: string, status: number, code: string][] = [
    ['GET /api/v1/llms/%00', 404, 'llm_not_found'],
    ['GET /api/v1/llms/%ED%A0%80', 400, 'invalid_request'],
    ['GET /api/v1/llms/%E0%A4%A', 400, 'invalid_request'],
    ['GET /api/v1/llms/UPPER', 404, 'llm_not_found'],
    [`GET /api/v1/llms/${'x'.repeat(5_000)}`, 404, 'llm_not_found'],
    ['GET /api/v1/llms/nobody/members', 404, 'llm_not_found'],
    ['DELETE /api/v1/llms/nobody', 404, 'llm_not_found'],
    ['GET /api/v1/llms?limit=0', 400, 'invalid_request'],
    ['GET /api/v1/llms?limit=x', 400, 'invalid_request'],
    ['GET /api/v1/llms?limit=1&limit=2', 400, 'invalid_request'],
    ['GET /api/v1/llms?kind=secret', 400, 'invalid_request'],
    ['GET /api/v1/llms?pool=%00', 400, 'invalid_request'],
    ['GET /api/v1/llms?colour=red', 400, 'invalid_request'],
    ['GET /api/v1/llms?after=%00', 400, 'invalid_cursor'],
    ['GET /api/v1/llms?after=AAAA', 400, 'invalid_cursor'],
    ['GET /api/v1/pools?after=AAAA', 400, 'invalid_cursor'],
    ['GET /api/v1/pools/%00', 404, 'pool_not_found'],
    ['GET /api/v1/tokens?after=AAAA', 400, 'invalid_cursor'],
    ['DELETE /api/v1/tokens/not%00a-uuid', 404, 'token_not_found'],
    ['DELETE /api/v1/tokens/6f1c3c8e-0000-4000-8000-000000000001', 404, 'token_not_found'],
    ['GET /api/v1/nothing', 404, 'route_not_found'],
    ['DELETE /api/v1/llms', 404, 'route_not_found'],
    ['GET /nothing', 404, 'route_not_found'],
    ['GET /%E0%A4%A', 404, 'route_not_found'],
  ];
  for (const [what, status, code] of paths) {
    it(`answers ${what.slice(0, 60)} with ${status}`, async () => {
      check(await t.call(what, { token: t.tokens.root }), status, code);
    });
  }

  it('refuses an If-Match that is no ETag', async () => {
    const headers = { 'if-match': 'three' };
    check(await t.call('DELETE /api/v1/llms/gpt', { token: t.tokens.root, headers }), 400, 'invalid_request');
  });

  it('reads all of a body over the limit before it says so, and keeps none of it', async () => {
    const options = { token: t.tokens.root, raw: new Uint8Array(3_000_001).fill(0x20) };
    check(await t.call('POST /api/v1/llms', options), 413, 'body_too_large');
    const chunked = new ReadableStream({
      start(controller) {
        for (let n = 0; n < 40; n++) controller.enqueue(new Uint8Array(100_000).fill(0x20));
        controller.close();
      },
    });
    const streamed = {
      method: 'POST',
      headers: { authorization: `Bearer ${t.tokens.root}`, 'content-type': 'application/json' },
      body: chunked,
      duplex: 'half',
    };
    const answer = await fetch(`${t.url}/api/v1/llms`, streamed as RequestInit);
    expect(apiErrorSchema.parse(await answer.json()).error).to.equal(overLimit);
  });

  it('counts what a compressed body inflates to', async () => {
    const inflates = async (body: Buffer, most: number): Promise<string> => {
      const sent = gzipSync(body);
      expect(sent.length).to.be.below(most);
      const options = { raw: new Uint8Array(sent), headers: { 'content-encoding': 'gzip' } };
      const answer = await t.call('POST /api/v1/llms', { token: t.tokens.root, ...options });
      check(answer, 413, 'body_too_large');
      return apiErrorSchema.parse(answer.json).error;
    };
    // Twice as long as it is sent.
    const text = Buffer.from(randomBytes(2_000_000).toString('hex'));
    expect(await inflates(text, 2_900_000)).to.equal(overLimit);
    const bomb = Buffer.alloc(50_000_000, 0x20);
    expect(await inflates(bomb, 100_000)).to.match(/^The body inflates to more than 100 times its size/);
  });

  it('takes a compressed body within the limit', async () => {
    const body = new Uint8Array(gzipSync(JSON.stringify({ tier: 'zipped' })));
    const answer = await t.call('PATCH /api/v1/llms/gpt', {
      token: t.tokens.root,
      raw: body,
      headers: { 'content-encoding': 'gzip' },
    });
    expect((answer.json as { tier: string }).tier).to.equal('zipped');
  });

  it('reports every fault of a body at once, with its path', async () => {
    const body = { ...llm, name: 'No Good', aliases: ['ok', '!'], url: 'ftp://x', extra: 1 };
    const answer = await t.call('POST /api/v1/llms', { token: t.tokens.root, body });
    const paths = apiErrorSchema.parse(answer.json).details?.map((fault) => fault.path);
    expect(paths).to.have.members(['name', 'aliases.1', 'url', 'extra']);
  });

  it('refuses a JSON body over the limit that it ships with', async () => {
    const shipped = await edgeFixture();
    try {
      const body = new Uint8Array(68_000_000).fill(0x20);
      check(await shipped.call('POST /api/v1/llms', { raw: body }), 413, 'body_too_large');
    } finally {
      await shipped.close();
    }
  });
});
