import { poolKind, type Kind } from '../../declared/kinds.ts';
import { McpctlError } from '../../errors.ts';
import type { Definition } from '../../resources/define.ts';
import { llm } from '../../resources/llm.ts';
import type { RegistryLimits } from '../names/limits.ts';
import type { ResourceStores } from '../resources/stores.ts';
import { resourceKeeper, type Keeper } from './keeper.ts';
import { llmKeeper } from './llm-keeper.ts';
import { poolKeeper } from './pool-keeper.ts';

/** Who keeps documents of a kind. */
export type Keepers = (kind: Pick<Kind, 'word'>) => Keeper;

export function createKeepers({
  limits,
  resources,
  definitions,
}: {
  limits: RegistryLimits;
  resources: ResourceStores;
  definitions: readonly Definition[];
}): Keepers {
  const keepers = new Map<string, Keeper>([
    [llm.word, llmKeeper(limits)],
    [poolKind.word, poolKeeper],
    ...definitions.map((definition): [string, Keeper] => [
      definition.word,
      resourceKeeper(definition, resources(definition)),
    ]),
  ]);
  return ({ word }) => {
    const keeper = keepers.get(word);
    if (!keeper) throw new McpctlError('internal');
    return keeper;
  };
}
