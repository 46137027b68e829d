import { expect } from 'chai';
import fc from 'fast-check';
import { can, scopeOf, type Actor } from '../../core/access.ts';
import { grantedTo } from '../../core/access/presets.ts';
import { visibilities, type Guarded, type Verb } from '../../core/resources/define.ts';
import { resources as every, type Resource } from '../../core/resources/index.ts';

const verbs: Verb[] = ['view', 'create', 'delete', 'edit', 'run'];
const resources: Resource[] = ['llm', 'pool', 'task', 'token', 'session', 'metrics', 'board'];

const actor = (binding: Actor['binding'], pools: string[] | null = null): Actor => ({
  userId: 'me',
  userName: 'me',
  tokenId: 't',
  tokenName: 't',
  binding,
  granted: grantedTo[binding],
  filter: null,
  pools,
});

/** What may be done, as `resource: verbs`. */
const allowed = (who: Actor, target: { ownerId?: string; poolKey?: string }): Record<string, string> =>
  Object.fromEntries(
    resources.map((resource) => [
      resource,
      verbs.filter((verb) => can(who, verb, { resource, target })).join(' '),
    ]),
  );
const all = verbs.join(' ');

describe('can', () => {
  it('lets a user see and run everything shared, and do anything to its own', () => {
    expect(allowed(actor('user'), { ownerId: 'me' })).to.deep.equal({
      llm: 'view delete run',
      pool: 'view edit run',
      task: all,
      token: all,
      session: all,
      metrics: '',
      board: 'view',
    });
  });

  it("lets a user do nothing to others' tasks, tokens and sessions", () => {
    expect(allowed(actor('user'), { ownerId: 'you' })).to.deep.equal({
      llm: 'view run',
      pool: 'view run',
      task: '',
      token: '',
      session: '',
      metrics: '',
      board: 'view',
    });
  });

  it('lets an admin do everything', () => {
    for (const ownerId of ['me', 'you']) {
      expect(new Set(Object.values(allowed(actor('admin'), { ownerId })))).to.deep.equal(new Set([all]));
    }
  });

  it('keeps a token that is bound to pools inside them, an admin one too', () => {
    for (const binding of ['user', 'admin'] as const) {
      const bound = actor(binding, ['mine']);
      const outside = allowed(bound, { ownerId: 'me', poolKey: 'other' });
      expect(new Set(Object.values(outside))).to.deep.equal(new Set(['']));
      expect(can(bound, 'run', { resource: 'llm', target: { poolKey: 'mine' } })).to.equal(true);
      expect(can(bound, 'create', { resource: 'session', target: { poolKey: 'mine' } })).to.equal(true);
    }
    for (const binding of ['user', 'admin'] as const) {
      // Closed by default: what names no pool is out of reach, but for itself and its own sessions.
      const bound = allowed(actor(binding, ['mine']), { ownerId: 'me' });
      expect(new Set(Object.values(bound))).to.deep.equal(new Set(['']));
      const itself = { ownerId: 'me', tokenId: 't' };
      const own = allowed(actor(binding, ['mine']), itself);
      expect(own).to.include({ token: all, session: all, task: '', llm: '', pool: '', metrics: '' });
    }
    expect(can(actor('user', []), 'run', { resource: 'llm', target: { poolKey: 'mine' } })).to.equal(false);
  });

  it('what a scope holds is what may be seen, one by one', () => {
    const name = fc.constantFrom('a', 'b', 'c');
    const actors = fc.record<Actor>({
      userId: name,
      userName: fc.constant('x'),
      tokenId: name,
      tokenName: fc.constant('x'),
      binding: fc.constant('user'),
      granted: fc.constantFrom(...Object.values(grantedTo)),
      filter: fc.constant(null),
      pools: fc.option(fc.uniqueArray(name), { nil: null }),
    });
    const rows = fc.record({
      ownerId: name,
      poolKey: name,
      tokenId: name,
      visibility: fc.constantFrom(...visibilities),
    });
    const kinds = fc.constantFrom(...Object.values<Guarded>(every));
    const asked = fc.constantFrom(...verbs);
    fc.assert(
      fc.property(actors, fc.tuple(asked, kinds), rows, (actor, [verb, resource], row) => {
        const scope = scopeOf(actor, verb, resource);
        const isOpen = scope?.ownerId === null || (scope?.orShared && row.visibility === 'shared');
        const holds =
          scope !== null &&
          (isOpen || scope.ownerId === row.ownerId) &&
          (scope.pools === null || scope.pools.includes(row.poolKey)) &&
          (scope.tokenId === null || scope.tokenId === row.tokenId);
        expect(holds).to.equal(can(actor, verb, { resource, target: row }));
      }),
      { numRuns: 2_000 },
    );
  });
});
