import { expect } from 'chai';
import type { Definition, Verb } from '../../core/resources/define.ts';
import { stored } from '../../core/resources/index.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { ada, forGroup, identityCalls } from '../support/identity.ts';

const roles = ['view', 'edit', 'delete'] as const satisfies readonly Verb[];
/** How ada comes to a role on what root has made; `owner`: it is hers, and she is granted nothing. */
const ways = ['none', 'named', 'named otherwise', 'unnamed', 'group', 'owner', 'filtered token'] as const;
type Way = (typeof ways)[number];

/** What needs nothing else to be there. */
const plain = stored.filter(({ fields }) =>
  Object.values(fields).every(({ reference, fallback }) => !reference || fallback !== undefined),
);

describe('who may do what, generated: resource × role × way × call', function () {
  this.timeout(40_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await narrow();
    await answerOf('POST /groups', { name: 'gpu' });
    await answerOf('PUT /groups/gpu/members/ada');
  });
  after(() => t.close());
  const { api, answerOf, narrow } = identityCalls(() => t);

  /** Whether ada may, by the rules as they read: a role shows, and does nothing else but itself. */
  const expected = ({ may }: Definition, { way, role }: { way: Way; role: Verb }, asked: Verb): number => {
    const isGranted = way === 'named' || way === 'unnamed' || way === 'group' || way === 'filtered token';
    // The token lets through to look, and no more.
    const mayDo =
      way === 'owner'
        ? may[asked] !== undefined
        : isGranted && asked === role && (way !== 'filtered token' || asked === 'view');
    // Of identity nothing is anybody's own.
    const sees = way === 'owner' ? may.view !== undefined : isGranted;
    if (!sees) return 404;
    if (asked === 'view') return 200;
    return mayDo ? (asked === 'delete' ? 204 : 200) : 403;
  };

  /** What ada comes with: a token that lets through to look, or one of her own. */
  const tokenFor = async (way: Way, { word, name }: { word: string; name: string }): Promise<string> => {
    if (way !== 'filtered token') return t.tokens.ada;
    const filter = {
      name: `${word}-${name}`,
      preset: 'full',
      bindings: [{ role: 'view', resource: word }],
    };
    return (await api('POST /tokens', filter, t.tokens.ada)).json.token ?? '';
  };

  for (const definition of plain) {
    const { word, plural, key } = definition;
    it(`${word}: only who is granted, or owns it, and only what; the rest is 404, or 403 where it is seen`, async () => {
      const granted: string[] = [];
      const wanted: string[] = [];
      let n = 0;
      for (const way of ways)
        for (const role of way === 'owner' || way === 'none' ? (['view'] as const) : roles) {
          const name = `m${(n += 1)}`;
          const owner = way === 'owner' ? await t.registry.users.byName('ada') : undefined;
          const made = await api(`POST /${plural}`, { ...definition.example, name });
          expect(made.status, made.text).to.equal(201);
          const { id } = made.json as { id?: string };
          if (owner) await t.connection.db(plural).where({ id }).update({ ownerId: owner.id });
          const binding = {
            role,
            resource: word,
            ...(way === 'named' && { name }),
            ...(way === 'named otherwise' && { name: 'another' }),
          };
          const subjects = way === 'group' ? forGroup('gpu') : ada;
          const isGranted = way !== 'none' && way !== 'owner';
          if (isGranted)
            expect(await answerOf('POST /rbac', { name: 'now', ...subjects, bindings: [binding] })).to.equal(
              '201',
            );
          const token = await tokenFor(way, { word, name });
          const at = `/${plural}/${key === 'id' ? id : name}`;
          for (const [verb, method, body] of [
            ['view', 'GET', undefined],
            ['edit', 'PATCH', {}],
            ['delete', 'DELETE', undefined],
          ] as const) {
            const { status } = await api(`${method} ${at}`, body, token);
            granted.push(`${way}, ${role}: ${method} ${status}`);
            wanted.push(`${way}, ${role}: ${method} ${expected(definition, { way, role }, verb)}`);
          }
          if (isGranted) await answerOf('DELETE /rbac/now');
        }
      expect(granted).to.deep.equal(wanted);
    });

    it(`${word}: is made by who is granted that, or where everybody may, under that name if it is of one`, async () => {
      const answered: string[] = [];
      const wanted: string[] = [];
      for (const way of ways.filter((each) => each !== 'owner')) {
        const name = `made-${ways.indexOf(way)}`;
        const bindings = [
          {
            ...{ role: 'create', resource: word },
            ...(way === 'named' && { name }),
            ...(way === 'named otherwise' && { name: 'another' }),
          },
        ];
        if (way !== 'none')
          expect(
            await answerOf('POST /rbac', {
              name: 'now',
              ...(way === 'group' ? forGroup('gpu') : ada),
              bindings,
            }),
          ).to.equal('201');
        const token = await tokenFor(way, { word, name: 'making' });
        const { status } = await api(`POST /${plural}`, { ...definition.example, name }, token);
        const isGranted = way === 'named' || way === 'unnamed' || way === 'group';
        const may = way !== 'filtered token' && (isGranted || definition.may.create !== undefined);
        answered.push(`${way}: ${status}`);
        wanted.push(`${way}: ${may ? 201 : 403}`);
        if (way !== 'none') await answerOf('DELETE /rbac/now');
      }
      expect(answered).to.deep.equal(wanted);
    });
  }
});
