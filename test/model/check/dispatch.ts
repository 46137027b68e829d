import { actionsOf } from './actions.ts';
import { checkTold } from './callers.ts';
import type { Model } from './explore.ts';
import { afterFaults } from './liveness.ts';
import { checkMessage } from './postgres.ts';
import type { Rule } from './rules.ts';
import { copy, initial, keyOf, type State, type World } from './state.ts';

/** The dispatch protocol in a small world, with some of its rules left out. */
export function dispatchModel(world: World, off: readonly Rule[] = []): Model<State> {
  const missing = new Set<Rule>(off);
  const has = (rule: Rule): boolean => !missing.has(rule);
  const quiet = new Set<string>();
  return {
    initial: initial(world),
    keyOf,
    copy,
    actionsOf: (s) => actionsOf(has, s, world),
    check(s) {
      checkTold(s);
      checkMessage(s);
      return s.broken === '' ? afterFaults(has, s, { call: world.call, good: quiet }) : s.broken;
    },
  };
}
