import type { Knex } from 'knex';
import { v7 } from 'uuid';
import type { Actor } from '../../access.ts';
import type { ApprovalsOf } from '../../declared/apply.ts';
import { holderOf, type Kind } from '../../declared/kinds.ts';
import { inOrder } from '../../declared/order.ts';
import { McpctlError } from '../../errors.ts';
import { record } from '../audit/record.ts';
import { copyApprovals } from '../mcp/pinned/copy.ts';
import type { Applied, ApplyDeps, Document, Done } from './document.ts';
import { outcomeOf } from './keeper.ts';
import { doneOnce, type Once } from './once.ts';
import { pruned, type Pruning } from './prune.ts';
import { refusalOf, type Refusal } from './refusals.ts';
import { adopt, enterSet, forget, keyOf, leaveSet, othersOf } from './sets.ts';
import { behindTurns, inBatches, orNothing } from './together.ts';
import { inTransaction } from '../database/in-transaction.ts';

interface Shared {
  documents: readonly Document[];
  actor: Actor;
  /** Everything is done and undone again. */
  dryRun: boolean;
  /** What is refused already: nothing is done then, and what is wrong with the others is told too. */
  refused?: readonly Refusal[];
  /** Done once under that key; a dry run is not. */
  once?: Once | undefined;
}

export interface Applying extends Shared {
  set?: { name: string; prune?: Pruning | undefined } | undefined;
  approvals?: ApprovalsOf | undefined;
}

export interface Deleting extends Shared {
  ignoreNotFound: boolean;
}

type Work = (trx: Knex.Transaction, actor: Actor) => Promise<Applied[]>;

async function together(
  { connection, keepers }: ApplyDeps,
  { actor, dryRun, once, kinds }: Shared & { kinds: ReadonlySet<Kind> },
  work: Work,
): Promise<Done> {
  const done = await inTransaction(connection, { dryRun }, (trx) =>
    behindTurns(trx, { keepers, kinds, actor }, async (by): Promise<Done> => {
      if (!once || dryRun) return { items: await work(trx, by), replayed: false };
      const read = (kept: unknown): Applied[] => kept as Applied[];
      const { answer, replayed } = await doneOnce(trx, once, { work: () => work(trx, by), read });
      return { items: answer, replayed };
    }),
  );
  if (dryRun) {
    const what = { verb: 'edit', resource: 'apply', id: null, name: null, ownerId: actor.userId } as const;
    await record(connection.db, actor, { ...what, dryRun: true });
  }
  return done;
}

/** Where one stands, as whoever sent it finds it. */
const placeOf = (documents: readonly Document[], at: number): string =>
  `documents.${documents[at]?.at ?? at}`;

interface Asking {
  refused?: readonly Refusal[];
  work: (document: Document) => Promise<Applied>;
  /** Does those of one kind together that it can; the others are asked for by themselves. */
  ahead?: (batch: readonly Document[]) => Promise<ReadonlyMap<Document, Applied>>;
}

/** What is asked of each document, in that order; what is refused does not keep the others from being asked. */
async function eachOf(
  documents: readonly Document[],
  order: readonly number[],
  { refused = [], work, ahead }: Asking,
): Promise<Applied[]> {
  const done = new Map<number, Applied>();
  const places = new Map<string, string>();
  const refusals = [...refused];
  const one = async (at: number, document: Document, together: ReadonlyMap<Document, Applied>) => {
    const place = placeOf(documents, at);
    try {
      const applied = together.get(document) ?? (await work(document));
      const before = places.get(keyOf(applied));
      if (before !== undefined)
        throw new McpctlError('invalid_request', `It is the same ${applied.resource} as ${before}.`);
      if (applied.id !== '') places.set(keyOf(applied), place);
      done.set(at, applied);
    } catch (thrown) {
      if (!(thrown instanceof McpctlError)) throw thrown;
      refusals.push({ place, error: thrown, about: document });
    }
  };
  const all = order.flatMap((at) => {
    const document = documents[at];
    return document ? [{ kind: document.kind, values: document.values, document, place: at }] : [];
  });
  for (const batch of inBatches(all)) {
    const together = (await ahead?.(batch.map(({ document }) => document))) ?? new Map<Document, Applied>();
    for (const { place, document } of batch) await one(place, document, together);
  }
  if (refusals.length > 0) throw refusalOf(refusals);
  return documents.flatMap((_, at) => done.get(at) ?? []);
}

/**
 * Makes everything as the documents say, or nothing: one transaction, in which what others refer to comes first.
 * @returns in the order of the documents, and behind them what was pruned. @throws McpctlError with a fault for each document
 *   that cannot be, by its place (`documents.3.llm`); its code is theirs where all have the same.
 */
