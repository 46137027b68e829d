import { expect } from 'chai';
import fc from 'fast-check';
import { can, reachesOf, reachOf, scopeOf, type Actor, type Target } from '../../../core/access.ts';
import { filterOf, inWords, presets, throughFilter } from '../../../core/access/filter.ts';
import { closed, Granted, type Grant } from '../../../core/access/grants.ts';
import { grantedTo } from '../../../core/access/presets.ts';
import { visibilities, type Guarded, type Verb } from '../../../core/resources/define.ts';
import { resources } from '../../../core/resources/index.ts';
import { today } from './today.ts';

const verbs: readonly Verb[] = ['view', 'create', 'edit', 'delete', 'run'];
const kinds: readonly Guarded[] = [
  ...Object.values<Guarded>(resources),
  ...closed.map((word) => ({ word, may: {}, isPrivate: false, reachedBy: [] })),
  { word: 'both', may: { view: 'owner', edit: 'owner' }, isPrivate: false, reachedBy: ['pool', 'token'] },
];
const short = fc.constantFrom('a', 'b', 'c');
const words = fc.constantFrom('*', ...kinds.map(({ word }) => word));

interface World {
  actor: Actor;
  verb: Verb;
  resource: Guarded;
  target: Target;
}

const grants: fc.Arbitrary<Grant[]> = fc.array(
  fc.record({ role: fc.constantFrom(...verbs), resource: words, name: fc.option(short, { nil: null }) }),
  { maxLength: 5 },
);

/** What somebody is granted themselves, and by each of the groups that they are in. */
const byGroups = fc.array(grants, { minLength: 1, maxLength: 3 }).map((all) => all.flat());

const filters = fc
  .record({ preset: fc.constantFrom(...presets), bindings: grants, operations: fc.constant([]) })
  .map(filterOf);

const worlds: fc.Arbitrary<World> = fc.record({
  actor: fc.record({
    userId: short,
    userName: short,
    tokenId: short,
    tokenName: short,
    binding: fc.constant('user' as const),
    granted: byGroups.map((all) => new Granted({ grants: all, operations: [] })),
    filter: filters,
    pools: fc.option(fc.uniqueArray(short, { maxLength: 2 }), { nil: null }),
  }),
  verb: fc.constantFrom(...verbs),
  resource: fc.constantFrom(...kinds),
  target: fc.record({
    name: short,
    ownerId: short,
    poolKey: short,
    tokenId: short,
    visibility: fc.constantFrom(...visibilities),
  }),
});

/** The rules once more, one grant after the other, as slow as they read. */
function naively({ actor, verb, resource, target }: World): boolean {
  const { granted, filter, pools, userId, tokenId } = actor;
  const { word, may, isPrivate, reachedBy } = resource;
  if (pools !== null) {
    if (reachedBy.includes('pool')) {
      if (!pools.includes(target.poolKey ?? '')) return false;
    } else if (!reachedBy.includes('token') || target.tokenId !== tokenId) return false;
  }
  const isOwn = target.ownerId === userId;
  const has = (all: readonly Grant[], wanted: Verb): boolean =>
    all.some(({ role, resource: of, name }) => {
      if (of !== word && !(of === '*' && !closed.includes(word))) return false;
      if (name !== null && name !== target.name) return false;
      if (role === wanted) return true;
      return wanted === 'view' && !(role === 'create' && isPrivate);
    });
  const have = (all: readonly Grant[]): boolean =>
    verb === 'create' && isPrivate && !isOwn ? has(all, 'create') && has(all, 'edit') : has(all, verb);
  if (filter !== null) {
    const { rights, own } = inWords(filter.words);
    const letsOwn = own.some(
      ({ role, resource: of }) => (of === word || of === '*') && (role === verb || verb === 'view'),
    );
    if (!have(rights.grants) && !(isOwn && letsOwn)) return false;
  }
  const isOpen = may[verb] === 'everyone' && !(verb === 'create' && isPrivate);
  if (isOpen || (may[verb] !== undefined && isOwn)) return true;
  if (may[verb] === 'shared' && target.visibility === 'shared') return true;
  return have(granted.rights.grants);
}

