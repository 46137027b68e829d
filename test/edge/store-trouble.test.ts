import { expect } from 'chai';
import { until } from '../support/system.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';

interface Ready {
  status: string;
  checks: { name: string; status: string }[];
}

/** What Postgres may say of any statement, one of each class, and what is told of it. */
const sentences: [state: string, says: RegExp][] = [
  ['53100', /Postgres is full/],
  ['58030', /Postgres is full/],
  ['25006', /Postgres is read-only/],
  ['42501', /Postgres refused this server/],
  ['42P01', /Postgres does not have this release's tables/],
  ['53400', /Postgres is starting, failing over or busy/],
  ['0A000', /Postgres is starting, failing over or busy/],
  ['57P03', /Postgres is starting, failing over or busy/],
];

describe('what Postgres cannot do', () => {
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    const providers = [{ name: 'desk', type: 'openai', model: 'm' }];
    const body = { transports: ['sse'], instanceId: '0197d7a5-0000-4000-8000-000000000001', providers };
    expect((await t.call('POST /api/v1/llms/_provider-register', { body })).status).to.equal(201);
  });
  after(() => t.close());

  const infer = () =>
    t.call('POST /v1/chat/completions', {
      body: { model: 'desk', messages: [{ role: 'user', content: 'hi' }] },
      headers: { prefer: 'respond-async' },
    });
  const ready = async (): Promise<string> => {
    const { checks } = (await t.call('GET /readyz?verbose', { token: t.tokens.root })).json as Ready;
    return checks.find(({ name }) => name === 'postgres')?.status ?? '';
  };

  for (const [state, says] of sentences)
    it(`is told its caller, with when to come again, and whoever looks whether we are ready: ${state}`, async () => {
      const { db } = t.connection;
      await db.raw(`create function refuse() returns trigger language plpgsql as
        $$ begin raise exception 'no' using errcode = '${state}'; end $$`);
      await db.raw(
        'create trigger refuse before insert on tasks for each statement execute function refuse()',
      );
      try {
        const refused = await infer();
        expect(refused.status, refused.text).to.equal(503);
        expect(refused.text).to.match(says).and.not.include(state);
        expect(Number(refused.headers.get('retry-after'))).to.be.within(1, 60);
        // What passes by itself is no reason to send callers elsewhere.
        const isShown = !/failing over/.test(says.source);
        await until(ready, (status) => (isShown ? says : /^ok$/).test(status));
      } finally {
        await db.raw('drop trigger refuse on tasks; drop function refuse()');
      }
      const accepted = await infer();
      expect(accepted.status, accepted.text).to.equal(202);
    });
});
