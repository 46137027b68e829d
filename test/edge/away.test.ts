import { expect } from 'chai';
import { systemClock } from '../../core/runtime/clock.ts';
import { cookieFor } from '../support/admin.ts';
import { edgeFixture, type EdgeFixture, publicLlm } from '../support/edge.ts';
import { wireTo, type Wire } from '../support/wire.ts';

const BOUND_MS = 2_500;
/** Reaching Redis again takes a few of its reconnects. */
const BACK_MS = 5_000;

const wireFor = (name: string, port: number): Promise<Wire> => {
  const url = new URL(process.env[name] ?? '');
  return wireTo({ host: url.hostname, port: Number(url.port || port) });
};

describe('while Postgres or Redis is away, the edge', () => {
  let t: EdgeFixture;
  let postgres: Wire;
  let redis: Wire;
  let cookie = '';
  before(async () => {
    [postgres, redis] = await Promise.all([wireFor('DATABASE_URL', 5432), wireFor('REDIS_URL', 6379)]);
    t = await edgeFixture(
      { MCPCTL_TOKEN_CACHE_MS: '1' },
      {
        databaseUrl: postgres.url(process.env['DATABASE_URL'] ?? ''),
        redisUrl: redis.url(process.env['REDIS_URL'] ?? ''),
      },
    );
    await publicLlm(t, 'gpt');
    cookie = await cookieFor(t.url, t.tokens.ada);
    await t.call('GET /admin/queues/api/queues', { headers: { cookie } });
  });
  after(async () => {
    postgres.mend();
    redis.mend();
    await t.close();
    await Promise.all([postgres.close(), redis.close()]);
  });

  const offer = { name: 'tiny', type: 'openai', model: 'm' };
  const calls: [string, unknown?][] = [
    ['GET /api/v1/llms'],
    ['GET /api/v1/llms/gpt'],
    ['GET /api/v1/pools'],
    ['GET /admin/queues/api/queues'],
    ['POST /api/v1/llms/_provider-register', { transports: ['redis'], providers: [offer] }],
  ];

  const back = async (): Promise<void> => {
    const until = systemClock.elapsed() + BACK_MS;
    while ((await t.call('GET /api/v1/llms/gpt')).status !== 200 && systemClock.elapsed() < until);
    expect((await t.call('GET /api/v1/llms/gpt')).status).to.equal(200);
  };

  for (const [which, wire] of [
    ['Postgres', () => postgres],
    ['Redis', () => redis],
  ] as const) {
    for (const how of ['freeze', 'cut'] as const) {
      it(`says 503 within the bound when ${which} ${how === 'freeze' ? 'hangs' : 'is down'}, and serves when it is back`, async () => {
        wire()[how]();
        const answers = await Promise.all(
          calls.map(async ([what, body]) => {
            const began = systemClock.elapsed();
            const answer = await t.call(what, { body, headers: { cookie } });
            return { what, answer, ms: systemClock.elapsed() - began };
          }),
        );
        for (const { what, answer, ms } of answers) {
          expect([what, answer.status, (answer.json as { code: string }).code]).to.deep.equal([
            what,
            503,
            'unavailable',
          ]);
          expect(answer.headers.get('retry-after')).to.match(/^\d+$/);
          expect(ms, what).to.be.below(BOUND_MS);
        }
        expect((await t.call('GET /readyz', { token: null })).status).to.equal(503);
        expect((await t.call('GET /livez', { token: null })).status).to.equal(200);
        wire().mend();
        await back();
      });
    }
  }
});
