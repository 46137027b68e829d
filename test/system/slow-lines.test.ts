import { expect } from 'chai';
import { answers, chats, type Script } from '../support/backend.ts';
import { startSystem, until, type EdgeProcess, type System } from '../support/system.ts';
import { wireToUrl, type Wire } from '../support/wire.ts';

/** Of a home's uplink, by hand: `MCPCTL_LINE=100000 MCPCTL_LINE_BYTES=16000000`. */
const RATE = Number(process.env['MCPCTL_LINE'] ?? 300_000);
/** Longer on its way than any limit that is not for bytes. */
const BYTES = Number(process.env['MCPCTL_LINE_BYTES'] ?? 2_400_000);

/** A text of about so many bytes. */
const textOf = (bytes: number): string => 'word '.repeat(bytes / 5);

/** A whole chat completion of about so many bytes. */
const wholeOf = (bytes: number): Script =>
  answers(200, {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1_700_000_000,
    model: 'tiny',
    choices: [{ index: 0, message: { role: 'assistant', content: textOf(bytes) }, finish_reason: 'stop' }],
  });

/** A stream of about so many bytes, as quick as they are taken. */
const streamOf = (bytes: number): Script => chats(Array<string>(bytes / 500).fill(textOf(500)));

/** Bytes that move are a sign of life: docs/decisions/0043. */
describe('a slow line', function () {
  this.timeout(Math.max(60_000, (8_000 * BYTES) / RATE));
  let t: System;
  let near: EdgeProcess;
  let far: EdgeProcess;
  let farFromRedis: EdgeProcess;
  const wires: Wire[] = [];
  const behind = async (url: string): Promise<Wire> => {
    const wire = await wireToUrl(url);
    wires.push(wire);
    return wire;
  };

  before(async () => {
    t = await startSystem();
    near = t.edge;
    const edge = await behind(t.url);
    await t.startWorker([{ name: 'far-sse', backend: t.backend, maxConcurrency: 4 }], {
      transport: 'sse',
      url: edge.url(t.url),
    });
    const redis = await behind(t.sandbox.redisUrl);
    await t.startWorker([{ name: 'far-redis', backend: t.backend, maxConcurrency: 4 }], {
      transport: 'redis',
      env: { REDIS_URL: redis.url(t.sandbox.redisUrl) },
    });
    await t.startWorker([{ name: 'near', backend: t.backend, maxConcurrency: 16 }]);
    const postgres = await behind(t.sandbox.databaseUrl);
    far = await t.startEdge(0, { DATABASE_URL: postgres.url(t.sandbox.databaseUrl) });
    const edgesRedis = await behind(t.sandbox.redisUrl);
    farFromRedis = await t.startEdge(0, { REDIS_URL: edgesRedis.url(t.sandbox.redisUrl) });
    for (const wire of wires) wire.rate(RATE);
    t.backend.reply(async (exchange) => {
      const { body } = exchange.request;
      const large = body.includes('"stream":true') ? streamOf(BYTES / 2) : wholeOf(BYTES);
      await (body.includes('a long one, please') ? large : chats(['Hi']))(exchange);
    });
  });
  after(async () => {
    await t.close();
    await Promise.all(wires.map((wire) => wire.close()));
  });

  const long = 'a long one, please';
  const chat = async (model: string, content: string, at: { url: string } = near): Promise<Response> =>
    await t.call('POST', '/v1/chat/completions', {
      body: { model, messages: [{ role: 'user', content }] },
      at,
    });
  /** Asks, and a little after while that is on its way; nothing of either is lost, and the little is there first. */
  async function answered(model: string, content: string, edge: { url: string } = near): Promise<number> {
    let isOver = false;
    const large = chat(model, content, edge).finally(() => (isOver = true));
    // What has to get to Postgres over a slow line is no task before it is there.
    if (edge !== far)
      await until(
        () => t.openTasks(model),
        (open) => open > 0,
      );
    const small = await chat(model, 'hi', edge);
    expect([small.status, await small.text(), isOver]).to.have.deep.property('0', 200);
    expect(isOver, 'the little was answered first').to.equal(false);
    const answer = await large;
    const text = await answer.text();
    expect([answer.status, answer.status === 200 ? '' : text]).to.deep.equal([200, '']);
    const row = await t.registry.tasks.byId(answer.headers.get('x-mcpctl-task-id') ?? '');
    expect(row).to.include({ status: 'completed', attempts: 0, crashes: 0 });
    return text.length;
  }

  /** Asks for a stream, and again and again for a little meanwhile: each of that is answered. */
  async function streamed(model: string, edge: { url: string }): Promise<number> {
    let isOver = false;
    const body = { model, stream: true, messages: [{ role: 'user', content: long }] };
    const answer = await t.call('POST', '/v1/chat/completions', { body, at: edge });
    const large = answer.text().finally(() => (isOver = true));
    for (const small of await smallUntil(() => isOver, model, edge)) expect(small).to.equal('200');
    const text = await large;
    expect(text.trimEnd().endsWith('data: [DONE]'), text.slice(-300)).to.equal(true);
    return text.length;
  }
  /** What becomes of small calls, one after the other, until something large is over. */
  async function smallUntil(isOver: () => boolean, model: string, edge: { url: string }): Promise<string[]> {
    const became: string[] = [];
    while (!isOver()) {
      const small = await chat(model, 'hi', edge);
      became.push(small.status === 200 ? '200' : `${String(small.status)} ${await small.text()}`);
    }
    expect(became).to.have.length.above(1);
    return became;
  }
  /** Large ones of every kind over one line, where each small one is answered meanwhile. */
  async function farFromItsRedis(): Promise<void> {
    let isOver = false;
    // The longest that is laid into Redis: a longer one rests in Postgres.
    const request = async (): Promise<number> => (await chat('near', textOf(250_000), farFromRedis)).status;
    const larges = Promise.all([
      answered('near', long, farFromRedis),
      streamed('near', farFromRedis),
      request(),
      request(),
      request(),
    ]).finally(() => (isOver = true));
    const [small, [ofWhole, ofStream, ...statuses]] = await Promise.all([
      smallUntil(() => isOver, 'near', farFromRedis),
      larges,
    ]);
    expect(small.filter((status) => status !== '200')).to.deep.equal([]);
    expect(statuses).to.deep.equal([200, 200, 200]);
    expect(ofWhole).to.be.greaterThan(BYTES - 10);
    expect(ofStream).to.be.greaterThan(BYTES / 2);
  }

  it('brings requests and answers to and from who is behind it, and lets nothing small wait', async () => {
    // All at once: each has a line of its own.
    const [, ofSse, ofRedis, , ofPostgres] = await Promise.all([
      answered('far-sse', textOf(BYTES)),
      answered('far-sse', long),
      answered('far-redis', long),
      answered('near', textOf(BYTES), far),
      answered('near', long, far),
      farFromItsRedis(),
    ]);
    for (const length of [ofSse, ofRedis, ofPostgres]) expect(length).to.be.greaterThan(BYTES - 10);
  });
});
