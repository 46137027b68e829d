import { expect } from 'chai';
import { read, span, tableOf } from '../docs/markdown.ts';
import { explore, type Explored } from './check/explore.ts';
import { turnFaults, turnModel, turnRules, type TurnRule, type TurnWorld } from './turn/turn-calls.ts';

const rounds = Number(process.env['MCPCTL_ROUNDS'] ?? 1);
const isDeep = rounds > 1;

const all = Object.fromEntries(turnFaults.map((fault) => [fault, rounds]));
const worlds: TurnWorld[] = [
  { calls: [2, 1], client: false, edges: 2, faults: isDeep ? all : { crashEdge: 1, cancel: 1 } },
  { calls: [2], client: false, edges: 2, faults: all },
  { calls: [2, 1], client: true, edges: 2, faults: isDeep ? all : { crashEdge: 1 } },
  ...(isDeep ? [{ calls: [2], client: true, edges: 3, faults: all }] : []),
];

const traceOf = ({ broken }: Explored): string =>
  broken ? `${broken.promise}\n${broken.trace.map((step, i) => `      ${i + 1}. ${step}`).join('\n')}` : '';

describe('a turn that waits for calls, in every state of a small world', function () {
  this.timeout(isDeep ? 3_600_000 : 120_000);

  it('begins each call once, has one result of it, goes on when all are there, and ends, whoever dies', () => {
    let states = 0;
    for (const world of worlds) {
      const explored = explore(turnModel(world));
      if (isDeep)
        process.stdout.write(
          `${explored.states} states, ${Math.round(explored.ms)} ms ${JSON.stringify(world)}\n`,
        );
      states += explored.states;
      expect(traceOf(explored), JSON.stringify(world)).to.equal('');
    }
    expect(states).to.be.greaterThan(5_000);
  });

  for (const rule of Object.keys(turnRules) as TurnRule[])
    it(`breaks a promise without: ${rule}`, () => {
      const small = { calls: [2, 1], client: false, edges: 2, faults: { crashEdge: 1, cancel: 1 } };
      const { broken } = explore(turnModel(small, [rule]));
      const row = tableOf(read('docs/model.md'), 'rule of a turn').find(
        (each) => each['rule of a turn'] === rule,
      );
      expect(broken?.promise, 'a counterexample').to.equal(row?.['without it']);
      if (process.env['MCPCTL_MODEL'] === 'traces')
        process.stdout.write(`\n${rule}\n${traceOf({ states: 0, ms: 0, broken })}\n`);
    });

  it('has a row of docs/model.md for each of its rules, whose guard is there', () => {
    const rows = tableOf(read('docs/model.md'), 'rule of a turn');
    expect(rows.map((row) => row['rule of a turn'])).to.deep.equal(Object.keys(turnRules));
    for (const [at, guard] of Object.values(turnRules).entries()) {
      expect(span(rows[at]?.['guard'])).to.equal(guard);
      expect(read(guard)).not.to.equal('');
    }
  });
});
