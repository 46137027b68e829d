import { Router, type Request } from 'express';
import { z } from 'zod';
import { scopeOf, type Scope } from '../../core/access.ts';
import { auditQuerySchema, type AuditView } from '../../core/audit/query.ts';
import { McpctlError } from '../../core/errors.ts';
import type { AuditRow } from '../../core/registry/audit/audits.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { afterOf, cursorOf, queryOf } from '../http/parse.ts';
import { listsInTurn } from '../limits/turns.ts';

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

async function list(deps: EdgeDeps, req: Request) {
  const { limit, after, ...filter } = queryOf(req, auditQuerySchema);
  const scope = scopeOf(actorOf(req), 'view', 'audit');
  if (!scope) throw new McpctlError('forbidden', 'Your token may not view the audit.');
  const from = { after: afterOf(after, keySchema), limit: limit + 1 };
  const rows = await deps.registry.audits.list({ ...from, scope, filter });
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const items = page.map((row) => viewOf(row, scope));
  return { items, next: rows.length > limit && last ? cursorOf(last.id) : null };
}

/** `GET /api/v1/audit`. */
export function auditRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/audit', listsInTurn(deps), async (req, res) => void res.json(await list(deps, req)));
  return router;
}
