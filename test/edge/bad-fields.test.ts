import { expect } from 'chai';
import { apiErrorSchema } from '../../core/api-error.ts';
import type { Definition } from '../../core/resources/define.ts';
import { stored } from '../../core/resources/index.ts';
import type { BackupDocument } from '../../core/backup/format.ts';
import { backupCalls, crafted } from '../backup/installation.ts';
import { edgeFixture, type Answer, type EdgeFixture } from '../support/edge.ts';
import { ada, identityCalls, may } from '../support/identity.ts';
import { exampleOf } from '../support/rights.ts';

const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));

/** What may be right for some field; what is wrong is each that its schema does not take. */
const values: Record<string, unknown> = {
  'an object': { wrong: true },
  'a number': 12,
  'a number beyond all': 1e308,
  'a truth': true,
  nothing: null,
  'an array of arrays': [[['x']]],
  'an array of too many': Array.from({ length: 6_000 }, (_, n) => `x${String(n)}`),
  'what is deep': nested(200),
  'an empty text': '',
  'a text with NUL': 'a\u0000b',
  'a lone surrogate': '\ud800',
  'a change of direction': 'a\u202eb',
  'an escape of a terminal': 'a\u001b[31mb',
  'a huge text': 'x'.repeat(700_000),
};

/** What looks like a name that is there, or is one elsewhere: names are ASCII, in small letters. */
const lookalikes = [
  'аda', // Cyrillic
  'ada\u200b',
  'ａｄａ',
  'ADA',
  ' ada',
  'ada\n',
  'ada/../root',
  '../root',
  'ada%00',
  'ad\u00e4',
  'ı',
  '__proto__',
  '*',
  'ada~1',
];

