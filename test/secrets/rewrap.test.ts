import { expect } from 'chai';
import { Client } from 'pg';
import { grantedTo } from '../../core/access/presets.ts';
import { usualLimits } from '../../core/registry/names/limits.ts';
import { createRegistry } from '../../core/registry/registry.ts';
import { inspectSecretKeys } from '../../core/registry/secrets/inspect-keys.ts';
import { secret } from '../../core/resources/people/secret.ts';
import { stored } from '../../core/resources/index.ts';
import { createRewrapSecretsDuty } from '../../scheduler/duties/rewrap-secrets.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { keyringWith, newKey } from '../support/keyring.ts';
import { startProcess } from '../support/process.ts';
import { programOf } from '../support/program.ts';
import { dutyDeps } from '../support/tasks.ts';

/** With two versions each; MCPCTL_ROUNDS=500 for a thousand. */
const SECRETS = Number(process.env['MCPCTL_ROUNDS'] ?? 20);

describe('the keys of secrets, when they change', function () {
  this.timeout(Math.max(60_000, SECRETS * 500));
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());
  beforeEach(() => t.connection.db.raw('delete from secrets; delete from secret_keys'));

  const [oldKey, key] = [newKey(), newKey()];
  const [oldKid, kid] = [keyringWith(oldKey).active.kid, keyringWith(key).active.kid];
  const registryWith = (...keys: string[]) =>
    createRegistry(t.connection, usualLimits, {
      definitions: stored,
      keyring: { now: () => (keys.length === 0 ? null : keyringWith(...keys)) },
    });
  const actor = () => ({
    ...{
      userId: t.root.id,
      userName: 'root',
      tokenId: t.root.id,
      tokenName: 'test',
      pools: null,
      filter: null,
    },
    ...{ binding: 'admin' as const, granted: grantedTo.admin },
  });
  const make = async (...names: string[]) => {
    const store = registryWith(oldKey).resources(secret);
    for (const name of names) {
      await store.create({ name, data: { KEY: `one of ${name}` } }, actor());
      await store.change(name, { data: { KEY: `two of ${name}` } }, { actor: actor(), ifMatch: null });
    }
  };
  const dutyWith = (...keys: string[]) => {
    const deps = { ...dutyDeps(t), registry: registryWith(...keys) };
    const duty = createRewrapSecretsDuty(deps);
    return () => duty.run(new AbortController().signal);
  };
  const counts = async () => Object.fromEntries(await registryWith().secrets.keys());

  it('wraps anew what is under another than the first, past one that does not open and one that is held', async () => {
    await make('poisoned', 'held', 'good');
    const { db } = t.connection;
    const idOf = async (name: string): Promise<string> =>
      ((await db('secrets').where({ name }).first<{ id: string } | undefined>('id')) ?? expect.fail(name)).id;
    await db('secretVersions')
      .where({ secretId: await idOf('poisoned'), version: 1 })
      .update({ wrappedDek: 'AAAA' });
    const items = await db('secretVersions').orderBy(['secretId', 'version']).select<object[]>('items');
    const run = dutyWith(key, oldKey);
    const versionKey = { secretId: await idOf('held'), version: 2 };
    await db.transaction(async (trx) => {
      await trx('secretVersions').where(versionKey).forUpdate().select('version');
      expect(await run()).to.equal(4);
    });
    expect(await counts()).to.deep.equal({ [oldKid]: 2, [kid]: 4 });
    await run();
    expect(await counts()).to.deep.equal({ [oldKid]: 1, [kid]: 5 });
    expect(
      await db('secretVersions').orderBy(['secretId', 'version']).select<object[]>('items'),
    ).to.deep.equal(items);
    const withNew = registryWith(key).secrets;
    for (const name of ['held', 'good', 'poisoned'])
      expect((await withNew.reveal(name, actor())).data).to.deep.equal({ KEY: `two of ${name}` });
    expect(await dutyWith(key)(), 'what it has no key for is left').to.equal(0);
    expect(await dutyWith()(), 'without keys').to.equal(0);
  });

  it('of two that wrap anew at once, and two that are killed between, every value can be read throughout', async () => {
    await make(...Array.from({ length: SECRETS }, (_, n) => `s${n}`));
    const both = registryWith(key, oldKey).secrets;
    let done = false;
    const reading = (async () => {
      for (let n = 0; !done; n++) {
        const name = `s${n % SECRETS}`;
        expect((await both.reveal(name, actor())).data).to.deep.equal({ KEY: `two of ${name}` });
      }
    })();
    for (const before of [7, 5]) await both.rewrap((await both.staleVersions(100)).slice(0, before)); // and no further
    const duties = [dutyWith(key, oldKey), dutyWith(key, oldKey)] as const;
    let left = 2 * SECRETS - 12;
    while (left > 0) {
      const did = await Promise.all([duties[0](), duties[1]()]);
      expect(did[0] + did[1], 'each once').to.be.within(1, left);
      left -= did[0] + did[1];
    }
    done = true;
    await reading;
    expect(await counts()).to.deep.equal({ [kid]: 2 * SECRETS });
  });

  it('are wrapped anew by schedulers that are killed in the middle, twice: every value can be read throughout, and none is left', async () => {
    await make(...Array.from({ length: SECRETS }, (_, n) => `k${n}`));
    // A while for each, and a word at each that is done: so a kill meets the middle.
    await t.connection.db.raw(`
      create function slow_wrap() returns trigger language plpgsql as $slow$
        begin perform pg_sleep(0.005); perform pg_notify('wrapped_anew', ''); return new; end $slow$;
      create trigger slow_wrap before update of wrapped_dek on secret_versions for each row execute function slow_wrap()`);
    const hearing = new Client({ connectionString: t.databaseUrl });
    await hearing.connect();
    await hearing.query('listen wrapped_anew');
    let wrapped = 0;
    const waiting = new Set<() => void>();
    hearing.on('notification', () => {
      wrapped += 1;
      for (const look of waiting) look();
    });
    const untilWrapped = (many: number): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void => void (wrapped >= many && waiting.delete(look) && resolve());
        waiting.add(look);
        look();
      });
    const both = registryWith(key, oldKey).secrets;
    let isDone = false;
    let reads = 0;
    const reading = (async () => {
      for (; !isDone; reads++) {
        const name = `k${reads % SECRETS}`;
        expect((await both.reveal(name, actor())).data).to.deep.equal({ KEY: `two of ${name}` });
      }
    })();
    const env = {
      ...{ DATABASE_URL: t.databaseUrl, REDIS_URL: process.env['REDIS_URL'] ?? '' },
      ...{ MCPCTL_REDIS_NAMESPACE: t.namespace, MCPCTL_PG_SCHEMA: t.schema },
      ...{ MCPCTL_SECRETS_KEY: `${key},${oldKey}`, MCPCTL_SWEEP_MS: '1000', MCPCTL_LEADER_MS: '1000' },
    };
    const all = 2 * SECRETS;
    try {
      for (const share of [0.25, 0.5, 1]) {
        const scheduler = startProcess(programOf('scheduler'), { env });
        await Promise.race([
          untilWrapped(all * share),
          scheduler.exited.then((code) => expect.fail(`it left with ${String(code)}`)),
        ]);
        await scheduler.kill('SIGKILL');
        const { [oldKid]: left = 0, [kid]: moved = 0 } = await counts();
        expect(left + moved, 'each is under one key').to.equal(all);
        if (share < 1) expect(left, 'the kill met the middle').to.be.within(1, all - 1);
      }
      expect(await counts()).to.deep.equal({ [kid]: all });
    } finally {
      isDone = true;
      await reading;
      await hearing.end();
      await t.connection.db.raw('drop function slow_wrap cascade');
    }
    expect(reads).to.be.above(3);
    const withNew = registryWith(key).secrets;
    for (let n = 0; n < SECRETS; n++)
      expect((await withNew.reveal(`k${n}`, actor())).data).to.deep.equal({ KEY: `two of k${n}` });
  });

  it('are looked at before an edge starts: it names the key that is wanted, and runs without any', async () => {
    const inspected = (...secretsKey: string[]) =>
      inspectSecretKeys({ databaseUrl: t.databaseUrl, schema: t.schema, secretsKey });
    const path = 'MCPCTL_SECRETS_KEYS_FILE';
    expect(await inspected(key), 'nothing is kept yet').to.deep.equal({ faults: [] });
    await make('a');
    const [fault, ...more] = (await inspected(key)).faults;
    expect([fault?.path, more]).to.deep.equal([path, []]);
    expect(fault?.message).to.include(`under key ${oldKid}`).and.include(kid).and.not.include(key);
    for (const keys of [[oldKey], [key, oldKey], [oldKey, key], []])
      expect(await inspected(...keys), String(keys.length)).to.deep.equal({ faults: [] });
    await t.connection.db('secretKeys').update({ checkValue: 'of another key' });
    expect((await inspected(oldKey)).faults).to.have.length(1);
    const away = { databaseUrl: 'postgres://127.0.0.1:1/none', schema: 'public', secretsKey: [key] };
    expect(await inspectSecretKeys(away)).to.deep.equal({ faults: [] });
  });
});
