import { expect } from 'chai';
import { startSession } from '../cli/session.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { ada, forUser, identityCalls, may } from '../support/identity.ts';
import { untilBlocking } from '../support/system.ts';

/** What ada may do to who is who, which is everything, but for what she does not have herself. */
const managing = ['user', 'group', 'rbac', 'token'].flatMap((word) =>
  ['view', 'create', 'edit', 'delete'].map((role) => `${role}:${word}`),
);
const strong = { bindings: may('view:audit').bindings };
const bob = forUser('bob');

type Way = [what: string, call: string, body?: object | undefined, headers?: Record<string, string>];

/** Each way to hand on, or take, what bob, the group `leads` and the document `auditors` have: `view:audit`. */
const ways: readonly Way[] = [
  ['a document', 'POST /rbac', { name: 'new', ...ada, ...strong }],
  ['a document by PUT', 'PUT /rbac/new', { ...ada, ...strong }],
  ['a document that she is a subject of', 'PATCH /rbac/hers', strong],
  [
    'a subject of a strong document',
    'PATCH /rbac/auditors',
    { subjects: [...bob.subjects, ...ada.subjects] },
  ],
  ['less of a strong document', 'PATCH /rbac/auditors', may('view:llm')],
  ['its end', 'DELETE /rbac/auditors'],
  ['membership', 'PUT /groups/leads/members/ada'],
  ['the end of a membership', 'DELETE /groups/leads/members/bob'],
  ['the end of a group', 'DELETE /groups/leads'],
  ['another name of a group', 'PATCH /groups/leads', { name: 'others' }],
  ['a stronger user disabled', 'PATCH /users/bob', { enabled: false }],
  ['a stronger user of another name', 'PATCH /users/bob', { name: 'rob' }],
  ['a stronger user of another kind', 'PUT /users/bob', { kind: 'service' }],
  ['a stronger user deleted', 'DELETE /users/bob'],
  ['a stronger user deleted, with all that is theirs', 'DELETE /users/bob?transferTo=ada'],
  ['a stronger user enabled', 'PATCH /users/carol', { enabled: true }],
  ['a token for a stronger user', 'POST /tokens', { name: 'x', user: 'bob', preset: 'full' }],
  ['an admin made with a token', 'POST /tokens', { name: 'x', user: 'new', binding: 'admin' }],
  [
    'apply of a document',
    'POST /apply',
    { documents: [{ resource: 'rbac', name: 'new', ...ada, ...strong }] },
  ],
  ['apply of a user', 'POST /apply', { documents: [{ resource: 'user', name: 'bob', enabled: false }] }],
  ['a call as them', 'GET /whoami', undefined, { 'x-mcpctl-as': 'bob' }],
];

