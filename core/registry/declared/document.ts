import type { Outcome } from '../../declared/apply.ts';
import type { Kind } from '../../declared/kinds.ts';
import type { Connection } from '../database/connect.ts';
import type { Values } from '../resources/rows.ts';
import type { Keepers } from './keepers.ts';

/** One thing as it is to be; the values have passed its kind's schema. */
export interface Document {
  kind: Kind;
  values: Values;
  /** Its place among all that were sent, where some of those are refused already; else its place here. */
  at?: number;
  /** The revision that it is about; any, unless told. */
  ifMatch?: number;
}

export interface Applied {
  resource: string;
  id: string;
  name: string;
  /** `holderOf` it. */
  of?: string | undefined;
  outcome: Outcome;
  /** The names of the fields that are not as they were. */
  changed: readonly string[];
}

export interface Done {
  /** In the order of the documents. */
  items: readonly Applied[];
  /** It is what was answered under that key before; nothing was done. */
  replayed: boolean;
}

export interface ApplyDeps {
  connection: Pick<Connection, 'db' | 'transaction'>;
  /** All that there are, in an order in which they can be made where they do not refer to each other. */
  kinds: readonly Kind[];
  keepers: Keepers;
}
