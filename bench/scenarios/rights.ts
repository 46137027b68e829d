import { can, scopeOf, type Actor } from '../../core/access.ts';
import { filterOf } from '../../core/access/filter.ts';
import { Granted, type Grant, type Rights } from '../../core/access/grants.ts';
import { nowMs } from '../report/clock.ts';
import { summary } from '../report/stats.ts';
import type { Bench, Result, Row, Scenario } from './scenario.ts';

const BINDINGS = 200;

const grants = Array.from({ length: BINDINGS }, (_, n): Grant => ({
  role: 'run',
  resource: 'llm',
  name: `llm-${n}`,
}));
const rights: Rights = { grants, operations: [] };
const ofUser: Actor = {
  ...{ userId: 'u', userName: 'u', tokenId: 't', tokenName: 't', binding: 'user', pools: null },
  granted: new Granted(rights),
  filter: null,
};
const ofCall: Actor = { ...ofUser, filter: filterOf({ preset: 'call', bindings: [], operations: [] }) };

/** In nanoseconds each, a round a value. */
function timed(what: string, times: number, act: (n: number) => unknown): Row {
  const rounds = Array.from({ length: 6 }, () => {
    const from = nowMs();
    for (let n = 0; n < times; n++) act(n);
    return [((nowMs() - from) * 1e6) / times];
  });
  return { what, unit: 'ns', summary: summary(rounds.slice(1)) };
}

function run({ quick }: Bench): Promise<Result> {
  const times = quick ? 1_000 : 1_000_000;
  const asked = (actor: Actor) => (n: number) =>
    can(actor, 'run', { resource: 'llm', target: { name: `llm-${n % (2 * BINDINGS)}`, poolKey: 'p' } });
  const rows = [
    timed(`can, of ${BINDINGS} named bindings`, times, asked(ofUser)),
    timed('can, through a token of the preset call', times, asked(ofCall)),
    timed('scopeOf, of as many names', times / 100, () => scopeOf(ofUser, 'run', 'llm')),
    timed('compiling those bindings', times / 100, () => new Granted(rights)),
  ];
  return Promise.resolve({ rows, derived: {}, calls: 0 });
}

export const rightsScenario: Scenario = {
  name: 'rights',
  about:
    'What one question about rights costs, and what it costs to make grants ready to be asked, which is done once for a ' +
    'user after each write of identity. In this process alone: nothing is called.',
  run,
};
