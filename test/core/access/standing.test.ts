import { expect } from 'chai';
import fc from 'fast-check';
import { doubtsOf, type Standing } from '../../../core/access/standing.ts';
import { Granted, grantable, type Grant } from '../../../core/access/grants.ts';

const roles = ['view', 'create', 'edit', 'delete', 'run'] as const;
const document = (name: string, subject: string, ...texts: string[]): Standing => {
  const [kind = '', called = ''] = subject.split(':');
  const grants = texts.flatMap((text): Grant[] => {
    const [role, resource, of = null] = text.split(':');
    const granted = roles.find((each) => each === role);
    return granted && resource !== undefined ? [{ role: granted, resource, name: of }] : [];
  });
  return { name, subjects: subject === '' ? [] : [{ kind, name: called }], grants, operations: [] };
};

describe('what is doubtful of a new document of rights', () => {
  const everyone = document('everyone', 'group:everyone', 'run:llm');
  const users = document('gpu-users', 'group:gpu', 'run:pool:rack', 'view:secret');

  it('says what is nothing new, what is wider than what stands, and what is granted to nobody', () => {
    const doubts = (...texts: string[]): string[] =>
      doubtsOf(document('new', 'group:gpu', ...texts), [everyone, users]);
    expect(doubts('run:llm:gpt')).to.deep.equal([
      "run:llm:gpt is nothing new for group:gpu: 'everyone' grants that.",
    ]);
    expect(doubts('view:pool:rack')).to.have.length(1);
    expect(doubts('run:pool')).to.deep.equal([
      "run:pool is wider than run:pool:rack, which group:gpu has by 'gpu-users': that one holds them to nothing any more.",
    ]);
    expect(doubts('run:*')).to.have.length(1);
    expect(doubts('edit:pool:rack', 'run:pool:other', 'run:secret:x')).to.deep.equal([]);
    expect(doubtsOf(document('new', '', 'run:llm'), [])[0]).to.include('Nobody');
    expect(doubtsOf(document('new', 'user:ada'), [])[0]).to.include('grants nothing');
    expect(doubtsOf(users, [users]), 'itself').to.deep.equal([]);
  });

  it('says that it is nothing new exactly where what stands lets all of it', () => {
    const grant = fc.record({
      role: fc.constantFrom(...roles),
      resource: fc.constantFrom(...grantable),
      name: fc.constantFrom(null, 'a', 'b'),
    });
    fc.assert(
      fc.property(grant, fc.array(grant, { maxLength: 4 }), (one, grants) => {
        const subjects = [{ kind: 'user', name: 'ada' }];
        const made = { name: 'new', subjects, grants: [one], operations: [] };
        const doubts = doubtsOf(made, [{ name: 'old', subjects, grants, operations: [] }]);
        const granted = new Granted({ grants, operations: [] });
        const words = one.resource === '*' ? ['llm', 'pool', '*'] : [one.resource];
        const isHad = words.every((word) =>
          granted.allows(one.role, { word, isPrivate: true }, one.name ?? undefined),
        );
        expect(doubts.some((text) => text.includes('nothing new'))).to.equal(isHad);
      }),
    );
  });
});
