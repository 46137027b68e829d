import { expect } from 'chai';
import type { Verb } from '../../core/resources/define.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { ada, forGroup, identityCalls, may } from '../support/identity.ts';
import { kindsOf, type Kind, type Thing } from '../support/rights-kinds.ts';

const roles = ['view', 'create', 'edit', 'run', 'delete'] as const satisfies readonly Verb[];
/** How ada comes to a role on what root has made; `owner`: it is hers, and she is granted nothing. */
const ways = ['none', 'named', 'named otherwise', 'unnamed', 'group', 'owner', 'filtered token'] as const;
type Way = (typeof ways)[number];

describe('who may do what, generated: resource × role × way × call', function () {
  this.timeout(60_000);
  let t: EdgeFixture;
  const calls = identityCalls(() => t);
  const { api, answerOf, llm, rbac, narrow } = calls;
  const kinds = kindsOf(() => t, calls);
  before(async () => {
    t = await edgeFixture({ MCPCTL_MAX_USER_TOKENS: '5000', MCPCTL_MAX_USER_SESSIONS: '5000' });
    await narrow();
    await llm('base');
    await llm('uses');
    expect(await answerOf('POST /agents', { name: 'roots', llm: 'base', visibility: 'private' })).to.equal(
      '201',
    );
    await answerOf('POST /groups', { name: 'gpu' });
    await answerOf('PUT /groups/gpu/members/ada');
    // What the calls are of or about besides, of which each has its own test.
    expect(
      await rbac('base', { ...ada, ...may('run:llm:base', 'create:agent:nest', 'edit:llm:uses') }),
    ).to.equal('201');
    expect(await rbac('now', ada)).to.equal('201');
    expect(await answerOf('POST /agents', { name: 'nest', llm: 'base' }, t.tokens.ada)).to.equal('201');
  });
  after(() => t.close());

  interface Case {
    way: Way;
    role: Verb;
    called: string | null;
  }

  const isGranted = ({ way, called }: Case): boolean =>
    (way === 'named' && called !== null) || ['unnamed', 'group', 'filtered token'].includes(way);

  /** Whether ada may, by the rules as they read: a role shows, and does nothing else but itself. */
  const expected = ({ rights, otherwise = {} }: Kind, one: Case, asked: Verb): 'yes' | number => {
    const { way, role } = one;
    // Who may make some of what is private sees none of others by that.
    const shows = isGranted(one) && (role !== 'create' || !rights.isPrivate);
    const sees = way === 'owner' ? rights.may.view !== undefined : shows;
    if (!sees) return otherwise.unseen?.[asked] ?? 404;
    // The token lets through to look, and no more.
    const isLet = way !== 'filtered token' || asked === 'view';
    const mayDo =
      way === 'owner' ? rights.may[asked] !== undefined : asked === 'view' || (asked === role && isLet);
    return mayDo ? 'yes' : (otherwise.seen?.[asked] ?? 403);
  };

  /** What ada comes with: a token that lets through to look, or one of her own. */
  const tokenFor = async (way: Way, { rights: { word }, besides = [] }: Kind): Promise<string> => {
    if (way !== 'filtered token') return t.tokens.ada;
    const filter = {
      name: `${word}-${String((tokens += 1))}`,
      preset: 'full',
      bindings: may(`view:${word}`, ...besides).bindings,
    };
    return (await api('POST /tokens', filter, t.tokens.ada)).json.token ?? '';
  };
  let tokens = 0;

  /** One document says what is granted now. */
  const grant = async (
    { way, role, called }: Case,
    { rights: { word }, besides = [] }: Kind,
  ): Promise<void> => {
    const isGranting = way !== 'none' && way !== 'owner';
    const name =
      way === 'named' ? (called ?? 'what-it-is-called') : way === 'named otherwise' ? 'another' : undefined;
    const own = { role, resource: word, ...(name !== undefined && { name }) };
    const bindings = isGranting ? [own, ...may(...besides).bindings] : [];
    expect(
      await answerOf('PATCH /rbac/now', { ...(way === 'group' ? forGroup('gpu') : ada), bindings }),
    ).to.equal('200');
  };

  for (const kind of kinds) {
    const { word } = kind.rights;
    it(`${word}: only who is granted, or owns it, and only what; the rest is 404, or 403 where it is seen`, async () => {
      const answered: string[] = [];
      const wanted: string[] = [];
      let n = 0;
      let thing: Thing | undefined;
      for (const way of ways)
        for (const role of way === 'owner' || way === 'none' ? (['view'] as const) : roles) {
          if (!thing || way === 'owner')
            thing = await kind.make(`${word}-${String((n += 1))}`, way === 'owner' ? 'ada' : 'root');
          const one = { way, role, called: thing.called };
          await grant(one, kind);
          const token = await tokenFor(way, kind);
          let isLeft = true;
          for (const verb of roles) {
            const status: number | undefined = await thing?.ask[verb]?.(token);
            if (status === undefined) continue;
            answered.push(`${way}, ${role}: ${verb} ${status < 300 ? 'yes' : String(status)}`);
            wanted.push(`${way}, ${role}: ${verb} ${expected(kind, one, verb)}`);
            // What is left, and used by nothing, serves the next.
            if (status < 300 && (verb === 'delete' || verb === 'run')) isLeft = false;
          }
          if (!isLeft || way === 'owner') thing = undefined;
        }
      expect(answered).to.deep.equal(wanted);
    });

    const { create } = kind;
    if (!create) continue;
    it(`${word}: is made by who is granted that, or where everybody may, under that name if it is of one`, async () => {
      const answered: string[] = [];
      const wanted: string[] = [];
      for (const way of ways.filter((each) => each !== 'owner')) {
        const name = `made-${word}-${String(ways.indexOf(way))}`;
        const one = { way, role: 'create', called: kind.isMadeUnnamed ? null : name } as const;
        await grant(one, kind);
        const status = await create(name, await tokenFor(way, kind));
        const mayMake = way !== 'filtered token' && (isGranted(one) || kind.rights.may.create !== undefined);
        answered.push(`${way}: ${String(status)}`);
        wanted.push(`${way}: ${mayMake ? 201 : 403}`);
      }
      expect(answered).to.deep.equal(wanted);
    });
  }
});
