import { expect } from 'chai';
import { McpctlError } from '../../core/errors.ts';
import { camelResponse, toSnake } from '../../core/registry/database/columns.ts';
import { connect, type Connection } from '../../core/registry/database/connect.ts';
import { asRegistryError, sqlFaultOf } from '../../core/registry/database/faults.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { Switch } from '../../core/member/switch.ts';
import { codeOf } from '../support/registry.ts';
import { wireTo, type Wire } from '../support/wire.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const BOUND_MS = 2_500;

describe('the connection to Postgres', () => {
  const databaseUrl = process.env['DATABASE_URL'] ?? '';
  let wire: Wire;
  let connection: Connection;
  beforeEach(async () => {
    const { hostname, port } = new URL(databaseUrl);
    wire = await wireTo({ host: hostname, port: Number(port || 5432) });
    connection = connect({ databaseUrl: wire.url(databaseUrl), schema: 'public', poolSize: 3, log });
    await connection.db.raw('select 1');
  });
  afterEach(async () => {
    await connection.close();
    await wire.close();
  });
  /** Each does what the other does, whatever becomes of its connection. */
  const ways = {
    builder: async () => void (await connection.db.raw('select 1')),
    prepared: async () => void (await connection.prepared({ name: 'one', sql: 'select $1::text' }, ['1'])),
  };
  const timed = async (work: Promise<unknown>): Promise<{ code: string; ms: number }> => {
    const began = systemClock.elapsed();
    const code = await codeOf(work);
    return { code, ms: systemClock.elapsed() - began };
  };

  it('says within the bound that Postgres does not answer, and works when it does again', async () => {
    wire.freeze();
    // More than the pool holds: those that wait for a connection are bounded as well.
    const waits = await Promise.all(
      Array.from({ length: 6 }, (_, n) => timed(n % 2 === 0 ? ways.builder() : ways.prepared())),
    );
    for (const { code, ms } of waits) {
      expect(code).to.equal('unavailable');
      expect(ms).to.be.below(BOUND_MS);
    }
    wire.mend();
    await ways.builder();
    await ways.prepared();
  });

  it('gives a transaction up within the bound, its ROLLBACK included', async () => {
    const { code, ms } = await timed(
      connection.transaction(async (trx) => {
        await trx.raw('select 1');
        wire.freeze();
        await trx.raw('select 2');
      }),
    );
    expect(code).to.equal('unavailable');
    expect(ms).to.be.below(BOUND_MS);
  });

  it('is closed when what runs over it has ended, and lets nothing begin', async () => {
    const order: string[] = [];
    const running = connection.transaction(async (trx) => {
      await trx.raw('select 1');
      await trx.raw('select pg_sleep(0.2)');
      order.push('done');
    });
    await connection.db.raw('select 1'); // by now the other one has its connection
    const closing = connection.close().then(() => order.push('closed'));
    expect(await codeOf(connection.transaction(async () => undefined))).to.equal('unavailable');
    await Promise.all([running, closing]);
    expect(order).to.deep.equal(['done', 'closed']);
  });

  for (const [way, ask] of Object.entries(ways))
    it(`says at once that the connection was reset: ${way}`, async () => {
      wire.cut();
      const { code, ms } = await timed(ask());
      expect(code).to.equal('unavailable');
      expect(ms).to.be.below(500);
      wire.mend();
      await ask();
    });

  for (const [way, ask] of Object.entries(ways))
    it(`outlives connections that Postgres terminates: ${way}`, async () => {
      const other = connect({ databaseUrl, schema: 'public', poolSize: 1, log });
      const { rows } = await connection.db.raw<{ rows: { pid: number }[] }>('select pg_backend_pid() as pid');
      await other.db.raw('select pg_terminate_backend(?)', [rows[0]?.pid ?? 0]);
      await other.close();
      // One stale connection may still be handed out; the next is sound.
      await codeOf(ask());
      await ask();
    });

  it('frees what Postgres holds for a statement that took too long', async () => {
    const { code, ms } = await timed(Promise.resolve(connection.db.raw('select pg_sleep(30)')));
    expect(code).to.match(/^unavailable 57014/);
    expect(ms).to.be.below(BOUND_MS);
    const { rows } = await connection.db.raw<{ rows: unknown[] }>(
      `select 1 from pg_stat_activity where state = 'active' and query = 'select pg_sleep(30)'`,
    );
    expect(rows).to.deep.equal([]);
  });

  it('tells a statement that waits for what somebody else holds from one that takes long, and sooner', async () => {
    const { db } = connection;
    const { code, ms } = await db.transaction(async (trx) => {
      await trx.raw('select pg_advisory_xact_lock(4711)');
      return await timed(Promise.resolve(db.raw('select pg_advisory_xact_lock(4711)')));
    });
    expect(code).to.match(/^unavailable 55P03/);
    expect(ms).to.be.below(1_900);
  });

  it('waits so long that Postgres itself ends one of two that wait for each other: the other goes on, and that one is tried again', async () => {
    const states: (string | undefined)[] = [];
    const hold = [new Switch(false), new Switch(false)] as const;
    const takes = (own: 0 | 1): Promise<void> =>
      connection.transaction(async (trx) => {
        await trx.raw('select pg_advisory_xact_lock(?)', [4713 + own]);
        hold[own].set(true);
        await hold[(1 - own) as 0 | 1].untilOpen(new AbortController().signal);
        try {
          await trx.raw('select pg_advisory_xact_lock(?)', [4714 - own]);
        } catch (thrown) {
          states.push(sqlFaultOf(thrown)?.sqlState);
          throw thrown;
        }
      });
    await Promise.all([takes(0), takes(1)]);
    expect(states).to.deep.equal(['40P01']);
  });

  it('has a transaction wait for what somebody else holds as long as a statement may take', async () => {
    let tried = 0;
    let letGo: () => void = () => undefined;
    const over = new Promise<void>((resolve) => (letGo = resolve));
    await connection.db.transaction(async (holder) => {
      await holder.raw('select pg_advisory_xact_lock(4712)');
      const waiting = connection.transaction(async (trx) => {
        tried += 1;
        if (tried === 2) letGo();
        await trx.raw('select pg_advisory_xact_lock(4712)');
      });
      waiting.catch(letGo);
      await over;
    });
    expect(tried).to.equal(2);
  });

  it('carries no value of a row out in an error', async () => {
    const secret = 'the-prompt-itself';
    const errors = [
      await connection.db.raw('select ?::uuid', [secret]).catch((thrown: unknown) => thrown),
      await connection
        .transaction((trx) => trx.raw('select ?::int', [secret]))
        .catch((thrown: unknown) => thrown),
      await connection
        .prepared({ name: 'cast', sql: 'select $1::uuid' }, [secret])
        .catch((thrown: unknown) => thrown),
    ];
    for (const error of errors) {
      expect(error).to.be.instanceOf(McpctlError);
      expect(sqlFaultOf(error)?.sqlState).to.equal('22P02');
      const seen = error as McpctlError;
      expect(`${seen.message} ${seen.stack} ${JSON.stringify(seen.cause)}`).not.to.include(secret);
    }
  });

  it('runs a transaction again that lost a race for a unique key', async () => {
    let runs = 0;
    const result = await connection.transaction(async (trx) => {
      runs += 1;
      if (runs < 3) await trx.raw(`do $$ begin raise unique_violation; end $$`);
      return 'done';
    });
    expect([result, runs]).to.deep.equal(['done', 3]);
  });

  it('leaves errors that are not of Postgres as they are', () => {
    const bug = new TypeError('x is not a function');
    expect(asRegistryError(bug)).to.equal(bug);
  });

  it('turns column names both ways and leaves the inside of jsonb alone', async () => {
    expect(toSnake('providerSessionId')).to.equal('provider_session_id');
    expect(camelResponse([{ provider_session_id: 1 }])).to.deep.equal([{ providerSessionId: 1 }]);
    const { rows } = await connection.db.raw<{ rows: unknown[] }>(
      `select 1 as some_name, '{"in_side": 1}'::jsonb as api_key_ref`,
    );
    expect(rows).to.deep.equal([{ someName: 1, apiKeyRef: { in_side: 1 } }]);
  });
});