describe('the evaluator', () => {
  it('says what a naive one says, of 10,000 worlds', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const { actor, verb, resource, target } = world;
        expect(can(actor, verb, { resource, target })).to.equal(naively(world));
      }),
      { numRuns: 10_000 },
    );
  });

  it('a scope holds the rows of which it says yes, of 10,000 worlds', () => {
    // Making another's is asked of one row, never of many.
    const many = worlds.filter(({ verb, resource }) => verb !== 'create' || !resource.isPrivate);
    fc.assert(
      fc.property(many, ({ actor, verb, resource, target }) => {
        const scope = scopeOf(actor, verb, resource);
        const { name = '', ownerId = '', poolKey = '', tokenId = '' } = target;
        const holds =
          scope !== null &&
          (scope.ownerId === null ||
            scope.ownerId === ownerId ||
            scope.orNames.includes(name) ||
            (scope.orShared && target.visibility === 'shared')) &&
          (scope.pools === null || scope.pools.includes(poolKey)) &&
          (scope.within === null || scope.within.ownerId === ownerId || scope.within.names.includes(name)) &&
          (scope.tokenId === null || scope.tokenId === tokenId);
        expect(holds).to.equal(can(actor, verb, { resource, target }));
      }),
      { numRuns: 10_000 },
    );
  });

  it('what may be run of many llms is each that may be run alone, of 10,000 worlds', () => {
    fc.assert(
      fc.property(worlds, ({ actor, target: { name = '', poolKey = '' } }) => {
        const isReached = reachesOf(actor).every(
          ({ llms, pools }) => llms.includes(name) || pools.includes(poolKey),
        );
        const isInPools = actor.pools?.includes(poolKey) !== false;
        expect(isInPools && isReached).to.equal(reachOf(actor, { poolKey, llm: name }) !== null);
      }),
      { numRuns: 10_000 },
    );
  });

  it('gives everything that is not closed by `*`, and what is closed by its word alone', () => {
    for (const resource of kinds) {
      const by = (word: string): boolean => {
        const granted = new Granted({
          grants: [{ role: 'run', resource: word, name: null }],
          operations: [],
        });
        return verbs.filter((verb) => granted.allows(verb, resource, undefined)).join() === 'view,run';
      };
      expect([by(resource.word), by('*')], resource.word).to.deep.equal([
        true,
        !closed.includes(resource.word),
      ]);
    }
  });

  it('says of what the last release knew what that said', () => {
    fc.assert(
      fc.property(fc.constantFrom('admin', 'user'), worlds, (binding, { actor, verb, target }) => {
        for (const word of Object.keys(today.may)) {
          // Since then an owner calls the tools of a project.
          if (word === 'project' && verb === 'run') continue;
          const asked = { ...actor, binding, granted: grantedTo[binding], filter: null };
          const resource = resources[word as keyof typeof resources];
          const own = target.ownerId === actor.userId;
          expect(can(asked, verb, { resource, target }), `${verb} ${word} ${String(own)}`).to.equal(
            today.can(asked, verb, { word, target }),
          );
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('what a user is granted comes through a token to what both say', () => {
    const words = fc.record({
      preset: fc.constantFrom(...presets),
      bindings: grants,
      operations: fc.constant([]),
    });
    fc.assert(
      fc.property(worlds, words, ({ actor: { granted }, verb, resource, target }, asked) => {
        const meet = new Granted(throughFilter(granted.rights, asked));
        const through = filterOf(asked)?.granted;
        const reads = { ...resource, isPrivate: false };
        const both =
          granted.allows(verb, reads, target.name) && (through?.allows(verb, reads, target.name) ?? true);
        expect(meet.allows(verb, reads, target.name)).to.equal(both);
      }),
      { numRuns: 5_000 },
    );
  });
});
