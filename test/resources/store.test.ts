import { expect } from 'chai';
import { z } from 'zod';
import type { Actor } from '../../core/access.ts';
import { closed } from '../../core/access/grants.ts';
import { grantedTo } from '../../core/access/presets.ts';
import { stored } from '../../core/resources/index.ts';
import { project } from '../../core/resources/talk/project.ts';
import { prompt } from '../../core/resources/talk/prompt.ts';
import type { Referable } from '../../core/resources/define.ts';
import { llm } from '../../core/resources/llm.ts';
import { usualLimits } from '../../core/registry/names/limits.ts';
import { createRegistry } from '../../core/registry/registry.ts';
import type { User } from '../../core/registry/people/users.ts';
import { codeOf, registryFixture, type RegistryFixture } from '../support/registry.ts';

const actorOf = ({ id, name, binding }: User, pools: string[] | null = null): Actor => ({
  userId: id,
  userName: name,
  tokenId: id,
  tokenName: 'test',
  binding,
  filter: null,
  granted: grantedTo[binding],
  pools,
});

const columnSchema = z.array(
  z.object({
    columnName: z.string(),
    dataType: z.string(),
    isNullable: z.string(),
    columnDefault: z.string().nullable(),
  }),
);

/** What Postgres calls the column of a field. */
function typeOf(definition: Referable, name: string): string {
  const field = definition.fields[name] ?? expect.fail(name);
  if (field.reference) return 'uuid';
  if (field.json) return 'jsonb';
  const jsonSchema = z.toJSONSchema(z.object({ field: field.schema }), { io: 'input' }).properties?.[
    'field'
  ] as {
    type?: string;
    anyOf?: { type: string }[];
  };
  const type = jsonSchema.type ?? jsonSchema.anyOf?.[0]?.type ?? expect.fail(name);
  return (
    { string: 'text', integer: 'integer', number: 'double precision', boolean: 'boolean', array: 'ARRAY' }[
      type
    ] ?? type
  );
}