export function applyAll(deps: ApplyDeps, asked: Applying): Promise<Done> {
  const { documents, set, refused } = asked;
  const kinds = new Set([...documents.map(({ kind }) => kind), ...(set?.prune ? deps.kinds : [])]);
  return together(deps, { ...asked, kinds }, async (trx, actor) => {
    if (set) await enterSet(trx, set.name, actor);
    const putOne = async ({ kind, values }: Document, ifMatch: number | null): Promise<Applied> => {
      const put = await deps.keepers(kind).put(trx, values, { actor, ifMatch });
      const { created: _, ...about } = put;
      return { resource: kind.word, ...about, outcome: outcomeOf(put) };
    };
    const order = inOrder(documents, deps.kinds);
    const items = await eachOf(documents, order, {
      ...(refused && { refused }),
      ahead: (batch) => putNew(trx, deps, { batch, actor }),
      work: (document) => putOne(document, document.ifMatch ?? null),
    });
    if (asked.approvals) await approveAs(trx, { ...asked.approvals, items, actor });
    if (!set) return items;
    await needOwn(trx, set.name, { items, documents });
    await adopt(trx, set.name, items);
    const gone = set.prune
      ? await pruned(trx, deps, { set: set.name, kept: items, actor, asked: set.prune, dryRun: asked.dryRun })
      : [];
    // What is deleted takes from what referred to it: then the documents would be true no more, and nobody would say so.
    if (gone.length > 0)
      await eachOf(documents, order, { work: async (document) => needStill(await putOne(document, null)) });
    await leaveSet(trx, set.name);
    return [...items, ...gone];
  });
}

/** @throws McpctlError `invalid_request` for a project that is not made here. */
async function approveAs(
  trx: Knex.Transaction,
  { of, for: name, items, actor }: ApprovalsOf & { items: readonly Applied[]; actor: Actor },
): Promise<void> {
  const made = items.find((item) => item.resource === 'project' && item.name === name);
  if (made?.outcome !== 'created')
    throw new McpctlError('invalid_request', undefined, {
      details: [{ path: 'approvals.for', message: 'must be a project that these documents make' }],
    });
  await copyApprovals(trx, { of, to: made.id, actor });
}

/** Those whose names nobody has, as one; none where something is in the way of one, which is told when each is asked for. */
async function putNew(
  trx: Knex.Transaction,
  { keepers }: ApplyDeps,
  { batch, actor }: { batch: readonly Document[]; actor: Actor },
): Promise<ReadonlyMap<Document, Applied>> {
  const [first] = batch;
  if (!first || batch.length < 2) return new Map();
  const { kind } = first;
  const keeper = keepers(kind);
  if (!keeper.putNew) return new Map();
  const names = batch.map(({ values }) => String(values['name']));
  const here = await trx(kind.plural).whereIn('name', names).select<{ name: string }[]>('name');
  const [taken, seen] = [new Set(here.map(({ name }) => name)), new Set<string>()];
  for (const name of names) (seen.has(name) ? taken : seen).add(name);
  const wanted = batch.filter(({ ifMatch }, at) => ifMatch === undefined && !taken.has(names[at] ?? ''));
  if (wanted.length < 2) return new Map();
  const news = wanted.map(({ values }) => ({ values, as: { id: v7() } }));
  const puts = (await orNothing(trx, async (inner) => keeper.putNew?.(inner, news, actor))) ?? [];
  return new Map(
    puts.flatMap((made, at) => {
      const document = wanted[at];
      const { created: _, ...about } = made;
      return document ? [[document, { resource: kind.word, ...about, outcome: outcomeOf(made) }]] : [];
    }),
  );
}

/** @throws McpctlError `in_use` */
function needStill(put: Applied): Applied {
  if (put.outcome === 'unchanged') return put;
  throw new McpctlError(
    'in_use',
    `It says what is pruned (${put.changed.join(', ')}): take that out of it, or list what it names.`,
  );
}

/** @throws McpctlError `in_other_set` for what another set has applied. */
async function needOwn(
  trx: Knex.Transaction,
  set: string,
  { items, documents }: { items: readonly Applied[]; documents: readonly Document[] },
): Promise<void> {
  const others = await othersOf(trx, set, items);
  const refusals = items.flatMap((item, at): Refusal[] => {
    const other = others.get(keyOf(item));
    if (other === undefined) return [];
    const error = new McpctlError(
      'in_other_set',
      `The set '${other}' has applied it; take it out of that first.`,
    );
    return [{ place: placeOf(documents, at), error, about: documents[at] ?? null }];
  });
  if (refusals.length > 0) throw refusalOf(refusals);
}

/** Deletes everything that documents name, or nothing, what refers to others first. */
export function deleteAll(deps: ApplyDeps, asked: Deleting): Promise<Done> {
  const { documents, refused, ignoreNotFound } = asked;
  const kinds = new Set(documents.map(({ kind }) => kind));
  return together(deps, { ...asked, kinds }, async (trx, actor) => {
    const items = await eachOf(documents, inOrder(documents, deps.kinds).reverse(), {
      ...(refused && { refused }),
      work: async ({ kind, values }) => {
        try {
          const dropped = await deps.keepers(kind).drop(trx, { values }, actor);
          return { resource: kind.word, ...dropped, outcome: 'deleted', changed: [] };
        } catch (thrown) {
          if (!ignoreNotFound || !(thrown instanceof McpctlError) || !thrown.code.endsWith('_not_found'))
            throw thrown;
          const name = String(values[kind.key === 'id' ? 'name' : kind.key]);
          return {
            resource: kind.word,
            id: '',
            name,
            of: holderOf(kind, values),
            outcome: 'absent',
            changed: [],
          };
        }
      },
    });
    await forget(trx, items);
    return items;
  });
}
