import { Router, type Request, type Response } from 'express';
import { z } from 'zod';
import { scopeOf, type Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { usageQuerySchema, type Used, type UsageQuery, type UsageView } from '../../core/operator/usage.ts';
import type { UsageAsked, UsedRow } from '../../core/registry/usage.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { csvLine, sendFile } from '../http/lines.ts';
import { afterOf, cursorOf, queryOf } from '../http/parse.ts';
import { inItsTurn, takeTurn } from '../limits/turns.ts';
import { mayKnowToken, mayKnowUser } from '../shown/known-names.ts';

/** A name is told as it is where it can be looked up. */
function usedOf(actor: Actor, { at, name, user, ownerId, keyId, tokenOwnerId, ...counts }: UsedRow): Used {
  const nameOf = (owner: string): string =>
    ownerId === undefined || mayKnowUser(actor, { ownerId, name: owner }) ? owner : ownerId;
  const begins = at === undefined ? {} : { at: at.toISOString() };
  if (user === undefined) return { ...begins, name: nameOf(name), ...counts };
  const tokenId = keyId ?? null;
  const isKnown = mayKnowToken(actor, { tokenId, ownerId: tokenOwnerId ?? null });
  return {
    ...{ ...begins, name: isKnown ? name : 'unknown', user: nameOf(user) },
    ...(isKnown && tokenId !== null && { keyId: tokenId }),
    ...counts,
  };
}

/** Of which tasks; null: of none. By token, one that is bound to pools hears of itself: it may know of no other. */
function askedBy(actor: Actor, query: UsageQuery): UsageAsked | null {
  const scope = scopeOf(actor, 'view', 'task');
  const tokenId = query.by === 'token' ? (scopeOf(actor, 'view', 'token')?.tokenId ?? null) : null;
  return scope && { ...query, scope: { ...scope, tokenId } };
}

const beginningSchema = z.iso.datetime();

async function pageOf(deps: EdgeDeps, actor: Actor, query: UsageQuery): Promise<UsageView> {
  const { bucket, after } = query;
  const asked = askedBy(actor, query);
  const { usages } = deps.registry;
  if (bucket === undefined)
    return { items: asked ? (await usages.of(asked)).map((row) => usedOf(actor, row)) : [] };
  const since = afterOf(after, beginningSchema);
  if (!asked) return { items: [], next: null };
  const { rows, next } = await usages.inBuckets({ ...asked, bucket, since });
  return { items: rows.map((row) => usedOf(actor, row)), next: next === null ? null : cursorOf(next) };
}

/** Of a table the columns that its question has. */
const columnsOf = ({ by, bucket }: UsageQuery): (keyof Used)[] => [
  ...(bucket === undefined ? [] : (['at'] as const)),
  'name',
  ...(by === 'token' ? (['user', 'keyId'] as const) : []),
  ...(['tasks', 'completed', 'failed', 'tokensIn', 'tokensOut', 'minutes'] as const),
];

const whyNot = (now: Actor): McpctlError | undefined =>
  scopeOf(now, 'view', 'task') ? undefined : new McpctlError('forbidden');

/** Each page in its turn, as they may see it by then. @throws McpctlError `forbidden` where they may not any more: a part is not the whole. */
async function* csvOf(deps: EdgeDeps, req: Request, query: UsageQuery): AsyncGenerator<string> {
  const columns = columnsOf(query);
  const pageAt = (after: string | undefined): Promise<UsageView> =>
    inItsTurn(deps.gates.lists, req, () => pageOf(deps, actorOf(req), { ...query, after }));
  let page = await pageAt(query.after);
  yield csvLine(columns);
  for (;;) {
    for (const used of page.items) yield csvLine(columns.map((column) => used[column]));
    const { next } = page;
    if (typeof next !== 'string') return;
    page = await pageAt(next);
    const lost = whyNot(actorOf(req));
    if (lost) throw lost;
  }
}

async function answer(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const query = queryOf(req, usageQuerySchema);
  if (query.format === 'json') {
    await takeTurn(deps.gates.lists, req);
    return void res.json(await pageOf(deps, actorOf(req), query));
  }
  const lines = csvOf(deps, req, query);
  await sendFile(deps, { req, res, file: `usage-by-${query.by}.csv`, type: 'text/csv', lines, whyNot });
}

/** `GET /api/v1/usage`: who used how much; one's own, or for who may view all tasks everybody's; within the token's pools. */
export function usageRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/usage', (req, res) => answer(deps, req, res));
  return router;
}
