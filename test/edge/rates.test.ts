import { EventEmitter } from 'node:events';
import { expect } from 'chai';
import type { Request, Response } from 'express';
import fc from 'fast-check';
import type { Clock } from '../../core/runtime/clock.ts';
import { RateLimit } from '../../edge/limits/rate-limit.ts';
import { createRates } from '../../edge/limits/rates.ts';
import { edgeFixture, type Answer, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';

/** A clock that stands until it is moved. */
function standing(): Clock & { pass(ms: number): void } {
  let elapsed = 1_000_000;
  return { now: () => elapsed, elapsed: () => elapsed, random: () => 0.5, pass: (ms) => (elapsed += ms) };
}

describe('a rate', () => {
  it('lets half a second’s worth through at once, then has who asks wait in order, then refuses', () => {
    const clock = standing();
    const rate = new RateLimit(clock, 1_000);
    const turns = Array.from({ length: 25 }, () => rate.of('mallory').take(100));
    expect(turns.slice(0, 5).every(({ waitMs }) => waitMs === 0)).to.equal(true);
    expect(turns.slice(5, 15).map(({ waitMs }) => waitMs)).to.deep.equal(
      Array.from({ length: 10 }, (_, n) => (n + 1) * 100),
    );
    expect(turns.slice(15).every(({ retryAfterS }) => retryAfterS === 1)).to.equal(true);
    expect(rate.of('ada').take(100).waitMs).to.equal(0);
    clock.pass(1_000);
    expect(rate.of('mallory').take(100).waitMs).to.equal(100); // what was refused was not paid for
  });

  it('lets nobody have more than a burst and the rate, whatever they ask and when', () => {
    const asked = fc.array(fc.tuple(fc.nat(400), fc.integer({ min: 1, max: 300 })), { maxLength: 200 });
    fc.assert(
      fc.property(asked, (requests) => {
        const clock = standing();
        const rate = new RateLimit(clock, 1_000);
        const from = clock.elapsed();
        let taken = 0;
        for (const [laterMs, costMs] of requests) {
          clock.pass(laterMs);
          const { waitMs, retryAfterS } = rate.of('mallory').take(costMs);
          if (retryAfterS !== undefined) continue;
          taken += costMs;
          expect(taken).to.be.at.most(clock.elapsed() + waitMs - from + 1_000);
          expect(waitMs).to.be.at.most(1_000);
        }
      }),
    );
  });

  it('knows ten thousand at most, and forgets those first who owe nothing', () => {
    const clock = standing();
    const rate = new RateLimit(clock, 1_000);
    rate.of('idle').take(100);
    clock.pass(5_000);
    for (let n = 0; n < 30; n++) rate.of('mallory').take(100);
    for (let n = 0; n < 9_998; n++) rate.of(String(n)).take(1);
    rate.of('one more').take(1);
    expect(rate.of('mallory').take(100).retryAfterS).to.equal(1);
  });
});

describe('a rate of many', () => {
  it('knows whether anybody but who asks has asked in the last five seconds', () => {
    const clock = standing();
    const rate = new RateLimit(clock, 1_000);
    const asks = (owner: string): boolean => {
      rate.of(owner);
      return rate.isAlone;
    };
    expect([asks('mallory'), asks('mallory')]).to.deep.equal([true, true]);
    expect([asks('ada'), asks('mallory'), asks('mallory')]).to.deep.equal([false, false, false]);
    clock.pass(5_001);
    expect([asks('mallory'), asks('ada')]).to.deep.equal([true, false]);
  });
});

describe('the calls of one who leaves them', () => {
  const config = { maxUserRequestRate: 2, maxUserCallRate: 1_000, maxAddressRequestRate: 2 };
  const metrics = { refused: (): void => undefined, slowed: (): void => undefined };

  /** Makes forty calls, each left as told. @returns whether the next has to wait, though there was time for it. */
  const isSlowed = (originalUrl: string, left: { afterMs: number; headersSent: boolean }): boolean => {
    const clock = standing();
    const rates = createRates({ config, clock, metrics });
    const ask = (userId: string) => {
      const res = Object.assign(new EventEmitter(), { statusCode: 200, headersSent: left.headersSent });
      const req = { method: 'POST', originalUrl } as Request;
      const early = rates.ofUser(userId, req, res as unknown as Response);
      return { early, res };
    };
    ask('bob');
    for (let n = 0; n < 40; n++) {
      const { res } = ask('mallory');
      clock.pass(left.afterMs);
      res.emit('close');
    }
    ask('bob');
    const { early, res } = ask('mallory');
    res.emit('close');
    return early !== undefined;
  };
  const call = '/v1/chat/completions';

  it('count like other requests where they are left at once, before anything was said', () => {
    expect(isSlowed(call, { afterMs: 20, headersSent: false })).to.equal(true);
  });

  it('do not where their answer had begun, or was waited for, nor do those of a worker', () => {
    expect(isSlowed(call, { afterMs: 20, headersSent: true })).to.equal(false);
    expect(isSlowed(call, { afterMs: 1_500, headersSent: false })).to.equal(false);
    const answer = '/api/v1/llms/_provider-task/1/stream';
    expect(isSlowed(answer, { afterMs: 20, headersSent: false })).to.equal(false);
  });
});

describe('how fast one may ask', () => {
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture({
      MCPCTL_MAX_USER_REQUEST_RATE: '2',
      MCPCTL_MAX_USER_CALL_RATE: '1000',
      MCPCTL_MAX_ADDRESS_REQUEST_RATE: '2',
    });
  });
  after(() => t.close());

  const ask = (what: string, token: string | null): Promise<Answer> => {
    const body = { model: 'nobody', messages: [{ role: 'user', content: 'x' }] };
    return t.call(what, what.startsWith('POST') ? { token, body } : { token });
  };
  const many = (n: number, what: string, token: string | null): Promise<Answer[]> =>
    Promise.all(Array.from({ length: n }, () => ask(what, token)));
  /** Their answers as they come: some wait for seconds. */
  const crowd = (n: number, what: string, token: string): Answer[] => {
    const answers: Answer[] = [];
    for (let i = 0; i < n; i++)
      ask(what, token).then(
        (answer) => answers.push(answer),
        () => undefined, // the edge was closed meanwhile
      );
    return answers;
  };
  const countOf = (answers: readonly Answer[], status: number): number =>
    answers.filter((answer) => answer.status === status).length;
  const counted = async (name: string): Promise<number> => {
    const { text } = await t.deps.metrics.render();
    return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  };

  it('holds nobody up who is alone', async () => {
    expect(countOf(await many(40, 'GET /api/v1/whoami', t.tokens.ada), 200)).to.equal(40);
  });

  it('slows a user who asks too fast, refuses what would wait for long and says what to do, and nobody else', async () => {
    await ask('GET /api/v1/whoami', t.tokens.bob);
    const mallorys = crowd(40, 'GET /api/v1/whoami', t.tokens.ada);
    expect(countOf(await many(2, 'GET /api/v1/whoami', t.tokens.bob), 200)).to.equal(2);
    // Of five seconds, at two a second; the others are told so after one.
    await until(
      async () => countOf(mallorys, 429),
      (n) => n >= 29,
    );
    expect(countOf(mallorys, 429)).to.be.within(29, 30);
    expect(countOf(mallorys, 200)).to.be.at.most(10);
    expect(await counted('mcpctl_refused_total\\{cap="user_rate"\\}')).to.equal(countOf(mallorys, 429));
    expect(await counted('mcpctl_slowed_total\\{cap="user_rate"\\}')).to.be.at.least(countOf(mallorys, 429));
    const refused = mallorys.find(({ status }) => status === 429);
    expect(Number(refused?.headers.get('retry-after'))).to.be.within(1, 15);
    expect((refused?.json as { error: string }).error)
      .to.include('MCPCTL_MAX_USER_REQUEST_RATE')
      .and.to.include('?wait=30');
  });

  it('counts calls like other requests for whom they mostly come to nothing', async () => {
    const call = 'POST /v1/chat/completions';
    expect(countOf(await many(30, call, t.tokens.root), 404)).to.equal(30);
    await ask('GET /api/v1/whoami', t.tokens.bob);
    const calls = crowd(20, call, t.tokens.root);
    await until(
      async () => countOf(calls, 429),
      (n) => n >= 9,
    );
  });

  it('slows who is not known by address, whatever they ask for; known users and probes are answered', async () => {
    const [unknown, nowhere, preflights, withToken] = await Promise.all([
      many(20, 'GET /api/v1/whoami', null),
      many(20, 'GET /nowhere', null),
      many(20, 'OPTIONS /api/v1/llms', null),
      many(2, 'GET /api/v1/whoami', t.tokens.bob),
    ]);
    expect(countOf(withToken, 200)).to.equal(2);
    const strangers = [...unknown, ...nowhere, ...preflights];
    expect(countOf(strangers, 429)).to.be.within(50, 57);
    expect(await counted('mcpctl_refused_total\\{cap="address_rate"\\}')).to.equal(countOf(strangers, 429));
    const probe = await t.call('GET /livez', { token: null, headers: { connection: 'close' } });
    expect(probe.status).to.equal(200);
  });
});
