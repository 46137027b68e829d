import { expect } from 'chai';
import { edgeFixture, publicLlm, type Answer, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';

const CROWD = 20;

describe('a user who asks for much at once', () => {
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture({ MCPCTL_PG_POOL: '10' });
    await t.call('POST /api/v1/projects', { body: { name: 'core' } });
    await publicLlm(t, 'one');
    await t.call('POST /api/v1/prompts', { body: { name: 'tone', content: 'Be brief.' } });
  });
  after(() => t.close());

  /** @returns what a crowd of ada's calls is answered, and bob, who asks while they wait for what `sql` holds. */
  async function whileHeld(sql: string, ask: (nth: number) => Promise<Answer>) {
    let crowd: Promise<Answer>[] = [];
    const bobs = await t.connection.transaction(async (trx) => {
      await trx.raw(sql);
      crowd = Array.from({ length: CROWD }, (_, nth) => ask(nth));
      const waiting = async (): Promise<number> => {
        const { rows } = await trx.raw<{ rows: unknown[] }>(
          `select 1 from pg_locks where not granted and pid <> pg_backend_pid()
             and database = (select oid from pg_database where datname = current_database())`,
        );
        return rows.length;
      };
      await until(waiting, (count) => count > 0);
      return await Promise.all(
        Array.from({ length: 5 }, () => t.call('GET /api/v1/tokens', { token: t.tokens.bob })),
      );
    });
    const statusesOf = (answers: readonly Answer[]) => [...new Set(answers.map(({ status }) => status))];
    return { bob: statusesOf(bobs), ada: statusesOf(await Promise.all(crowd)) };
  }

  const crowds: readonly (readonly [what: string, held: string, ask: (nth: number) => Promise<Answer>])[] = [
    [
      'to change one row',
      `select 1 from projects where name = 'core' for update`,
      (nth) => t.call('PATCH /api/v1/projects/core', { body: { description: `the ${String(nth)}th` } }),
    ],
    ['to list', 'lock table projects in access exclusive mode', () => t.call('GET /api/v1/projects')],
    [
      'to list long texts',
      'lock table prompts in access exclusive mode',
      () => t.call('GET /api/v1/prompts'),
    ],
    ['what was used', 'lock table tasks in access exclusive mode', () => t.call('GET /api/v1/usage?by=llm')],
    ...[
      '/api/v1/llms/one',
      '/api/v1/llms/one/members',
      '/api/v1/llms/one/explain',
      '/api/v1/pools/one',
      '/v1/models/one',
      '/api/ps',
      '/ui/status',
    ].map(
      (path) =>
        [
          `to look at ${path}`,
          'lock table llms in access exclusive mode',
          () => t.call(`GET ${path}`, { signal: AbortSignal.timeout(20_000) }),
        ] as const,
    ),
  ];
  for (const [what, query, ask] of crowds)
    it(`${what} waits for itself, and leaves others their way to Postgres`, async () => {
      const { bob, ada } = await whileHeld(query, ask);
      expect(bob).to.deep.equal([200]);
      expect(ada).to.deep.equal([what.endsWith('/v1/models/one') ? 404 : 200]); // nobody serves it
    });
});
