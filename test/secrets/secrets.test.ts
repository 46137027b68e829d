import { expect } from 'chai';
import { createRegistry } from '../../core/registry/registry.ts';
import { stored } from '../../core/resources/index.ts';
import { edgeFixture, type Answer, type EdgeFixture } from '../support/edge.ts';
import { ada, identityCalls, may } from '../support/identity.ts';
import { keyOfTests, keyringWith } from '../support/keyring.ts';
import { until, untilBlocking } from '../support/system.ts';

interface Body {
  code?: string;
  error?: string;
  version?: number;
  revision?: number;
  details?: { path: string; message: string }[];
  items?: { name: string; version: number; current: boolean }[];
  keys?: { name: string; bytes: number }[];
  data?: Record<string, unknown>;
}

describe('secrets', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());
  beforeEach(() =>
    t.connection.db.raw(`delete from secret_refs; delete from secrets; delete from retired_names;
      delete from rbac where name not in ('admins', 'everyone'); update identity_epoch set revision = revision + 1`),
  );

  const { api, answerOf, asAda } = identityCalls<Body>(() => t);
  const make = async (data: object = { KEY: 'canary-value' }, name = 'openai'): Promise<void> => {
    expect(await answerOf('POST /secrets', { name, data })).to.equal('201');
  };
  const valuesOf = async (name = 'openai') => (await api(`POST /secrets/${name}/reveal`, {})).json.data;
  const grant = async (bindings: string[], operations: string[] = []): Promise<void> => {
    expect(await answerOf('PUT /rbac/hers', { ...ada, ...may(...bindings), operations })).to.match(/^20/);
  };

  it('show keys, sizes and masks, and in no answer but a reveal a value', async () => {
    const made = await api('POST /secrets', { name: 'openai', data: { KEY: 'canary-välue', B: '' } });
    expect([made.status, made.headers.get('etag')]).to.deep.equal([201, '"1"']);
    const shown = {
      version: 1,
      keys: [
        { name: 'B', bytes: 0 },
        { name: 'KEY', bytes: 13 },
      ],
      data: { B: { masked: true, bytes: 0, version: 1 }, KEY: { masked: true, bytes: 13, version: 1 } },
      usedBy: [],
      allowedOrigins: [],
    };
    expect(made.json).to.deep.include(shown);
    for (const call of [
      'GET /secrets/openai',
      'GET /secrets',
      'GET /secrets/openai/versions',
      'GET /keyring',
    ])
      expect((await api(call)).text, call).to.not.match(/canary|Y2FuYXJ5/);
    expect(made.text).to.not.match(/canary/);
    const answer = await api('POST /secrets/openai/reveal', {});
    expect([answer.status, answer.json]).to.deep.equal([
      200,
      { version: 1, data: { KEY: 'canary-välue', B: '' } },
    ]);
    expect(answer.headers.get('cache-control')).to.equal('no-store');
    const { rows } = await t.connection.db.raw<{ rows: unknown[] }>(
      'select * from secrets s join secret_versions v on v.secret_id = s.id',
    );
    expect(JSON.stringify(rows)).to.not.match(/canary|Y2FuYXJ5/);
  });

  it('keep what is masked, write a version where a value differs, and nothing where none does', async () => {
    await make({ A: 'one', B: 'two' });
    const { json: read } = await api('GET /secrets/openai');
    const put = async (data: object): Promise<Body> => (await api('PATCH /secrets/openai', { data })).json;
    expect(await put(read.data ?? {})).to.include({ version: 1, revision: 1 });
    expect(await put({ A: 'one', B: read.data?.['B'] })).to.include({ version: 1, revision: 1 });
    const documents = [{ resource: 'secret', ...read }];
    const applied = await api('POST /apply', { documents });
    expect(applied.text).to.include('"unchanged"');
    expect(await put({ A: read.data?.['A'], B: 'three', C: 'four' })).to.include({ version: 2, revision: 2 });
    expect(await valuesOf()).to.deep.equal({ A: 'one', B: 'three', C: 'four' });
    expect(await put({ C: 'four' }), 'the whole data is replaced').to.include({ version: 3 });
    expect((await api('PUT /secrets/openai', { description: 'x' })).json).to.include({
      version: 3,
      revision: 4,
    });
    expect(await valuesOf()).to.deep.equal({ C: 'four' });
    expect(
      (await api('PATCH /secrets/openai', { data: { D: { masked: true, bytes: 4, version: 3 } } })).json
        .details,
    ).to.deep.equal([{ path: 'data.D', message: 'is masked, and there is no such value to keep' }]);
    const masked = { name: 'new', data: { D: { masked: true, bytes: 4, version: 3 } } };
    expect(await answerOf('POST /secrets', masked)).to.equal('400 invalid_request');
    expect(await answerOf('PATCH /secrets/openai', { data: {} })).to.equal('200');
  });

  it('go back to a former version as a new one; the last five are kept', async () => {
    await make({ KEY: 'v1' });
    for (const n of [2, 3, 4]) await api('PATCH /secrets/openai', { data: { KEY: `v${n}` } });
    expect((await api('POST /secrets/openai/rollback', {})).json).to.include({ version: 5 });
    expect(await valuesOf()).to.deep.equal({ KEY: 'v3' });
    expect((await api('POST /secrets/openai/rollback', { to: 1 })).json).to.include({ version: 6 });
    expect(await valuesOf()).to.deep.equal({ KEY: 'v1' });
    const { items } = (await api('GET /secrets/openai/versions')).json;
    expect(items?.map(({ version, current }) => `${version} ${current}`)).to.deep.equal([
      '6 true',
      ...['5 false', '4 false', '3 false', '2 false'],
    ]);
    const gone = await api('POST /secrets/openai/rollback', { to: 1 });
    expect(gone.json.details).to.deep.equal([
      { path: 'to', message: 'is version 1, which is not kept; there is 2, 3, 4, 5, 6' },
    ]);
    expect(await answerOf('POST /secrets/nobody/rollback', {})).to.equal('404 secret_not_found');
  });

  it('are seen, changed, and revealed by who is granted that, and by nobody because they are there', async () => {
    await make({ KEY: 'v' }, 'hidden');
    await make({ KEY: 'v' });
    await grant(['view:secret:openai', 'run:*', 'edit:*']);
    expect(await asAda('GET /secrets/openai')).to.equal('200');
    const unseen = await api('GET /secrets/hidden', undefined, t.tokens.ada);
    const absent = await api('GET /secrets/absent', undefined, t.tokens.ada);
    const without = ({ text }: Answer): string =>
      text.replace(/"requestId":"[^"]*"/, '').replace(/hidden|absent/g, '');
    expect([unseen.status, without(unseen)]).to.deep.equal([404, without(absent)]);
    expect(
      (await api('GET /secrets', undefined, t.tokens.ada)).json.items?.map(({ name }) => name),
    ).to.deep.equal(['openai']);
    expect(await asAda('PATCH /secrets/openai', { description: 'x' })).to.equal('403 forbidden');
    expect(await asAda('POST /secrets/openai/rollback', {})).to.equal('403 forbidden');
    expect(await asAda('DELETE /secrets/hidden')).to.equal('404 secret_not_found');
    const reveals = async () => [
      await asAda('POST /secrets/openai/reveal', {}),
      await asAda('POST /secrets/hidden/reveal', {}),
    ];
    expect(await reveals()).to.deep.equal(['403 forbidden', '403 forbidden']);
    await grant(['view:secret:openai'], ['reveal']);
    expect(await reveals()).to.deep.equal(['200', '403 forbidden']);
    expect(await asAda('POST /secrets/absent/reveal', {}), 'as one that is there').to.equal('403 forbidden');
    await grant([], ['reveal']);
    expect(await reveals()).to.deep.equal(['403 forbidden', '403 forbidden']);
    await grant(['create:secret:mine', 'edit:secret:mine']);
    expect(await asAda('POST /secrets', { name: 'other', data: {} })).to.equal('403 forbidden');
    expect(await asAda('POST /secrets', { name: 'mine', data: { K: 'v' } })).to.equal('201');
    expect(await asAda('PATCH /secrets/mine', { data: { K: 'w' } })).to.equal('200');
    expect(await asAda('GET /keyring')).to.equal('403 forbidden');
  });

  it('tell of a reveal before it is sent, done or refused, with no value', async () => {
    await make();
    const events: Record<string, unknown>[] = [];
    const off = t.bus.on('registry.written', (event) => events.push({ ...event }));
    await api('POST /secrets/openai/reveal', {});
    await api('POST /secrets/openai/reveal', {}, t.tokens.ada);
    await api('PATCH /secrets/openai', { data: { KEY: 'canary-new' } });
    off();
    expect(
      events.map(({ verb, name, actor, outcome }) => [verb, name, actor, outcome].join(' ')),
    ).to.deep.equal(['reveal openai root ok', 'reveal openai ada forbidden', 'edit openai root ok']);
    expect(JSON.stringify(events)).to.not.match(/canary/);
  });

  it('are on record as revealed before anything of them is sent, though nobody is there any more to read it', async () => {
    await make();
    const { db } = t.connection;
    const reveals = async (): Promise<number> =>
      Number(
        (await db('audit').where({ verb: 'reveal', outcome: 'ok' }).count<{ count: string }[]>())[0]?.count,
      );
    const before = await reveals();
    const locking = await db.transaction();
    await locking.raw('lock table audit in share mode');
    const left = new AbortController();
    const answered = fetch(`${t.url}/api/v1/secrets/openai/reveal`, {
      ...{ method: 'POST', body: '{}', signal: left.signal },
      headers: { authorization: `Bearer ${t.tokens.root}`, 'content-type': 'application/json' },
    }).then(
      () => 'answered',
      () => 'left',
    );
    await untilBlocking(locking);
    left.abort();
    expect(await answered, 'nothing was sent before it was on record').to.equal('left');
    await locking.commit();
    expect(await until(reveals, (count) => count > before)).to.equal(before + 1);
  });

  it('refuse what is no value, what is too much, and keys that cannot be; nothing is written, and no value repeated', async () => {
    const big = 'x'.repeat(65_537);
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`K${n}`, 'v']));
    const heavy = Object.fromEntries(Array.from({ length: 5 }, (_, n) => [`K${n}`, 'x'.repeat(60_000)]));
    const refused: [unknown, RegExp][] = [
      [{ KEY: '****' }, /asterisks/],
      [{ KEY: 12 }, /put it in quotes/],
      [{ KEY: true }, /put it in quotes/],
      [{ KEY: null }, /put it in quotes/],
      [{ KEY: ['canary'] }, /./],
      [{ KEY: { masked: false, bytes: 1, version: 1 } }, /./],
      [{ KEY: { canary: 'canary' } }, /./],
      [{ KEY: 'canary\0' }, /NUL/],
      [{ KEY: big }, /65536 bytes/],
      [{ ['a b']: 'canary' }, /a key is/],
      [{ ['']: 'canary' }, /a key is/],
      [many, /at most 64 keys/],
      [heavy, /262144 bytes/],
      ['canary', /./],
    ];
    for (const [data, says] of refused) {
      const answer = await api('POST /secrets', { name: 'bad', data });
      const what = JSON.stringify(data).slice(0, 60);
      expect(answer.status, `${what} ${answer.text}`).to.equal(400);
      expect(answer.text, what).to.match(says);
      expect(JSON.stringify(answer.json.details?.map(({ message }) => message)), what).to.not.match(
        /canary|xxx/,
      );
    }
    for (const origin of [
      'api.openai.com',
      'https://a.test/',
      'https://a.test:443',
      'https://A.test',
      'ftp://a.test',
      'https://u:p@a.test',
    ])
      expect(await answerOf('POST /secrets', { name: 'bad', allowedOrigins: [origin] }), origin).to.equal(
        '400 invalid_request',
      );
    for (const name of ['Bad', 'b\0d', 'sécret', '../x'])
      expect(await answerOf('POST /secrets', { name, data: {} }), name).to.equal('400 invalid_request');
    expect((await api('GET /secrets')).json.items).to.deep.equal([]);
  });

  it('leave a name to who had it, and to who rules; and of one that cannot be opened the others stand', async () => {
    await grant(['create:secret', 'delete:secret']);
    await make();
    expect(await answerOf('DELETE /secrets/openai')).to.equal('204');
    expect(await asAda('POST /secrets', { name: 'openai', data: {} })).to.equal('409 name_retired');
    await make();
    await make({ KEY: 'good' }, 'good');
    await t.connection.db.raw(
      `update secret_versions set wrapped_dek = 'AAAA' where secret_id = (select id from secrets where name = 'openai')`,
    );
    expect(await answerOf('POST /secrets/openai/reveal', {})).to.equal('500 secret_undecryptable');
    expect((await api('POST /secrets/openai/reveal', {})).json.error).to.match(/'openai' \(version 1\)/);
    expect(await valuesOf('good')).to.deep.equal({ KEY: 'good' });
    expect(
      await answerOf('PATCH /secrets/openai', {
        data: { KEY: { masked: true, bytes: 1, version: 1 }, B: 'x' },
      }),
    ).to.equal('500 secret_undecryptable');
    expect(await answerOf('PATCH /secrets/openai', { data: { KEY: 'anew' } }), 'it is mended so').to.equal(
      '200',
    );
    expect(await valuesOf()).to.deep.equal({ KEY: 'anew' });
  });

  it('without a key are seen and deleted, and neither written nor shown', async () => {
    await make();
    const without = createRegistry(t.connection, t.deps.config, { definitions: stored });
    const kept = t.deps.registry;
    const actor = { ...(await actorOfRoot()) };
    const codes: string[] = [];
    const store = without.resources(stored.find(({ word }) => word === 'secret') ?? expect.fail());
    const by = { actor, ifMatch: null };
    for (const work of [
      () => without.secrets.reveal('openai', actor),
      () => store.create({ name: 'new', data: { K: 'v' } }, actor),
      () => store.change('openai', { data: { K: 'v' } }, by),
      () => store.change('openai', { description: 'x' }, by),
      () => store.get('openai', actor),
      () => store.delete('openai', by),
    ])
      codes.push(
        await work().then(
          () => 'ok',
          (thrown: { code: string }) => thrown.code,
        ),
      );
    expect(codes).to.deep.equal([...Array<string>(3).fill('secrets_disabled'), 'ok', 'ok', 'ok']);
    expect(kept.secrets).to.not.equal(without.secrets);
  });

  it('of writers at once each makes a version of its own, and a reader never half of one', async () => {
    await make({ A: '0', B: '0' });
    const writes = Array.from({ length: 12 }, (_, n) =>
      answerOf('PATCH /secrets/openai', { data: { A: `${n + 1}`, B: `${n + 1}` } }),
    );
    const reads = Array.from({ length: 12 }, () => valuesOf());
    expect(new Set(await Promise.all(writes))).to.deep.equal(new Set(['200']));
    for (const values of await Promise.all(reads)) expect(values?.['A']).to.equal(values?.['B']);
    expect((await api('GET /secrets/openai')).json).to.include({ version: 13 });
  });

  const actorOfRoot = async () => {
    const { userId, userName } = { userId: t.root.id, userName: 'root' };
    const { grantedTo } = await import('../../core/access/presets.ts');
    const token = { tokenId: t.root.id, tokenName: 'test', pools: null, filter: null };
    return { userId, userName, ...token, binding: 'admin' as const, granted: grantedTo.admin };
  };

  it('are kept under a key that this edge tells of', async () => {
    await make();
    const kid = keyringWith(keyOfTests).active.kid;
    expect((await api('GET /keyring')).json.items).to.deep.equal([{ kid, state: 'active', versions: 1 }]);
  });
});
