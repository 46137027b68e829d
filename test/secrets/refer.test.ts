import { expect } from 'chai';
import { createServed } from '../../core/registry/hosted/served.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { ada, forGroup, identityCalls, may } from '../support/identity.ts';

interface Body {
  code?: string;
  error?: string;
  details?: { path: string; message: string }[];
  usedBy?: { resource: string; name: string; key: string }[];
  origin?: string | null;
}

const one = 'https://one.test/v1';
const two = 'https://two.test/v1';

describe('who refers to a secret', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());
  beforeEach(async () => {
    await t.connection.db.raw(`delete from llms; delete from names; delete from pools; delete from secrets;
      delete from name_owners; delete from rbac where name not in ('admins', 'everyone'); update identity_epoch set revision = revision + 1`);
    expect(
      await answerOf('POST /secrets', { name: 'openai', data: { KEY: 'canary', OTHER: 'canary' } }),
    ).to.equal('201');
  });

  const { api } = identityCalls<Body>(() => t);
  /** With the places of what is refused. */
  const answerOf = async (call: string, body?: unknown, token?: string): Promise<string> => {
    const { status, json } = await api(call, body, token);
    const at = json?.details?.map(({ path }) => path) ?? [];
    return [status, ...(status >= 400 ? [json.code] : []), ...at].join(' ');
  };
  const uses = (name = 'openai', key = 'KEY') => ({ apiKeyRef: { secretRef: { name, key } } });
  const llm = (name: string, more: object = {}) => ({
    name,
    type: 'openai',
    model: 'm',
    url: one,
    ...uses(),
    ...more,
  });
  const grant = async (...bindings: string[]): Promise<void> => {
    expect(await answerOf('PUT /rbac/hers', { ...ada, ...may(...bindings) })).to.match(/^20/);
  };
  const asAda = (call: string, body?: unknown) => answerOf(call, body, t.tokens.ada);
  const refs = async () =>
    t.connection
      .db('secretRefs')
      .join('llms', 'llms.id', 'secretRefs.llmId')
      .select<object[]>('llms.name', 'key');

  it('names a variable or a file of the hosted worker only as who may use and change every secret', async () => {
    const { apiKeyRef: _none, ...plain } = llm('theirs');
    const [env, file] = [{ apiKeyRef: { env: 'A_KEY' } }, { apiKeyRef: { file: '/run/a-key' } }];
    const everyLlm = ['create', 'edit', 'delete'].map((role) => `${role}:llm`);
    const document = (more: object) => ({ documents: [{ resource: 'llm', ...plain, ...more }] });
    for (const of of [
      [],
      ['run:secret'],
      ['edit:secret'],
      ['run:secret:openai', 'edit:secret:openai'],
      ['run:*', 'edit:*'],
    ]) {
      await grant(...everyLlm, ...of);
      const asked = of.join(' ');
      for (const ref of [env, file]) {
        expect(await asAda('POST /llms', { ...plain, ...ref }), asked).to.equal('403 forbidden');
        expect(await asAda('PUT /llms/theirs', { ...plain, ...ref, name: undefined }), asked).to.equal(
          '403 forbidden',
        );
        expect(await asAda('POST /apply', document(ref)), asked).to.equal('403 forbidden documents.0');
      }
    }
    expect(await answerOf('POST /llms', { ...plain, ...env })).to.equal('201');
    await grant(...everyLlm);
    expect(await asAda('PATCH /llms/theirs', { description: 'Hers now.' }), 'key and origin stay').to.equal(
      '200',
    );
    expect(await asAda('PATCH /llms/theirs', { url: two, ...env }), 'another place').to.equal(
      '403 forbidden',
    );
    expect(await asAda('PATCH /llms/theirs', file), 'another key').to.equal('403 forbidden');
    expect(await asAda('POST /apply', document({ url: two, ...env }))).to.equal('403 forbidden documents.0');
    await grant(...everyLlm, 'run:secret', 'edit:secret');
    expect(await asAda('PATCH /llms/theirs', { url: two, ...env })).to.equal('200');
    const bound = (await api('POST /tokens', { name: 'bound', preset: 'full', pools: ['theirs'] })).json as {
      token?: string;
    };
    expect(await answerOf('PATCH /llms/theirs', file, bound.token), 'bound to its pool').to.equal(
      '403 forbidden',
    );
    expect(await asAda('PATCH /llms/theirs', { apiKeyRef: null })).to.equal('200');
  });

  it('may run it; to make and change llms, or to see the secret, is not enough', async () => {
    await grant('create:llm', 'edit:llm');
    expect(await asAda('POST /llms', llm('hers')), 'not seen').to.equal(
      '400 invalid_request apiKeyRef.secretRef.name',
    );
    const absent = await api('POST /llms', llm('hers', uses('absent')), t.tokens.ada);
    expect(absent.json.details?.[0]?.message).to.equal("there is no secret named 'absent'");
    await grant('create:llm', 'edit:llm', 'view:secret:openai', 'edit:secret:openai');
    expect(await asAda('POST /llms', llm('hers'))).to.equal('403 forbidden');
    await api('POST /llms', { ...llm('hers'), apiKeyRef: null });
    expect(await asAda('PATCH /llms/hers', uses())).to.equal('403 forbidden');
    expect(await refs()).to.deep.equal([]);
    await grant('create:llm', 'edit:llm', 'run:secret:openai');
    expect(await asAda('PATCH /llms/hers', uses())).to.equal('200');
    expect(await asAda('POST /llms', llm('another', uses('openai', 'OTHER')))).to.equal('201');
    expect(await refs()).to.have.deep.members([
      { name: 'hers', key: 'KEY' },
      { name: 'another', key: 'OTHER' },
    ]);
    await grant('create:llm', 'edit:llm');
    expect(await asAda('PATCH /llms/hers', { description: 'x' }), 'what stands, stands').to.equal('200');
    expect(await asAda('PATCH /llms/hers', uses()), 'as it is').to.equal('200');
    expect(await asAda('PATCH /llms/hers', uses('openai', 'OTHER'))).to.match(/^400 invalid_request/);
    expect(await asAda('PATCH /llms/hers', { url: two, ...uses() })).to.match(/^400 invalid_request/);
  });

  it('sends it to its origins and nowhere else: a port, a scheme and a host are another one', async () => {
    expect(await answerOf('POST /llms', llm('first'))).to.equal('201');
    expect((await api('GET /secrets/openai')).json.origin).to.equal('https://one.test');
    for (const url of [
      two,
      'http://one.test/v1',
      'https://one.test:8443/v1',
      'https://one.test.two.test/v1',
    ]) {
      expect(await answerOf('POST /llms', llm('second', { url })), url).to.equal('400 invalid_request url');
      expect(await answerOf('PATCH /llms/first', { url, ...uses() }), url).to.equal(
        '400 invalid_request url',
      );
    }
    expect(await answerOf('POST /llms', llm('second', { url: 'HTTPS://ONE.test:443/v2' }))).to.equal('201');
    await api('PATCH /secrets/openai', { allowedOrigins: ['https://two.test', 'https://three.test'] });
    expect(await answerOf('POST /llms', llm('third'))).to.equal('400 invalid_request url');
    expect(await answerOf('POST /llms', llm('third', { url: two }))).to.equal('201');
    expect(await answerOf('PATCH /llms/third', { url: 'https://three.test/v1', ...uses() })).to.equal('200');
    expect(await answerOf('POST /llms', llm('lacks', uses('openai', 'NONE')))).to.equal(
      '400 invalid_request apiKeyRef.secretRef.key',
    );
  });

  it('keeps it, and the key that it uses, from being deleted; who may see the llm is told which', async () => {
    await api('POST /llms', llm('first'));
    await grant('delete:secret', 'edit:secret');
    await api('DELETE /rbac/everyone');
    const [seen, unseen] = [
      await api('DELETE /secrets/openai'),
      await api('DELETE /secrets/openai', undefined, t.tokens.ada),
    ];
    expect([seen.status, seen.json.code, unseen.status]).to.deep.equal([409, 'secret_in_use', 409]);
    expect(seen.json.error).to.include('first (KEY)');
    expect(unseen.json.error).to.include('1 that you do not see').and.not.include('(KEY)');
    expect(await answerOf('PATCH /secrets/openai', { data: { OTHER: 'x' } })).to.equal('409 secret_in_use');
    expect(await answerOf('PATCH /secrets/openai', { data: { KEY: 'x' } })).to.equal('200');
    expect((await api('GET /secrets/openai')).json.usedBy).to.deep.equal([
      { resource: 'llm', name: 'first', key: 'KEY' },
    ]);
    expect((await api('GET /secrets/openai', undefined, t.tokens.ada)).json.usedBy).to.deep.equal([]);
    await api('PATCH /llms/first', { apiKeyRef: { env: 'A_KEY' } });
    expect(await refs()).to.deep.equal([]);
    await api('PATCH /llms/first', uses());
    await api('DELETE /llms/first');
    expect(await answerOf('DELETE /secrets/openai')).to.equal('204');
    const everyone = {
      ...forGroup('everyone'),
      bindings: [{ role: 'run', resource: 'llm' }],
    };
    await api('PUT /rbac/everyone', everyone);
  });

  it('was asked: a row that a release without secrets wrote uses none until somebody who may writes it again', async () => {
    await api('POST /llms', llm('old', { apiKeyRef: null }));
    await t.connection.db('llms').update({ apiKeyRef: JSON.stringify(uses().apiKeyRef) });
    expect((await api('GET /secrets/openai')).json.usedBy).to.deep.equal([]);
    await grant('edit:llm');
    expect(await asAda('PATCH /llms/old', uses())).to.match(/^400 invalid_request/);
    expect(await answerOf('PATCH /llms/old', uses())).to.equal('200');
    expect(await refs()).to.deep.equal([{ name: 'old', key: 'KEY' }]);
    await t.connection.db('llms').update({ apiKeyRef: JSON.stringify({ env: 'X' }) });
    expect(await answerOf('DELETE /secrets/openai'), 'which it does not use any more').to.equal('204');
  });

  it('moves the mark of public rows with each change of what they use, and with no other secret', async () => {
    await api('POST /llms', llm('first'));
    await api('POST /secrets', { name: 'other', data: { K: 'v' } });
    const mark = () => createServed(t.connection).mark();
    const before = await mark();
    await api('PATCH /secrets/other', { data: { K: 'w' } });
    expect(await mark()).to.equal(before);
    const marks = new Set([before]);
    for (const change of [
      () => api('PATCH /secrets/openai', { data: { KEY: 'n', OTHER: 'n' } }),
      () => api('PATCH /secrets/openai', { allowedOrigins: ['https://one.test'] }),
      () => api('POST /secrets/openai/rollback', {}),
    ]) {
      await change();
      marks.add(await mark());
    }
    expect(marks).to.have.property('size', 4);
  });
});