describe('each field of each resource, with what it is not', function () {
  this.timeout(60_000);
  let t: EdgeFixture;
  /** Of each that others refer to one; a body over them. */
  const made: Record<string, string> = {};
  before(async () => {
    t = await edgeFixture();
    await llm('alpha');
    for (const definition of stored) {
      const body = { ...exampleOf(definition, { llm: 'alpha', made }), name: `${definition.word}-there` };
      const { status, text, json } = await api(`POST /${definition.plural}`, body);
      expect(status, text).to.equal(201);
      const { id, name } = json as { id?: string; name?: string };
      made[definition.plural] = (definition.key === 'name' ? name : id) ?? '';
    }
  });
  after(() => t.close());
  const { api, answerOf, llm, rbac } = identityCalls(() => t);
  const backups = backupCalls(() => t);
  const restored: BackupDocument[] = [];

  /** Each table that a write of these could leave something in. */
  const state = async (): Promise<unknown> => {
    const tables = [
      ...stored.map(({ plural }) => plural),
      'audit',
      'memberships',
      'tokens',
      'secret_versions',
    ];
    const counts = tables.map(
      (table) =>
        `(select concat('${table} ', count(*), ' ', md5(string_agg(x::text, ' ' order by x::text))) from "${table}" x)`,
    );
    const { rows } = await t.connection.db.raw<{ rows: unknown[] }>(`select ${counts.join(', ')}`);
    return rows[0];
  };
  /** A fault with a sentence, of a field of the body. */
  const check = (answer: Answer, what: string, field: string): void => {
    expect(answer.status, `${what}: ${answer.text.slice(0, 200)}`).to.be.oneOf([400, 413]);
    const { code, error, details } = apiErrorSchema.parse(answer.json);
    expect(code, what).to.be.oneOf(['invalid_request', 'invalid_json', 'body_too_large']);
    expect(error.length, what).to.be.above(10);
    if (code === 'invalid_request' && details)
      expect(
        details.map(({ path }) => path.split('.')[0]),
        what,
      ).to.include(field);
    expect(answer.text.length, 'and it repeats nothing that is huge').to.be.below(20_000);
    expect(answer.text, what).not.to.match(/\\n +at |node_modules|insert into|select "/);
  };

  /** Each way in: a new one, one in the place of another, a part of it, and a document. */
  async function refuses(
    definition: Definition,
    field: string,
    [what, value]: [string, unknown],
  ): Promise<void> {
    const { plural, key, word } = definition;
    const body = { ...exampleOf(definition, { llm: 'alpha', made }), name: `${word}-new`, [field]: value };
    const { name: _name, ...rest } = body as Record<string, unknown>;
    const path = `/${plural}/${made[plural] ?? ''}`;
    const about = `${word}.${field}: ${what}`;
    check(await api(`POST /${plural}`, body), about, field);
    if (field !== 'name')
      check(await api(`PUT ${path}`, key === 'name' ? rest : body), `PUT ${about}`, field);
    check(await api(`PATCH ${path}`, { [field]: value }), `PATCH ${about}`, field);
    // A document may have what the server says of one, and it is passed over.
    if (field === 'id' || field === 'revision' || field === 'ownerId') return;
    restored.push({ resource: word, ...body });
    const applied = await api('POST /apply', { documents: [{ resource: word, ...body }] });
    expect(applied.status, `apply ${about}: ${applied.text.slice(0, 200)}`).to.be.oneOf([400, 413]);
  }

  /** What a crafted file would have restored, in as few files as have room for it: each is refused, with a fault of each document. */
  async function refusesRestored(): Promise<void> {
    const empty = await backups.backup({ secrets: 'none' });
    while (restored.length > 0) {
      const some: BackupDocument[] = [];
      for (let bytes = 0; restored.length > 0 && some.length < 40 && bytes < 3_000_000;) {
        const [one] = restored.splice(0, 1);
        if (one) some.push(one);
        bytes += JSON.stringify(one).length;
      }
      const { status, code, details } = await backups.restore(crafted(empty, () => some));
      const what = some.map((one) => JSON.stringify(one).slice(0, 200)).join('\n');
      expect([status, code], what).to.deep.equal([400, 'invalid_request']);
      expect(details.length, what).to.be.at.least(some.length);
    }
  }

  for (const definition of stored)
    it(`${definition.word}: is refused with its name, by each way in, and nothing is written`, async () => {
      const before = await state();
      let refused = 0;
      for (const [field, { schema }] of Object.entries(definition.fields)) {
        const isName = field === 'name' || field === 'owner';
        const wrong = [
          ...Object.entries(values),
          ...(isName ? lookalikes.map((name) => [name, name]) : []),
        ] as [string, unknown][];
        for (const each of wrong) {
          if (schema.safeParse(each[1]).success) continue;
          await refuses(definition, field, each);
          refused += 1;
        }
        if (isName)
          for (const name of lookalikes) expect(schema.safeParse(name).success, name).to.equal(false);
      }
      for (const field of ['colour', 'constructor', 'id', 'revision', 'ownerId'])
        await refuses(definition, field, ['no field', 'x']);
      await refusesRestored();
      expect(await state()).to.deep.equal(before);
      expect(refused).to.be.above(10);
    });

  it('names in subjects and members: who is not there, groups in groups, and what is called alike', async () => {
    const before = await state();
    for (const name of ['nobody', 'admins', 'group-there', 'rbac-there', ...lookalikes]) {
      expect(await answerOf('POST /groups', { name: 'new', members: ['ada', name] }), name).to.equal(
        '400 invalid_request',
      );
      expect(await answerOf('PATCH /groups/group-there', { members: [name] }), name).to.equal(
        '400 invalid_request',
      );
      expect(await answerOf(`PUT /groups/group-there/members/${encodeURIComponent(name)}`), name).to.match(
        /^40[04] /,
      );
      expect(await rbac('new', { subjects: [{ kind: 'user', name }], ...may('run:llm') }), name).to.equal(
        '400 invalid_request',
      );
    }
    // A group is in no group, its own neither; a document is no subject.
    for (const name of ['ada', 'rbac-there', 'nobody', 'GROUP-THERE'])
      expect(await rbac('new', { subjects: [{ kind: 'group', name }] }), name).to.equal(
        '400 invalid_request',
      );
    for (const subject of [
      { kind: 'rbac', name: 'rbac-there' },
      { kind: 'user' },
      { name: 'ada' },
      'ada',
      { kind: 'user', name: 'ada', id: 'x' },
    ])
      expect(await rbac('new', { subjects: [subject] })).to.equal('400 invalid_request');
    const documents = [
      { resource: 'group', name: 'one', members: ['two'] },
      { resource: 'group', name: 'two', members: ['one'] },
      {
        resource: 'rbac',
        name: 'both',
        subjects: [
          { kind: 'group', name: 'one' },
          { kind: 'group', name: 'three' },
        ],
      },
    ];
    expect(await answerOf('POST /apply', { documents })).to.equal('400 invalid_request');
    expect(await state()).to.deep.equal(before);
  });

  it('bindings, and what tokens, reviews and the calls about who is who take', async () => {
    const before = await state();
    const bindings: unknown[] = [
      { role: 'rnu', resource: 'llm' },
      { role: 'run', resource: 'lllm' },
      { role: 'run', resource: 'llm', name: 'gpt\u0000' },
      { role: 'run', resource: 'llm', name: 'gрt' }, // Cyrillic
      { role: 'run', resource: 'llm', name: '' },
      { role: 'run', resource: 'llm', name: 'x'.repeat(5_000) },
      { role: 'run', resource: 'llm', names: ['gpt'] },
      { role: '__proto__', resource: 'constructor' },
      'run:llm',
      null,
      nested(100),
    ];
    const tooMany = Array.from({ length: 1_001 }, (_, n) => ({
      role: 'run',
      resource: 'llm',
      name: `m${String(n)}`,
    }));
    for (const wrong of [...bindings.map((each) => [each]), tooMany, 'run:llm', {}]) {
      const what = JSON.stringify(wrong).slice(0, 80);
      expect(await rbac('new', { ...ada, bindings: wrong }), what).to.equal('400 invalid_request');
      expect(await answerOf('POST /tokens', { name: 'new', bindings: wrong }), what).to.equal(
        '400 invalid_request',
      );
    }
    for (const wrong of [
      ['everything'],
      ['*'],
      [null],
      ['reveal\u0000'],
      'reveal',
      Array(50).fill('reveal'),
    ]) {
      expect(await rbac('new', { ...ada, operations: wrong })).to.equal('400 invalid_request');
      expect(await answerOf('POST /tokens', { name: 'new', operations: wrong })).to.equal(
        '400 invalid_request',
      );
    }
    for (const wrong of [
      { name: 'аda\u0000' },
      { name: '' },
      { name: 'x'.repeat(1_000) },
      { name: 'new', preset: 'admin' },
      { name: 'new', user: 'ROOT' },
      { name: 'new', user: 'rооt' }, // Cyrillic
      { name: 'new', pools: ['no pool'] },
      { name: 'new', pools: Array.from({ length: 2_000 }, (_, n) => `p${String(n)}`) },
      { name: 'new', expiresInDays: -1 },
      { name: 'new', expiresInDays: 1e9 },
      { name: 'new', expiresInDays: 0.5 },
      { name: 'new', parentId: 'x' },
    ])
      expect(await answerOf('POST /tokens', wrong), JSON.stringify(wrong).slice(0, 60)).to.equal(
        '400 invalid_request',
      );
    for (const call of ['POST /access/review', 'POST /access/who-can'])
      for (const wrong of [
        { verb: 'rnu', resource: 'llm' },
        { verb: 'run', resource: 'lllm' },
        { verb: 'run' },
        { verb: 'run', resource: 'llm', name: 'a\u0000b' },
        { verb: 'run', resource: 'llm', name: 'x'.repeat(5_000) },
        { verb: 'run', resource: 'llm', as: 'ROOT' },
        { verb: ['run'], resource: 'llm' },
      ])
        expect(await answerOf(call, wrong), `${call} ${JSON.stringify(wrong).slice(0, 60)}`).to.match(
          /^40[04] /,
        );
    for (const name of lookalikes) {
      const at = encodeURIComponent(name);
      for (const call of [
        `GET /users/${at}`,
        `PATCH /users/${at}`,
        `DELETE /users/${at}`,
        `GET /groups/${at}`,
        `GET /rbac/${at}`,
      ])
        expect(await answerOf(call, call.startsWith('PATCH') ? {} : undefined), call).to.match(/^40[04] /);
      expect(await answerOf(`DELETE /users/ada?transferTo=${at}`), name).to.equal('400 invalid_request');
    }
    expect(await state()).to.deep.equal(before);
  });
});
