import { expect } from 'chai';
import { inferenceCalls } from '../../edge/openai/routes.ts';
import { edgeFixture, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';

const user = { role: 'user', content: 'hi' };
/** A body that each operation takes. */
const good = {
  chat: { model: 'gpt', messages: [user] },
  completions: { model: 'gpt', prompt: 'hi' },
  embeddings: { model: 'gpt', input: 'hi' },
  responses: { model: 'gpt', input: 'hi' },
  messages: { model: 'gpt', max_tokens: 5, messages: [user] },
} as const;
const main = {
  chat: 'messages',
  completions: 'prompt',
  embeddings: 'input',
  responses: 'input',
  messages: 'messages',
};

type Hostile = Call & { status: number; param?: string };
const deep = `${'['.repeat(5_000)}${']'.repeat(5_000)}`;

/** What may come to any of the calls; `key` holds what it is about. */
const bodies: Record<string, (body: object, key: string) => Hostile> = {
  'no body': () => ({ status: 400 }),
  'half a JSON text': (body) => ({ raw: JSON.stringify(body).slice(0, -2), status: 400 }),
  'a page': () => ({ raw: '<html></html>', status: 400 }),
  'a number': () => ({ raw: '1', status: 400 }),
  null: () => ({ raw: 'null', status: 400 }),
  'an array': () => ({ raw: '[]', status: 400 }),
  'no UTF-8': () => ({ raw: new Uint8Array([0x7b, 0xff, 0x7d]), status: 400 }),
  'something 5,000 deep': (body) => ({
    raw: `${JSON.stringify(body).slice(0, -1)},"x":${deep}}`,
    status: 400,
  }),
  'nothing to work on': (body, key) => ({ body: { ...body, [key]: undefined }, status: 400, param: key }),
  'null to work on': (body, key) => ({ body: { ...body, [key]: null }, status: 400, param: key }),
  'an empty list to work on': (body, key) => ({ body: { ...body, [key]: [] }, status: 400, param: key }),
  'a number to work on': (body, key) => ({ body: { ...body, [key]: 7 }, status: 400, param: key }),
  'no model': (body) => ({ body: { ...body, model: undefined }, status: 400, param: 'model' }),
  'a model that is a list': (body) => ({ body: { ...body, model: ['gpt'] }, status: 400, param: 'model' }),
  'an empty model': (body) => ({ body: { ...body, model: '' }, status: 400, param: 'model' }),
  'a model of 10,000 letters': (body) => ({
    body: { ...body, model: 'x'.repeat(10_000) },
    status: 400,
    param: 'model',
  }),
  'a model that cannot be a name': (body) => ({ body: { ...body, model: '../\u0000*' }, status: 404 }),
  'a model that nobody has': (body) => ({ body: { ...body, model: 'nobody' }, status: 404 }),
  'a stream that is none': (body) => ({ body: { ...body, stream: 'yes' }, status: 400, param: 'stream' }),
  'stream options that are none': (body) => ({
    body: { ...body, stream_options: [] },
    status: 400,
    param: 'stream_options',
  }),
  '__proto__ for a model': (body) => ({ body: { ...body, model: '__proto__' }, status: 404 }),
};

const headers: Record<string, Hostile> = {
  'no token': { token: null, status: 401 },
  'a wrong token': { token: 'x', status: 401 },
  'a token of spaces': { token: null, headers: { authorization: 'Bearer    ' }, status: 401 },
  'another scheme': { token: null, headers: { authorization: 'Basic eDp5' }, status: 401 },
  'another content type': { headers: { 'content-type': 'text/plain' }, status: 415 },
  'another charset': { headers: { 'content-type': 'application/json; charset=latin1' }, status: 415 },
  'an encoding that nobody knows': { headers: { 'content-encoding': 'zstd' }, status: 415 },
  'an encoding that is not true': { headers: { 'content-encoding': 'gzip' }, status: 400 },
  'a way of keeping alive that is none': { headers: { 'x-mcpctl-keepalive': 'x' }, status: 400 },
  'a policy that is none': { headers: { 'x-mcpctl-on-disconnect': 'x' }, status: 400 },
  'a wait that is none': { headers: { prefer: 'wait=x' }, status: 400 },
  'a key of 300 letters': { headers: { 'idempotency-key': 'k'.repeat(300) }, status: 400 },
  'a pin to nobody': { headers: { 'x-mcpctl-pin': 'nobody' }, status: 404 },
};

/** Each a JSON 4xx in the form of its door, with nothing of ours in it, and no invitation to come again. */
function check(answer: Answer, path: string, { status, param }: Pick<Hostile, 'status' | 'param'>): void {
  expect(answer.status, answer.text).to.equal(status);
  expect(answer.headers.get('content-type')).to.match(/^application\/json/);
  expect(answer.headers.get('x-should-retry')).to.equal('false');
  expect(answer.headers.get('x-request-id')).to.match(/./);
  expect(answer.text).not.to.match(/\\n +at |node_modules|\.ts:\d|insert into|select "/);
  const body = answer.json as Record<string, Record<string, unknown>>;
  if (path.startsWith('/messages')) {
    expect(body).to.have.all.keys('type', 'error', 'request_id');
    expect(body['error']).to.have.all.keys('type', 'message');
    expect(answer.headers.get('request-id')).to.equal(body['request_id']);
    return;
  }
  expect(body['error']).to.have.all.keys('message', 'type', 'param', 'code');
  expect(body['error']?.['message']).to.be.a('string').and.to.match(/./);
  if (param !== undefined) expect(String(body['error']?.['param'])).to.match(new RegExp(`^${param}`));
}

describe('hostile calls to /v1', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  const finished: { status: number; source: string }[] = [];
  before(async () => {
    t = await edgeFixture();
    const capabilities = { operations: Object.keys(good) };
    const llm = { name: 'gpt', type: 'openai', model: 'm', url: 'http://backend.test/v1', capabilities };
    const made = await t.call('POST /api/v1/llms', { token: t.tokens.root, body: llm });
    expect(made.status, made.text).to.equal(201);
    t.bus.on('inference.finished', (event) => void finished.push(event));
  });
  after(() => t.close());

  for (const [path, { operation }] of Object.entries(inferenceCalls)) {
    const call = `POST /v1${path}`;
    describe(call, () => {
      const refuse = async (hostile: Hostile): Promise<void> => {
        finished.length = 0;
        check(await t.call(call, hostile), path, hostile);
        expect(finished.map(({ status, source }) => [status, source])).to.deep.equal([
          [hostile.status, 'v1'],
        ]);
      };
      for (const [name, make] of Object.entries(bodies))
        it(`refuses ${name}`, () => refuse(make(good[operation], main[operation])));
      for (const [name, hostile] of Object.entries(headers))
        it(`refuses ${name}`, () => refuse({ body: good[operation], ...hostile }));
      it('says 503 and when to come again while nobody serves it', async () => {
        const answer = await t.call(call, { body: good[operation] });
        expect([answer.status, answer.headers.get('x-should-retry')]).to.deep.equal([503, 'true']);
        expect([answer.headers.get('retry-after'), answer.headers.get('retry-after-ms')]).to.deep.equal([
          '5',
          '5000',
        ]);
      });
      it('is not there for other methods', async () => {
        for (const method of ['GET', 'PUT', 'DELETE', 'PATCH'])
          check(await t.call(`${method} /v1${path}`), path, { status: 404 });
      });
    });
  }

  it('refuses to go on from what it does not keep, and says so', async () => {
    for (const more of [{ previous_response_id: 'resp_1' }, { conversation: 'c' }, { background: true }]) {
      const answer = await t.call('POST /v1/responses', { body: { ...good.responses, ...more } });
      check(answer, '/responses', { status: 400, param: Object.keys(more)[0] ?? '' });
      expect(answer.text).to.include('Send the whole conversation');
    }
    const empty = { previous_response_id: null, conversation: null, background: false };
    const served = await t.call('POST /v1/responses', { body: { ...good.responses, ...empty } });
    expect(served.status).to.equal(503);
  });

  it('answers any other path as JSON, and guesses what went wrong', async () => {
    const errorOf = async (what: string): Promise<string> => {
      const answer = await t.call(what);
      check(answer, '', { status: 404 });
      return answer.text;
    };
    expect(await errorOf('GET /v1/v1/models')).to.include('/v1 twice');
    expect(await errorOf('POST /v1/chat/completions/chat/completions')).to.include('end it at /v1');
    expect(await errorOf('GET /v1/chat/completions/models')).to.include('end it at /v1');
    expect(await errorOf('GET /v1/chat/completions')).to.include('Use POST');
    await errorOf('POST /v1/audio/speech');
    await errorOf('GET /v1/');
    await errorOf('GET /v1/files/%2e%2e/x');
  });

  it('names /v1 to who left it out, whatever they send', async () => {
    const text = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'x'.repeat(100_000) }] });
    const multipart = { 'content-type': 'multipart/form-data; boundary=x' };
    for (const [path, raw, headers] of [
      ['/chat/completions', text, {}],
      ['/embeddings', '--x\r\n\r\n', multipart],
      ['/responses', '{', { 'content-type': 'text/plain' }],
    ] as const) {
      const answer = await t.call(`POST ${path}`, { raw, headers });
      expect([answer.status, answer.text.includes(`it is at /v1${path}`)]).to.deep.equal([404, true]);
    }
    // Bases of other houses, or pasted twice: what is right is named, however much was sent.
    for (const [path, says] of [
      ['/v1/v1/chat/completions', 'has /v1 twice'],
      ['/api/v1/chat/completions', 'it is at /v1/chat/completions'],
      ['/openai/v1/responses', 'it is at /v1/responses'],
      ['/openai/deployments/gpt/chat/completions?api-version=2024-02-01', 'it is at /v1/chat/completions'],
      ['/v1/chat/completions/chat/completions', 'end it at /v1'],
      ['/anthropic/v1/messages/count_tokens', 'it is at /v1/messages/count_tokens'],
      ['/v1/api/chat', 'without /v1'],
    ] as const) {
      const answer = await t.call(`POST ${path}`, { raw: text, headers: {} });
      expect([path, answer.status, answer.text]).to.satisfy(
        ([, status, text]: [string, number, string]) => status === 404 && text.includes(says),
      );
    }
    for (const path of ['/models', '/api/v1/models', '/openai/models']) {
      const answer = await t.call(`GET ${path}`, {});
      expect([path, answer.status, answer.text.includes('it is at /v1/models')]).to.deep.equal([
        path,
        404,
        true,
      ]);
    }
    const there = await t.call('POST /v1/chat/completions', { raw: '--x\r\n\r\n', headers: multipart });
    expect([there.status, there.text]).to.satisfy(
      ([status, text]: [number, string]) => status === 415 && text.includes('application/json'),
    );
  });

  it('answers GET and HEAD of / without a token', async () => {
    for (const method of ['GET', 'HEAD'])
      expect((await t.call(`${method} /`, { token: null })).status).to.equal(200);
  });
});
