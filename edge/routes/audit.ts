import { Router, type Request, type Response } from 'express';
import { z } from 'zod';
import { scopeOf, type Actor, type Scope } from '../../core/access.ts';
import { auditQuerySchema, type AuditFilter, type AuditView } from '../../core/audit/query.ts';
import { McpctlError } from '../../core/errors.ts';
import type { AuditRow } from '../../core/registry/audit/audits.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { sendFile } from '../http/lines.ts';
import { afterOf, cursorOf, queryOf } from '../http/parse.ts';
import { inItsTurn, takeTurn } from '../limits/turns.ts';

/** Of a file, how many are read at once. */
const PAGE = 500;

const keySchema = z.string().regex(/^\d{1,18}$/);

/** With which token, and from where, is shown to whoever did it, and to who may see all. */
function viewOf(row: AuditRow, { ownerId }: Scope): AuditView {
  const { id, at, verb, resource, outcome, changes, dryRun, count, objectId } = row;
  const mayKnow = ownerId === null || row.actorId === ownerId;
  return {
    id,
    at: at.toISOString(),
    actor: row.actorName,
    as: row.asName,
    token: mayKnow ? row.tokenName : null,
    ip: mayKnow ? row.ip : null,
    requestId: mayKnow ? row.requestId : null,
    ...{ verb, resource, name: row.objectName, objectId, outcome, changes, dryRun, count },
  };
}

interface Page {
  items: AuditView[];
  next: string | null;
}

const mayNot = () => new McpctlError('forbidden', 'Your token may not view the audit.');
const whyNot = (now: Actor): McpctlError | undefined =>
  scopeOf(now, 'view', 'audit') ? undefined : mayNot();

/** @param after the id of the last event before it. @throws McpctlError `forbidden`. */
async function pageOf(
  { registry }: EdgeDeps,
  actor: Actor,
  { after, limit, filter }: { after: string | undefined; limit: number; filter: AuditFilter },
): Promise<Page> {
  const scope = scopeOf(actor, 'view', 'audit');
  if (!scope) throw mayNot();
  const rows = await registry.audits.list({ after, limit: limit + 1, scope, filter });
  const page = rows.slice(0, limit);
  const items = page.map((row) => viewOf(row, scope));
  return { items, next: rows.length > limit ? (page.at(-1)?.id ?? null) : null };
}

/** Each page in its turn, as they may see it by then. */
async function* linesOf(
  deps: EdgeDeps,
  req: Request,
  { after, filter }: { after: string | undefined; filter: AuditFilter },
): AsyncGenerator<string> {
  const asked = { after, limit: PAGE, filter };
  for (;;) {
    const page = () => pageOf(deps, actorOf(req), asked);
    const { items, next } = await inItsTurn(deps.gates.lists, req, page);
    for (const item of items) yield JSON.stringify(item);
    if (next === null) return;
    asked.after = next;
  }
}

async function answer(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const { limit, after: cursor, format, ...filter } = queryOf(req, auditQuerySchema);
  const after = afterOf(cursor, keySchema);
  if (format === 'json') {
    await takeTurn(deps.gates.lists, req);
    const { items, next } = await pageOf(deps, actorOf(req), { after, limit, filter });
    return void res.json({ items, next: next === null ? null : cursorOf(next) });
  }
  const lines = linesOf(deps, req, { after, filter });
  const type = 'application/x-ndjson';
  await sendFile(deps, { req, res, file: 'audit.jsonl', type, lines, whyNot });
}

/** `GET /api/v1/audit`. */
export function auditRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/audit', (req, res) => answer(deps, req, res));
  return router;
}
