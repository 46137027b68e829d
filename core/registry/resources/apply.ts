import type { Knex } from 'knex';
import type { Actor } from '../../access.ts';
import { McpctlError, type Fault } from '../../errors.ts';
import type { Definition } from '../../resources/define.ts';
import { stored } from '../../resources/index.ts';
import { record } from '../audit/record.ts';
import type { Connection } from '../database/connect.ts';
import { lockUser } from '../names/quotas.ts';
import { referencesOf, type Values } from './rows.ts';
import { labelOf, type ResourceStore } from './store.ts';

/** One of a resource as it is to be; the values have passed the definition's schemas. */
export interface Document {
  definition: Definition;
  values: Values;
}

export interface Applied {
  resource: string;
  id: string;
  name: string;
  outcome: 'created' | 'changed' | 'unchanged';
  /** The names of the fields that are not as they were. */
  changed: readonly string[];
}

export interface Applying {
  documents: readonly Document[];
  actor: Actor;
  /** Everything is done and undone again. */
  dryRun: boolean;
}

/** Ends the transaction of a dry run. */
class Undone extends Error {}

/**
 * Makes everything as the documents say, or nothing: one transaction, in which what others refer to comes first.
 * @returns in the order of the documents. @throws McpctlError with a fault for each document that cannot be, by its place
 *   (`documents.3.llm`); its code is theirs where all have the same.
 */
export async function applyAll(
  { db, transaction }: Pick<Connection, 'db' | 'transaction'>,
  stores: (definition: Definition) => Pick<ResourceStore, 'enter' | 'put' | 'leave'>,
  { documents, actor, dryRun }: Applying,
): Promise<Applied[]> {
  const order = inOrder(documents);
  let applied: Applied[] = [];
  try {
    await transaction(async (trx) => {
      let by = actor;
      const definitions = new Set(documents.map((document) => document.definition));
      for (const definition of definitions) by = await stores(definition).enter(trx, by);
      await lockUser(trx, by.userId); // of two at once, one finds what the other has made
      applied = await applyIn(trx, stores, { documents, order, actor: by });
      for (const definition of definitions) await stores(definition).leave(trx);
      if (dryRun) throw new Undone();
    });
  } catch (thrown) {
    if (!(thrown instanceof Undone)) throw thrown;
    const what = { verb: 'edit', resource: 'apply', id: null, name: null, ownerId: actor.userId } as const;
    await record(db, actor, { ...what, dryRun: true });
  }
  return applied;
}

async function applyIn(
  trx: Knex.Transaction,
  stores: (definition: Definition) => Pick<ResourceStore, 'enter' | 'put' | 'leave'>,
  { documents, order, actor }: { documents: readonly Document[]; order: readonly number[]; actor: Actor },
): Promise<Applied[]> {
  const applied = new Map<number, Applied>();
  const refusals: { at: number; error: McpctlError }[] = [];
  for (const at of order) {
    const document = documents[at];
    if (!document) continue;
    const { definition, values } = document;
    try {
      const { row, created, changed } = await stores(definition).put(trx, values, actor);
      const before = [...applied].find(([, { id }]) => id === row.id);
      if (before)
        throw new McpctlError(
          'invalid_request',
          `It is the same ${definition.word} as documents.${before[0]}.`,
        );
      const outcome = created ? 'created' : changed.length > 0 ? 'changed' : 'unchanged';
      applied.set(at, { resource: definition.word, id: row.id, name: labelOf(row), outcome, changed });
    } catch (thrown) {
      if (!(thrown instanceof McpctlError)) throw thrown;
      refusals.push({ at, error: thrown });
    }
  }
  if (refusals.length > 0) throw refusalOf(refusals);
  return documents.flatMap((_, at) => applied.get(at) ?? []);
}

function refusalOf(refusals: readonly { at: number; error: McpctlError }[]): McpctlError {
  const codes = new Set(refusals.map(({ error }) => error.code));
  const [code] = codes;
  const details = refusals.flatMap(({ at, error }): Fault[] => {
    const place = `documents.${at}`;
    const own = error.details ?? [];
    if (own.length === 0) return [{ path: place, message: error.message }];
    return own.map(({ path, message }) => ({ path: path === '' ? place : `${place}.${path}`, message }));
  });
  const isOne = codes.size === 1 && code !== undefined;
  return new McpctlError(isOne ? code : 'invalid_request', undefined, { details });
}

/** The places of documents, those first that others may refer to, in the order of `stored`: it has subjects before grants. */
function inOrder(documents: readonly Document[]): number[] {
  const words = new Map(documents.map(({ definition }) => [definition.word, definition]));
  const depthOf = (definition: Definition): number =>
    1 +
    Math.max(
      0,
      ...referencesOf(definition).flatMap(([, { to }]) => {
        const other = words.get(to.word);
        return other && other !== definition ? [depthOf(other)] : [];
      }),
    );
  const depths = new Map([...words].map(([word, definition]) => [word, depthOf(definition)]));
  const turnOf = (at: number): [depth: number, place: number] => {
    const word = documents[at]?.definition.word ?? '';
    return [depths.get(word) ?? 0, stored.findIndex((definition) => definition.word === word)];
  };
  return documents
    .map((_, at) => ({ at, turn: turnOf(at) }))
    .sort((a, b) => a.turn[0] - b.turn[0] || a.turn[1] - b.turn[1] || a.at - b.at)
    .map(({ at }) => at);
}
