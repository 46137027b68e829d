import { createHash } from 'node:crypto';
import { Router, type Request, type Response } from 'express';
import {
  applyDeleteSchema,
  applySchema,
  type AppliedView,
  type ApplyBody,
} from '../../core/declared/apply.ts';
import type { Actor } from '../../core/access.ts';
import { nowhere } from '../../core/access/standing.ts';
import { rightsIn } from '../../core/registry/identity/rights.ts';
import { rbac } from '../../core/resources/people/identity.ts';
import { tellable } from '../resources/doubts.ts';
import type { Once } from '../../core/registry/declared/once.ts';
import type { Applied, Document, Done } from '../../core/registry/declared/document.ts';
import { MOST_WARNINGS, readDocuments, readNames } from '../declared/documents.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { bodyOf } from '../http/parse.ts';
import { idempotencyKeyOf } from '../inference/ask/headers.ts';
import { isWritten, putOutOfPools, tellEach, written } from '../http/written.ts';

const MOST_MIB = 4;
/** Of 500 documents with some hundred members each. */
const MOST_VALUES = 100_000;

/** Nobody is told by a key what they may not do without one: a token that lets through less makes another call. */
const letsOf = ({ filter, pools, by }: Actor): string =>
  filter === null && pools === null && !by ? '' : ` ${JSON.stringify([filter?.words, pools, by?.userId])}`;

/** `Idempotency-Key` of an apply: the same body again under it is answered as it was, and nothing is done. */
function onceOf(deps: EdgeDeps, req: Request, call: string): Once | undefined {
  const key = idempotencyKeyOf(req);
  if (key === undefined) return undefined;
  const actor = actorOf(req);
  const requestHash = createHash('sha256')
    .update(`${call}${letsOf(actor)}\n${req.context.text ?? ''}`)
    .digest('hex');
  return { ownerId: actor.userId, key, requestHash, lifeMs: deps.config.idempotencyMs };
}

interface Work {
  dryRun: boolean;
  /** Of what was passed over. */
  warnings: readonly string[];
  /** What is to be written. */
  documents: readonly Document[];
  work: () => Promise<Done>;
}

/** Does it in its turn, tells of each write, and answers. */
async function answer(
  deps: EdgeDeps,
  [req, res]: [Request, Response],
  { dryRun, warnings, documents, work }: Work,
): Promise<void> {
  const what = { verb: 'edit', resource: 'apply', name: dryRun ? 'dry-run' : '' } as const;
  const isTold = ({ items, replayed }: Done): boolean => dryRun || (!replayed && items.some(isWritten));
  const done = await written({ ...deps, req, isTold }, what, work);
  if (!dryRun && !done.replayed) tellEach({ ...deps, req }, done.items);
  if (!dryRun) await putOutOfPools(deps, done.items);
  if (done.replayed) res.set('idempotency-replayed', 'true');
  const items = done.items.map((item) => ({ ...item, changed: [...item.changed] }));
  const doubtful = await Promise.all([
    renamedIn(deps, done.items),
    nowhereIn(deps, actorOf(req), { documents, items: done.items }),
  ]);
  const all = [...warnings, ...doubtful.flat()].slice(0, MOST_WARNINGS);
  res.json({ dryRun, items, warnings: all } satisfies AppliedView);
}

/** A document of before something was renamed makes another of that name, which has nothing of it. */
async function renamedIn({ registry }: EdgeDeps, items: readonly Applied[]): Promise<string[]> {
  const of = async (kind: 'user' | 'group'): Promise<string[]> => {
    const made = items.filter(({ resource, outcome }) => resource === kind && outcome === 'created');
    const names = await registry.groups.namesNow(
      kind,
      made.map(({ name }) => name),
    );
    const what = kind === 'group' ? 'rights' : 'rights and tokens';
    return [...names].map(
      ([name, now]) =>
        `The ${kind} '${name}' is a new one, without ${what}: the one of before is called '${now}' now.`,
    );
  };
  return [...(await of('user')), ...(await of('group'))];
}

/** Of what was granted now, by what is called as nothing is: not even in these documents, which a dry run has undone. */
async function nowhereIn(
  { registry }: EdgeDeps,
  actor: Actor,
  { documents, items }: { documents: readonly Document[]; items: readonly Applied[] },
): Promise<string[]> {
  const granted = items.filter(({ resource, outcome }) => resource === rbac.word && outcome !== 'unchanged');
  const names = new Set(granted.map(({ name }) => name));
  const written = documents.filter(
    ({ kind, values }) => kind.word === rbac.word && names.has(String(values['name'])),
  );
  const gone = await registry.groups.danglingOf(rightsIn(written.map(({ values }) => values)).grants);
  const made = new Set(
    documents.flatMap(({ kind, values: { name, poolName } }) => [
      `${kind.word}:${String(name)}`,
      ...(kind.word === 'llm' ? [`pool:${String(poolName ?? name)}`] : []),
    ]),
  );
  const missing = gone.filter(({ resource, name }) => !made.has(`${resource}:${name ?? ''}`));
  return [...new Set(tellable(missing, actor))].map(nowhere);
}

async function apply(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const body: ApplyBody = bodyOf(req, applySchema, { mostMiB: MOST_MIB, mostValues: MOST_VALUES });
  const { declared } = deps.registry;
  const { documents, refused, warnings } = readDocuments(body, declared.kinds);
  const { dryRun, set, prune, approvals } = body;
  const asked = {
    ...{ documents, refused, dryRun, actor: actorOf(req), once: onceOf(deps, req, 'apply') },
    approvals,
    set: set === undefined ? undefined : { name: set, prune },
  };
  await answer(deps, [req, res], { dryRun, warnings, documents, work: () => declared.apply(asked) });
}

async function remove(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const body = bodyOf(req, applyDeleteSchema, { mostMiB: MOST_MIB, mostValues: MOST_VALUES });
  const { declared } = deps.registry;
  const { documents, refused } = readNames(body.documents, declared.kinds);
  const { dryRun, ignoreNotFound } = body;
  const asked = {
    documents,
    refused,
    dryRun,
    ignoreNotFound,
    actor: actorOf(req),
    once: onceOf(deps, req, 'delete'),
  };
  await answer(deps, [req, res], {
    ...{ dryRun, warnings: [], documents: [] },
    work: () => declared.delete(asked),
  });
}

/** `POST /api/v1/apply`: many resources as they are to be, all of them or none; and the other way round. */
export function applyRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.post('/apply', (req, res) => apply(deps, req, res));
  router.post('/apply/delete', (req, res) => remove(deps, req, res));
  return router;
}
