import { expect } from 'chai';
import { read, span, tableOf } from '../docs/markdown.ts';
import { capacityModel, capacityRules, type CapacityRule } from './check/capacity.ts';
import { dispatchModel } from './check/dispatch.ts';
import { explore, type Explored } from './check/explore.ts';
import { rules, world, type Rule, type RuleFacts } from './check/rules.ts';
import { faults, type Fault, type World } from './check/state.ts';
import { wakeRules, wakesModel, type WakeRule } from './check/wakes.ts';

const facts = Object.entries(rules) as [Rule, RuleFacts][];

const deep = process.env.MCPCTL_MODEL === 'deep';

/** One of each fault, then some that meet. */
const worlds = [
  ...faults
    .filter((fault) => fault !== 'move' && (deep || (fault !== 'revoke' && fault !== 'comeBack'))) // below
    .map((fault) => world([fault], { events: fault === 'flush' || deep ? 1 : 0 })),
  world(['crashWorker', 'crashEdge', 'crashLeader'], { events: deep ? 1 : 0 }),
  world(['handBack', 'giveUp', 'falseDeath'], { events: 0 }),
  world(['falseDeath'], { callers: 2 }),
  // Who is put out with right and hears of nothing; who comes back, and what else may happen meanwhile.
  ...(['comeBack', 'handBack', 'flush', 'falseDeath', 'crashWorker', 'crashEdge', 'cancel'] as const).map(
    (fault) => world(['revoke', fault], { duties: ['put out', 'reap', 'back', 'settle'] }),
  ),
];
/** A call of a tool: each fault, and those together that may bring it again. */
const called = (of: readonly Fault[], duties?: World['duties']): World =>
  world(of, { call: true, callers: deep ? 1 : 0, ...(duties && !deep ? { duties } : {}) });
const calls = [
  ...faults
    .filter((fault) => deep || !['flush', 'loseTail', 'cancel', 'revoke', 'comeBack'].includes(fault))
    .map((fault) => called([fault])),
  called(['flush'], ['reconcile', 'reap', 'settle']),
  called(['flush', 'crashWorker'], ['reconcile']),
  called(['flush', 'move'], ['reconcile']),
  called(['loseTail', 'falseDeath'], ['reap', 'renew']),
  called(['falseDeath', 'crashWorker'], ['reap', 'settle']),
  called(['cancel', 'falseDeath'], ['reap', 'settle']),
  called(['revoke', 'comeBack'], ['put out', 'reap', 'settle']),
];
/** For `MCPCTL_MODEL=deep`: minutes. A command sent twice across a loss of Redis is left out, see docs/model.md. */
const pairs = faults.flatMap((a, i) =>
  faults.slice(i + 1).flatMap((b) => (a === 'flush' && b === 'resend' ? [] : [world([a, b], { events: 0 })])),
);
const leaders = faults.map((fault) => world([fault], { leaders: 2, events: 0 }));

const traceOf = ({ broken }: Explored): string =>
  broken ? `${broken.promise}\n${broken.trace.map((step, i) => `      ${i + 1}. ${step}`).join('\n')}` : '';

describe('the dispatch protocol, in every state of a small world', function () {
  this.timeout(deep ? 3_600_000 : 300_000);

  it('keeps its promises whatever fails', () => {
    let states = 0;
    for (const small of deep ? [...worlds, ...pairs, ...leaders] : worlds) {
      const explored = explore(dispatchModel(small));
      if (deep) process.stdout.write(`${explored.states} states ${JSON.stringify(small)}\n`);
      states += explored.states;
      expect(traceOf(explored), JSON.stringify(small)).to.equal('');
    }
    expect(states).to.be.greaterThan(100_000);
  });

  it('gives a call to its server once, whatever fails and whoever dies', () => {
    for (const small of calls)
      expect(traceOf(explore(dispatchModel(small))), JSON.stringify(small)).to.equal('');
  });

  it('keeps them where a Redis that lost its last writes gives a task away before anybody notices', () => {
    const small = world(['loseTail'], { events: deep ? 1 : 0 });
    expect(traceOf(explore(dispatchModel(small, ['what waits is renewed when Redis went back'])))).to.equal(
      '',
    );
  });

  for (const [rule, { world: small, without = [] }] of facts) {
    it(`breaks one without: ${rule}`, function () {
      const explored = explore(dispatchModel(small, [rule, ...(without as Rule[])]));
      expect(explored.broken, 'a counterexample').not.to.equal(null);
      if (process.env.MCPCTL_MODEL === 'traces') process.stdout.write(`\n${rule}\n   ${traceOf(explored)}\n`);
    });
  }
});

describe('docs/model.md', () => {
  it('has a row for each rule, whose guard and test are there', () => {
    const rows = tableOf(read('docs/model.md'), 'rule');
    expect(rows.map((row) => row['rule'])).to.deep.equal(facts.map(([rule]) => rule));
    for (const [at, [rule, { guard, test }]] of facts.entries()) {
      expect(span(rows[at]?.['guard']), rule).to.equal(guard);
      const [file = '', title = ''] = test.split(' · ');
      expect(span(rows[at]?.['test that fails without the guard']), rule).to.equal(file);
      expect(read(guard), guard).not.to.equal('');
      expect(read(file), `${file}: ${title}`).to.include(`it('${title}`);
    }
  });
});

describe('the slots of a worker, in every state', () => {
  it('never run more than there are', () => {
    expect(traceOf(explore(capacityModel()))).to.equal('');
  });

  for (const rule of Object.keys(capacityRules) as CapacityRule[]) {
    it(`run more without: ${rule}`, () => {
      expect(explore(capacityModel(rule)).broken?.promise).to.equal('I10: more runs than slots');
    });
  }
});

describe('how a waiting member learns of a job, in every state', () => {
  it('is never forgotten: by markers alone while no process dies, and where one does by a look at the lists', () => {
    for (const deaths of [0, 1]) expect(traceOf(explore(wakesModel(deaths)))).to.equal('');
  });

  for (const rule of Object.keys(wakeRules) as WakeRule[])
    it(`is forgotten without: ${rule}`, () => {
      const deaths = rule === 'the lists are looked at' ? 1 : 0;
      const row = tableOf(read('docs/model.md'), 'rule of a wake-up').find(
        (each) => each['rule of a wake-up'] === rule,
      );
      expect(span(row?.['guard'])).to.equal(wakeRules[rule]);
      expect(read(wakeRules[rule])).not.to.equal('');
      expect(explore(wakesModel(deaths, rule)).broken?.promise, 'a counterexample').to.equal(
        row?.['without it'],
      );
    });
});
