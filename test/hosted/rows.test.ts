import { expect } from 'chai';
import { createServed } from '../../core/registry/hosted/served.ts';
import { edgeFixture, type Answer, type EdgeFixture } from '../support/edge.ts';

const gpt = { name: 'gpt', type: 'openai', model: 'gpt-9', url: 'https://api.one.test/v1' };
const keyed = { ...gpt, apiKeyRef: { env: 'ONE_KEY' } };

interface Fault {
  code: string;
  error: string;
  details?: { path: string; message: string }[];
}

describe('a public row and its key', () => {
  let t: EdgeFixture;
  const as = (what: string, body: object): Promise<Answer> => t.call(what, { token: t.tokens.root, body });
  const make = async (body: object): Promise<void> => {
    const answer = await as('POST /api/v1/llms', body);
    expect(answer.status, answer.text).to.equal(201);
  };
  const row = async () => t.registry.llms.byName('gpt');
  /** Refused with 400 at this path, and nothing has changed. */
  const refuses = async (what: string, body: object, path: string): Promise<Fault> => {
    const before = await row();
    const answer = await as(what, body);
    expect(answer.status, answer.text).to.equal(400);
    const fault = answer.json as Fault;
    expect(fault.code).to.equal('invalid_request');
    expect(fault.details?.map((detail) => detail.path)).to.deep.equal([path]);
    expect(await row()).to.deep.equal(before);
    return fault;
  };

  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());
  afterEach(() => t.connection.db.raw('delete from llms; delete from names; delete from pools'));

  it('refuses a reference to a setting of mcpctl, or to what is no key', async () => {
    for (const env of ['DATABASE_URL', 'REDIS_URL', 'MCPCTL_TOKEN', 'PGPASSWORD', 'not a name'])
      await refuses('POST /api/v1/llms', { ...gpt, apiKeyRef: { env } }, 'apiKeyRef.env');
    for (const file of ['/proc/self/environ', 'relative/key', '/run/../proc/1/environ'])
      await refuses('POST /api/v1/llms', { ...gpt, apiKeyRef: { file } }, 'apiKeyRef.file');
    const { name: _name, ...rest } = gpt;
    await refuses('PUT /api/v1/llms/gpt', { ...rest, apiKeyRef: { env: 'MCPCTL_X' } }, 'apiKeyRef.env');
    await make(keyed);
    await refuses('PATCH /api/v1/llms/gpt', { apiKeyRef: { env: 'REDIS_URL' } }, 'apiKeyRef.env');
    await refuses('PATCH /api/v1/llms/gpt', { url: 'https://user:pass@api.one.test/v1' }, 'url');
  });

  it('keeps the key at its origin: another one asks which key it is to have', async () => {
    await make(keyed);
    const { name: _name, ...rest } = gpt;
    for (const url of ['https://api.two.test/v1', 'http://api.one.test/v1', 'https://api.one.test:8443/v1']) {
      const fault = await refuses('PATCH /api/v1/llms/gpt', { url }, 'apiKeyRef');
      expect(fault.error).to.include('origin');
      await refuses('PUT /api/v1/llms/gpt', { ...rest, url }, 'apiKeyRef');
    }
    for (const change of [
      { url: 'https://api.one.test/v2' }, // the same origin
      { url: 'HTTPS://API.ONE.TEST:443/v1' },
      { url: 'https://api.two.test/v1', apiKeyRef: { env: 'ONE_KEY' } },
      { url: 'https://api.three.test/v1', apiKeyRef: null },
      { url: 'https://api.four.test/v1' }, // it has none any more
    ]) {
      const answer = await as('PATCH /api/v1/llms/gpt', change);
      expect(answer.status, answer.text).to.equal(200);
      expect(answer.json).to.deep.include(change);
    }
  });

  it('drops the key with a PUT that names none, when the row stays where it is', async () => {
    await make(keyed);
    const { name: _name, ...rest } = gpt;
    const answer = await as('PUT /api/v1/llms/gpt', rest);
    expect([answer.status, (answer.json as { apiKeyRef: unknown }).apiKeyRef]).to.deep.equal([200, null]);
  });

  it('still reads a row whose reference is refused by now', async () => {
    await make(keyed);
    await t.connection.db('llms').update({ apiKeyRef: { env: 'DATABASE_URL' } });
    expect((await t.call('GET /api/v1/llms/gpt')).status).to.equal(200);
  });

  it('changes the mark of the public rows with each that comes, goes or changes, and with nothing else', async () => {
    const marks = [await createServed(t.connection).mark()];
    const marked = async (): Promise<boolean> => {
      const mark = await createServed(t.connection).mark();
      const isNew = !marks.includes(mark);
      marks.push(mark);
      return isNew;
    };
    await make(gpt);
    expect(await marked()).to.equal(true);
    await as('PATCH /api/v1/llms/gpt', { maxConcurrency: 3 });
    expect(await marked()).to.equal(true);
    await make({ ...gpt, name: 'other' });
    expect(await marked()).to.equal(true);
    await t.registry.sessions.register(t.publication(t.ada, ['virtual']));
    await as('PATCH /api/v1/llms/gpt', { maxConcurrency: 3 });
    expect(await marked()).to.equal(false);
    expect((await createServed(t.connection).llms(9)).map(({ name }) => name)).to.deep.equal([
      'gpt',
      'other',
    ]);
    expect((await createServed(t.connection).llms(1)).map(({ name }) => name)).to.deep.equal(['gpt']);
    await t.call('DELETE /api/v1/llms/gpt', { token: t.tokens.root });
    expect(await marked()).to.equal(true);
  });
});
