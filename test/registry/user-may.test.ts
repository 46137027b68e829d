import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { builtIn } from '../../core/access/built-in.ts';
import { Granted, grantable, type Grant } from '../../core/access/grants.ts';
import { rightsOfUser } from '../../core/registry/identity/rights.ts';
import type { Verb } from '../../core/resources/define.ts';
import { registryFixture, type RegistryFixture } from '../support/registry.ts';

const verbs: readonly Verb[] = ['view', 'create', 'edit', 'delete', 'run'];
const words = ['*', 'llm', 'pool', 'session', 'quota', 'rbac'];
const grants: fc.Arbitrary<Grant[]> = fc.array(
  fc.record({
    role: fc.constantFrom(...verbs),
    resource: fc.constantFrom(...words),
    name: fc.option(fc.constantFrom('a', 'b'), { nil: null }),
  }),
  { maxLength: 4 },
);
/** To whom a document grants: ada, one of two groups, everybody, or bob, who is not asked about. */
const subjects = fc.constantFrom('ada', 'bob', 'one', 'two', 'everyone');

const worlds = fc.record({
  documents: fc.array(fc.record({ subject: subjects, grants }), { maxLength: 5 }),
  memberOf: fc.subarray(['one', 'two']),
  role: fc.constantFrom(...verbs),
  resource: fc.constantFrom('llm', 'pool', 'session', 'quota', 'rbac'),
  name: fc.option(fc.constantFrom('a', 'b', 'c'), { nil: null }),
});

describe('what a user is granted, as it is kept', () => {
  let t: RegistryFixture;
  before(async () => {
    t = await registryFixture();
  });
  after(() => t.close());

  it('is what the documents say, by themselves, by groups and as everybody is; statements say the same', async () => {
    const { db } = t.connection;
    const groups: Record<string, string> = {
      one: randomUUID(),
      two: randomUUID(),
      everyone: builtIn.everyone,
    };
    for (const name of ['one', 'two']) await db('groups').insert({ id: groups[name], name });
    expect(grantable).to.include.members(words);
    await fc.assert(
      fc.asyncProperty(worlds, async ({ documents, memberOf, role, resource, name }) => {
        const trx = await db.transaction();
        try {
          await trx('rbac').delete();
          for (const group of memberOf)
            await trx('memberships').insert({ groupId: groups[group], userId: t.ada.id });
          for (const [at, { subject, grants: all }] of documents.entries()) {
            const id = randomUUID();
            const bindings = all.map(({ name: of, ...grant }) =>
              of === null ? grant : { ...grant, name: of },
            );
            await trx('rbac').insert({ id, name: `d${at}`, bindings: JSON.stringify(bindings) });
            const user = subject === 'ada' ? t.ada.id : subject === 'bob' ? t.bob.id : undefined;
            await trx('rbacSubjects').insert({
              rbacId: id,
              ...(user ? { userId: user } : { groupId: groups[subject] }),
            });
          }
          const reaches = ['ada', 'everyone', ...memberOf];
          const naive = documents
            .filter(({ subject }) => reaches.includes(subject))
            .flatMap((one) => one.grants);
          const kept = await rightsOfUser(trx, t.ada.id);
          expect(kept.grants).to.have.deep.members(naive);
          const { rows } = await trx.raw<{ rows: { may: boolean }[] }>('select user_may(?, ?, ?, ?) as may', [
            t.ada.id,
            role,
            resource,
            name,
          ]);
          // Of the statement no role implies another: what asks it asks for the one that is meant.
          const meant = kept.grants.filter((grant) => grant.role === role);
          const granted = new Granted({ grants: meant, operations: [] });
          const may = granted.allows(role, { word: resource, isPrivate: true }, name ?? undefined);
          expect(rows[0]?.may).to.equal(may);
        } finally {
          await trx.rollback();
        }
      }),
      { numRuns: 60 },
    );
  });
});