describe('nobody gives what they lack, or takes it', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  beforeEach(async () => {
    t = await edgeFixture();
    const { answerOf, rbac } = calls;
    await answerOf('POST /groups', { name: 'leads' });
    await answerOf('POST /users', { name: 'carol' });
    await answerOf('PUT /groups/leads/members/bob');
    await rbac('auditors', { subjects: [...bob.subjects, { kind: 'group', name: 'leads' }], ...strong });
    await rbac('carols', { ...forUser('carol'), ...strong });
    await answerOf('PATCH /users/carol', { enabled: false });
    await rbac('hers', { ...ada, ...may('view:metrics') });
    await rbac('managers', { ...ada, ...may(...managing), operations: ['impersonate'] });
  });
  afterEach(() => t.close());
  const calls = identityCalls(() => t);

  const call = async ([, what, body, headers = {}]: Way): Promise<string> => {
    const [method = '', path = ''] = what.split(' ');
    const answer = await t.call(`${method} /api/v1${path}`, { body, headers });
    return `${answer.status} ${(answer.json as { code?: string } | undefined)?.code ?? ''}`.trim();
  };
  /** All of who is who, and who may what. */
  const state = async (): Promise<string> => {
    const tables = ['users', 'groups', 'memberships', 'rbac', 'rbac_subjects', 'retired_names'];
    const rows = await Promise.all(
      tables.map(async (table) =>
        (await t.connection.db(table).select()).map((row) => JSON.stringify(row)).sort(),
      ),
    );
    const { rows: tokens } = await t.connection.db.raw<{ rows: unknown[] }>(
      'select id, revoked_at from tokens order by id',
    );
    return JSON.stringify([rows, tokens]);
  };

  it('by any of the ways there are: it is refused, nothing is written, and the refusal is in the audit', async () => {
    const before = await state();
    for (const way of ways) expect(await call(way), way[0]).to.equal('403 escalation');
    expect(await state()).to.equal(before);
    await t.deps.denied.stop();
    const { json } = await calls.api('GET /audit?outcome=escalation&actor=ada&limit=100');
    const items = (json.items ?? []) as unknown as { count: number }[];
    expect(items.reduce((sum, { count }) => sum + count, 0)).to.equal(ways.length);
    // It is the lack that refuses, and nothing else.
    await calls.rbac('enough', { ...ada, ...strong });
    const refused: string[] = [];
    for (const way of ways.filter(([what]) => /^(a document|membership|its end)$/.test(what)))
      refused.push(await call(way));
    expect(refused).to.deep.equal(['201', '204', '204']);
  });

  it('is asked behind the turn of identity: who has just lost what they had gives it no more', async () => {
    await calls.rbac('enough', { ...ada, ...strong });
    expect((await t.call('GET /api/v1/whoami')).status, 'she is believed').to.equal(200);
    const before = await state();
    const trx = await t.connection.db.transaction();
    await trx.raw('select revision from identity_epoch for update');
    await trx.raw(`delete from rbac_subjects where rbac_id in (select id from rbac where name = 'enough')`);
    const asked = ways.filter(([, what]) => !what.startsWith('GET')).map((way) => call(way));
    await untilBlocking(trx);
    await trx.commit();
    for (const [at, answer] of (await Promise.all(asked)).entries())
      expect(answer, ways[at]?.[0]).to.equal('403 escalation');
    await t.connection.db.raw(
      `insert into rbac_subjects (rbac_id, user_id) select id, ? from rbac where name = 'enough'`,
      [t.ada.id],
    );
    expect(await state()).to.equal(before);
  });

  it('names what is lacked only to who may see documents: others are told of no name that they do not know', async () => {
    await calls.rbac('named', { subjects: [{ kind: 'group', name: 'leads' }], ...may('run:secret:quiet') });
    await calls.answerOf('DELETE /rbac/auditors');
    const lack = async (): Promise<string> => {
      const answer = await t.call('PUT /api/v1/groups/leads/members/ada');
      expect(answer.status, answer.text).to.equal(403);
      return (answer.json as { error: string }).error;
    };
    expect(await lack(), 'who may view rbac').to.include('run:secret:quiet');
    await calls.answerOf('DELETE /rbac/managers');
    await calls.rbac('managers', { ...ada, ...may('edit:group', 'view:user') });
    expect(await lack())
      .to.include('run:secret of some name')
      .and.not.include('quiet');
  });

  it('names are contained in names: who has one llm gives that one', async () => {
    await calls.narrow();
    await calls.rbac('one', { ...ada, ...may('run:llm:a') });
    const gives = (name: string, ...bindings: string[]): Promise<string> =>
      calls.rbac(name, { ...bob, ...may(...bindings) }, t.tokens.ada);
    expect(await gives('b1', 'run:llm:a')).to.equal('201');
    expect(await gives('b2', 'view:llm:a')).to.equal('201');
    for (const more of ['run:llm', 'run:llm:b', 'run:*', 'run:pool:a', 'edit:llm:a'])
      expect(await gives('b3', more), more).to.equal('403 escalation');
  });

  it('the command line says what a new document leaves doubtful', async () => {
    const session = await startSession(null, { env: { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.tokens.root } });
    try {
      const make = (...args: string[]): Promise<number> => session.run('create', 'rbac', ...args);
      expect(await make('d1', '--subject', 'group:leads', '--binding', 'run:llm:gpt')).to.equal(0);
      expect(session.err()).to.include("run:llm:gpt is nothing new for group:leads: 'everyone' grants that.");
      expect(await make('d2', '--subject', 'group:leads', '--binding', 'edit:llm:gpt')).to.equal(0);
      expect(await make('d3', '--subject', 'group:leads', '--binding', 'edit:llm')).to.equal(0);
      expect(session.err()).to.include('edit:llm is wider than edit:llm:gpt');
      expect(await make('d4', '--binding', 'edit:llm')).to.equal(0);
      expect(session.err()).to.include('names no subject');
    } finally {
      await session.close();
    }
  });
});
