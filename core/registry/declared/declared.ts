import { kindsOf, llmKind, poolKind, type Kind } from '../../declared/kinds.ts';
import { McpctlError } from '../../errors.ts';
import type { Definition } from '../../resources/define.ts';
import type { Connection } from '../database/connect.ts';
import type { RegistryLimits } from '../names/limits.ts';
import type { ResourceStores } from '../resources/stores.ts';
import { applyAll, deleteAll, type Applying, type Deleting } from './apply.ts';
import type { Applied } from './document.ts';
import { resourceKeeper, type Keeper } from './keeper.ts';
import { llmKeeper } from './llm-keeper.ts';
import { poolKeeper } from './pool-keeper.ts';

interface Done {
  /** In the order of the documents. */
  items: readonly Applied[];
  /** It is what was answered under that key before; nothing was done. */
  replayed: boolean;
}

/** What people keep in files. */
export interface Declared {
  /** What documents may be about. */
  kinds: readonly Kind[];
  apply(asked: Applying): Promise<Done>;
  delete(asked: Deleting): Promise<Done>;
}

export function createDeclared(
  connection: Connection,
  {
    limits,
    resources,
    definitions,
  }: { limits: RegistryLimits; resources: ResourceStores; definitions: readonly Definition[] },
): Declared {
  const kinds = kindsOf(definitions);
  const keepers = new Map<string, Keeper>([
    [llmKind.word, llmKeeper(limits)],
    [poolKind.word, poolKeeper],
    ...definitions.map((definition): [string, Keeper] => [
      definition.word,
      resourceKeeper(resources(definition)),
    ]),
  ]);
  const deps = {
    ...{ connection, kinds },
    keepers: ({ word }: Kind): Keeper => {
      const keeper = keepers.get(word);
      if (!keeper) throw new McpctlError('internal');
      return keeper;
    },
  };
  return {
    kinds,
    apply: (asked) => applyAll(deps, asked),
    delete: (asked) => deleteAll(deps, asked),
  };
}
