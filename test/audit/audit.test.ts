import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { startSession } from '../cli/session.ts';
import { edgeFixture, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';

interface Event {
  id: string;
  actor: string | null;
  token: string | null;
  ip: string | null;
  requestId: string | null;
  verb: string;
  resource: string;
  name: string | null;
  outcome: string;
  changes: { field: string; from?: unknown; to?: unknown; masked?: true }[];
  dryRun: boolean;
  count: number;
}

describe('the audit', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  beforeEach(() => t.connection.db.raw('delete from audit'));
  after(() => t.close());

  const api = (call: string, body?: unknown, more: Call = {}): Promise<Answer> =>
    t.call(call.replace(' ', ' /api/v1'), {
      token: t.tokens.root,
      ...(body !== undefined && { body }),
      ...more,
    });
  const events = async (query = '', token = t.tokens.root): Promise<Event[]> => {
    const { status, text, json } = await api(`GET /audit?${query}`, undefined, { token });
    expect(status, text).to.equal(200);
    return (json as { items: Event[] }).items;
  };
  const linesOf = (of: readonly Event[]): string[] =>
    of.map(({ actor, verb, resource, name }) => `${actor ?? '-'} ${verb} ${resource} ${name ?? '-'}`);
  const inAll = async (): Promise<string> =>
    JSON.stringify((await t.connection.db.raw<{ rows: unknown[] }>('select * from audit')).rows);

  it('tells what changed: of fields that the definition marks what they were and are, of others that they changed', async () => {
    await api('POST /users', { name: 'grace' });
    await api('PATCH /users/grace', { enabled: false });
    await api('POST /groups', { name: 'rack', description: 'a text of people' });
    const [made, changed, created] = (await events('resource=group')).concat(await events('resource=user'));
    expect(made?.changes).to.deep.include({ field: 'description', masked: true });
    expect(changed).to.deep.include({
      name: 'grace',
      changes: [{ field: 'enabled', from: true, to: false }],
    });
    expect(created?.verb).to.equal('create');
    expect(await inAll()).to.not.contain('a text of people');
  });

  it('says with which token, from where, and under which id of the request, where that is harmless', async () => {
    const asked = async (id: string): Promise<Event | undefined> => {
      const headers = { 'x-request-id': id };
      await api('POST /projects', { name: `p-${randomUUID().slice(0, 8)}` }, { headers });
      return (await events('limit=1'))[0];
    };
    expect(await asked('ci-job-17')).to.include({
      actor: 'root',
      token: 'test',
      ip: '127.0.0.1',
      requestId: 'ci-job-17',
    });
    expect((await events('requestId=ci-job-17')).length).to.equal(1);
    expect((await asked(t.tokens.root))?.requestId).to.equal(null);
    expect((await asked('x'.repeat(65)))?.requestId).to.equal(null);
    expect((await asked('Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6'))?.requestId).to.equal(null);
  });

  it('is not without the write, nor the write without it', async () => {
    const { db } = t.connection;
    await db.raw('alter table audit add constraint full_disk check (object_name <> $$never$$)');
    const refused = await api('POST /projects', { name: 'never' });
    await db.raw('alter table audit drop constraint full_disk');
    expect(refused.status).to.be.at.least(500);
    expect((await api('GET /projects/never')).status).to.equal(404);
    await api('POST /projects', { name: 'twice' });
    await db.raw('delete from audit');
    expect((await api('POST /projects', { name: 'twice' })).status).to.equal(409);
    expect((await api('PATCH /projects/twice', { description: '' })).status, 'as it is').to.equal(200);
    expect(await events()).to.deep.equal([]);
  });

  it('shows everybody what they did and what was done to theirs, and no more', async () => {
    await api('POST /projects', { name: 'adas' }, { token: t.tokens.ada });
    await api('POST /projects', { name: 'bobs' }, { token: t.tokens.bob });
    await api('DELETE /projects/adas');
    await api('POST /groups', { name: 'crew' });
    await api('PUT /groups/crew/members/ada');
    expect(linesOf(await events('', t.tokens.ada))).to.deep.equal([
      'root edit group crew',
      'root delete project adas',
      'ada create project adas',
    ]);
    const [, deleted, created] = await events('', t.tokens.ada);
    expect([deleted?.ip, deleted?.token, created?.token]).to.deep.equal([null, null, 'test']);
    expect(await events('actor=bob', t.tokens.ada)).to.deep.equal([]);
    expect(linesOf(await events('actor=bob'))).to.deep.equal(['bob create project bobs']);
  });

  it('is read in pages, in either direction, by what is asked for', async () => {
    for (const name of ['one', 'two', 'three']) await api('POST /projects', { name });
    await api('DELETE /projects/two');
    const first = await api('GET /audit?limit=3');
    const { items, next } = first.json as { items: Event[]; next: string };
    const rest = await events(`limit=3&after=${next}`);
    expect(linesOf([...items, ...rest]).map((line) => line.slice(5))).to.deep.equal([
      'delete project two',
      'create project three',
      'create project two',
      'create project one',
    ]);
    expect(linesOf(await events('order=asc&limit=1'))).to.deep.equal(['root create project one']);
    expect((await events('name=two')).length).to.equal(2);
    expect((await events('verb=delete&resource=project')).length).to.equal(1);
    expect((await events('since=2999-01-01T00:00:00Z')).length).to.equal(0);
    for (const bad of ['since=yesterday', 'actor=', 'after=nonsense!', 'colour=red', 'order=up'])
      expect((await api(`GET /audit?${bad}`)).status, bad).to.equal(400);
  });

  it('has one row for a dry run that is marked so, and none of what it would have done', async () => {
    const documents = [{ resource: 'project', name: 'maybe' }];
    await api('POST /apply', { documents, dryRun: true });
    const [event, ...others] = await events();
    expect(others).to.deep.equal([]);
    expect(event).to.deep.include({ verb: 'edit', resource: 'apply', dryRun: true });
  });

  it('is shown by mcpctl get audit', async () => {
    await api('POST /projects', { name: 'shown' });
    const env = { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.tokens.root };
    const session = await startSession(null, { env });
    try {
      expect(
        await session.run('get', 'audit', '--resource', 'project', '--actor', 'root'),
        session.err(),
      ).to.equal(0);
      expect(session.out())
        .to.match(/AT +ACTOR/)
        .and.contain('shown');
    } finally {
      await session.close();
    }
  });
});