describe('the store of resources', function () {
  this.timeout(20_000);
  let t: RegistryFixture;
  let [ada, bob, root]: Actor[] = [];
  before(async () => {
    t = await registryFixture({}, { quotas: ['project=3/5'] });
    [ada, bob, root] = [actorOf(t.ada), actorOf(t.bob), actorOf(t.root)];
  });
  after(() => t.close());
  const who = (actor: Actor | undefined): Actor => actor ?? expect.fail('no actor');
  const projects = () => t.registry.resources(project);
  const prompts = () => t.registry.resources(prompt);
  const any = (actor: Actor | undefined) => ({ actor: who(actor), ifMatch: null });

  const columnsIn = async (table: string): Promise<string[]> =>
    columnSchema
      .parse(
        await t.connection
          .db('information_schema.columns')
          .where({ tableSchema: t.connection.schema, tableName: table })
          .select('columnName', 'dataType', 'isNullable', 'columnDefault'),
      )
      .map(({ columnName, dataType, isNullable }) => `${columnName} ${dataType} ${isNullable}`);
  const columnsFor = (definition: Referable): string[] => {
    const { fields } = definition;
    return Object.keys(fields)
      .filter((name) => !fields[name]?.apart && !fields[name]?.sealed)
      .map((name) => {
        const { reference, fallback } = fields[name] ?? expect.fail();
        const column = (reference ? `${name}_id` : name).replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
        return `${column} ${typeOf(definition, name)} ${fallback === null ? 'YES' : 'NO'}`;
      });
  };

  it('llms are in Postgres as their definition says, beside what is their workers’', async () => {
    // Nobody says where the backend of a worker's is.
    const wanted = columnsFor(llm).map((column) => column.replace(/^url text NO$/, 'url text YES'));
    expect(await columnsIn(llm.plural)).to.include.members(wanted);
  });

  for (const definition of stored) {
    it(`${definition.plural} are in Postgres as their definition says`, async () => {
      const { plural, fields, server = {} } = definition;
      const there = (await columnsIn(plural)).filter(
        (column) => !Object.keys(server).some((name) => column.startsWith(`${name} `)),
      );
      const wanted = columnsFor(definition);
      // What is built in is nobody's; the last release has a word of its own for users.
      const isIdentity = closed.includes(definition.word);
      if (definition.isTombstoned) wanted.push('deleted_at timestamp with time zone YES', 'binding text NO');
      wanted.push(`owner_id uuid ${isIdentity ? 'YES' : 'NO'}`);
      const always = ['id uuid', 'revision integer'];
      const instants = ['created_at', 'updated_at'].map((name) => `${name} timestamp with time zone`);
      expect(there).to.have.members([...wanted, ...[...always, ...instants].map((column) => `${column} NO`)]);
      const rules = { refuse: 'RESTRICT', clear: 'SET NULL', cascade: 'CASCADE' };
      for (const [name, { reference }] of Object.entries(fields)) {
        if (!reference) continue;
        const { rows } = await t.connection.db.raw<{ rows: { rule: string; to: string }[] }>(
          `select r.delete_rule as rule, u.table_name as "to" from information_schema.referential_constraints r
             join information_schema.key_column_usage k using (constraint_schema, constraint_name)
             join information_schema.constraint_column_usage u using (constraint_schema, constraint_name)
           where r.constraint_schema = ? and k.table_name = ? and k.column_name = ?`,
          [t.connection.schema, plural, `${name}_id`],
        );
        expect(rows, name).to.deep.equal([{ rule: rules[reference.onDelete], to: reference.to.plural }]);
      }
    });
  }

  it('makes, shows, lists, changes, replaces and deletes', async () => {
    const made = await projects().create({ name: 'shop' }, who(ada));
    expect(made.row).to.include({ revision: 1, ownerId: t.ada.id, owner: 'ada' });
    const fallbacks = {
      description: '',
      servers: [],
      prefix: 'always',
      pipeline: {},
      gate: 'off',
      llm: null,
    };
    expect(made.row.values).to.deep.equal({ name: 'shop', ...fallbacks });
    const changed = await projects().change('shop', { description: 'x' }, any(ada));
    expect(changed.changed).to.deep.equal(['description']);
    expect(changed.row.revision).to.equal(2);
    expect((await projects().change('shop', { description: 'x' }, any(ada))).row.revision).to.equal(2);
    const stale = projects().change('shop', { description: 'y' }, { actor: who(ada), ifMatch: 1 });
    expect(await codeOf(stale)).to.equal('stale_revision');
    const whole = await projects().replace('shop', {}, any(ada));
    expect(whole.row.values['description']).to.equal('');
    expect((await projects().replace('other', { description: 'new' }, any(ada))).created).to.equal(true);
    const { rows, more } = await projects().list({
      actor: who(ada),
      filters: {},
      after: undefined,
      limit: 1,
    });
    expect([rows.map((row) => row.values['name']), more]).to.deep.equal([['other'], true]);
    await projects().delete('other', any(ada));
    expect(await codeOf(projects().get('other', who(ada)))).to.equal('project_not_found');
    await projects().delete('shop', any(ada));
  });

  it('tells nobody of what is not theirs, admins of all, bound tokens of nothing', async () => {
    await projects().create({ name: 'hers' }, who(ada));
    const bound = actorOf(t.ada, ['pool']);
    for (const actor of [who(bob), bound, actorOf(t.root, ['pool'])]) {
      const works = [
        () => projects().get('hers', actor),
        () => projects().change('hers', { description: 'x' }, any(actor)),
        () => projects().delete('hers', any(actor)),
      ];
      for (const work of works) expect(await codeOf(work())).to.equal('project_not_found');
      const { rows } = await projects().list({ actor, filters: {}, after: undefined, limit: 10 });
      expect(rows).to.deep.equal([]);
      await projects()
        .get('her', actor)
        .catch((thrown: Error) => expect(thrown.message).to.not.include('hers'));
    }
    expect(await codeOf(projects().create({ name: 'mine' }, bound))).to.equal('forbidden');
    expect(await codeOf(projects().create({ name: 'hers' }, who(bob)))).to.equal('name_taken');
    expect(await codeOf(projects().replace('hers', {}, any(bob)))).to.equal('name_taken');
    await projects()
      .get('her', who(ada))
      .catch((thrown: Error) => expect(thrown.message).to.include('Did you mean hers?'));
    await projects().change('hers', { description: 'by root' }, any(root));
    expect((await projects().get('hers', who(ada))).values['description']).to.equal('by root');
    await projects().delete('hers', any(root));
  });

  it('resolves references, with the rights that they need, and follows what becomes of them', async () => {
    await projects().create({ name: 'shop' }, who(ada));
    const of = (name: string, project: string | null) => ({ name, project, content: 'x' });
    expect(await codeOf(prompts().create(of('tone', 'shop'), who(bob)))).to.equal('invalid_request');
    const { row } = await prompts().create(of('tone', 'shop'), who(ada));
    expect(row.values).to.include({ project: 'shop', priority: 500 });
    expect(await codeOf(prompts().create(of('tone', 'shop'), who(ada)))).to.equal('name_taken');
    const own = await prompts().create(of('tone', null), who(ada));
    await prompts().create(of('tone', null), who(bob));
    expect(await codeOf(prompts().get('tone', who(ada)))).to.equal('prompt_not_found');
    expect((await prompts().get('tone', who(bob))).values['project']).to.equal(null);
    const listOf = async (project: string) =>
      (await prompts().list({ actor: who(ada), filters: { project }, after: undefined, limit: 9 })).rows.map(
        ({ id }) => id,
      );
    expect(await listOf('shop')).to.deep.equal([row.id]);
    expect(await listOf('')).to.deep.equal([own.row.id]);
    const moved = prompts().change(own.row.id, { project: 'shop' }, any(ada));
    expect(await codeOf(moved)).to.equal('name_taken');
    await projects().delete('shop', any(ada));
    expect(await codeOf(prompts().get(row.id, who(ada)))).to.equal('prompt_not_found');
    expect((await prompts().get(own.row.id, who(ada))).values['name']).to.equal('tone');
  });

  it('a page holds as many long texts as have room in it, and one at least', async () => {
    const content = 'é'.repeat(100_000);
    for (let n = 0; n < 12; n++) await prompts().create({ name: `long-${n}`, content }, who(bob));
    const seen: unknown[] = [];
    let after: string | undefined;
    for (let pages = 0; pages < 5; pages++) {
      const { rows, more } = await prompts().list({ actor: who(bob), filters: {}, after, limit: 500 });
      expect(rows.length).to.be.within(1, 12); // of thirteen
      seen.push(...rows.map(({ values }) => values['name']));
      after = rows.at(-1)?.id;
      if (!more) break;
    }
    expect(seen).to.include.members(Array.from({ length: 12 }, (_, n) => `long-${n}`));
  });

  it('of two that make or change the same at once, one does', async () => {
    const made = await Promise.all(
      Array.from({ length: 6 }, () => codeOf(projects().create({ name: 'race' }, who(bob)))),
    );
    expect(made.sort()).to.deep.equal([
      'name_taken',
      'name_taken',
      'name_taken',
      'name_taken',
      'name_taken',
      'ok',
    ]);
    const changed = await Promise.all(
      ['a', 'b', 'c'].map((description) =>
        codeOf(projects().change('race', { description }, { actor: who(bob), ifMatch: 1 })),
      ),
    );
    expect(changed.sort()).to.deep.equal(['ok', 'stale_revision', 'stale_revision']);
  });

  it('refers to nothing that is deleted at that moment', async () => {
    for (let n = 0; n < 5; n++) {
      await projects().create({ name: 'passing' }, who(ada));
      const made = Array.from({ length: 4 }, (_, at) =>
        codeOf(prompts().create({ name: `p${at}`, project: 'passing', content: 'x' }, who(ada))),
      );
      await Promise.all([projects().delete('passing', any(ada)), ...made]);
      for (const code of await Promise.all(made)) expect(code).to.be.oneOf(['ok', 'invalid_request']);
      const { rows } = await prompts().list({ actor: who(ada), filters: {}, after: undefined, limit: 9 });
      expect(rows.map(({ values }) => values['name'])).to.deep.equal(['tone']);
    }
  });

  it('makes nothing by a name that cannot be one', async () => {
    expect(await codeOf(projects().replace('No Name', {}, any(ada)))).to.equal('project_not_found');
    expect(await codeOf(prompts().replace('nobody', { name: 'x', content: 'x' }, any(ada)))).to.equal(
      'prompt_not_found',
    );
  });

  it('refuses a quota of what there is not, and says what is near', () => {
    const wrong = (): unknown => createRegistry(t.connection, { ...usualLimits, quotas: ['projcet=1/1'] });
    expect(wrong).to.throw('there is no quota of "projcet"; did you mean project?');
  });

  it('holds users, and all of them together, to their quotas, admins to none', async () => {
    const many = async (actor: Actor | undefined, word: string) =>
      Promise.all(
        Array.from({ length: 6 }, (_, n) => codeOf(projects().create({ name: `${word}${n}` }, who(actor)))),
      );
    const ok = (codes: string[]): number => codes.filter((code) => code === 'ok').length;
    expect(ok(await many(bob, 'b'))).to.equal(2); // and `race`
    expect(ok(await many(ada, 'a'))).to.equal(2); // five in all
    expect(ok(await many(root, 'r'))).to.equal(6);
  });
});
