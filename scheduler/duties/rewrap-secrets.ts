import type { Unwrapped } from '../../core/registry/secrets/secrets.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

const AT_ONCE = 500;
const TOGETHER = 25;
const BUDGET_MS = 20_000;

/**
 * Wraps the keys of secrets' versions anew that are wrapped by another key than the first of the keyring, so that the other
 * may be taken out of it. No value is touched. One that cannot be opened rests, and stays as it is.
 */
export function createRewrapSecretsDuty(deps: DutyDeps): Duty {
  const { config, registry, clock, log } = deps;
  const each = new EachItem<Unwrapped>({
    name: 'rewrap-secrets',
    idOf: ({ secretId, version }) => `${secretId} ${version}`,
    act: (stale) => registry.secrets.rewrap(stale),
    together: TOGETHER,
    lanes: 1,
    budgetMs: BUDGET_MS,
    clock,
    log,
  });
  return {
    name: 'rewrap-secrets',
    everyMs: config.sweepMs,
    async run(signal) {
      // Those that rest are among the first: as many more are asked for.
      const stale = await registry.secrets.staleVersions(AT_ONCE + each.resting);
      return announced(deps, 'rewrap-secrets', await each.run(stale, signal));
    },
  };
}
