import { kindsOf, type Kind } from '../../declared/kinds.ts';
import type { Definition } from '../../resources/define.ts';
import type { Connection } from '../database/connect.ts';
import { applyAll, deleteAll, type Applying, type Deleting } from './apply.ts';
import type { Done } from './document.ts';
import type { Keepers } from './keepers.ts';

/** What people keep in files. */
export interface Declared {
  /** What documents may be about. */
  kinds: readonly Kind[];
  apply(asked: Applying): Promise<Done>;
  delete(asked: Deleting): Promise<Done>;
}

export function createDeclared(
  connection: Connection,
  { keepers, definitions }: { keepers: Keepers; definitions: readonly Definition[] },
): Declared {
  const kinds = kindsOf(definitions);
  const deps = { connection, kinds, keepers };
  return {
    kinds,
    apply: (asked) => applyAll(deps, asked),
    delete: (asked) => deleteAll(deps, asked),
  };
}
