import { Router, type Request, type Response } from 'express';
import { canDo, type Actor } from '../../core/access.ts';
import { backupSchema, restoreSchema } from '../../core/backup/calls.ts';
import { MOST_RESTORED, MOST_RESTORED_MIB } from '../../core/backup/format.ts';
import { McpctlError } from '../../core/errors.ts';
import { linesIn } from '../../core/runtime/backup/lines.ts';
import { actorOf } from '../http/context.ts';
import { whileThere } from '../http/gone.ts';
import { sendLines } from '../http/lines.ts';
import type { EdgeDeps } from '../deps.ts';
import { bodyOf } from '../http/parse.ts';
import { putOutOfPools, tellEach, tellWritten, written } from '../http/written.ts';
import { inItsTurn } from '../limits/turns.ts';

/** One that was read already, and those that follow. */
async function* afterFirst(first: string, rest: AsyncIterable<string>): AsyncGenerator<string> {
  yield first;
  yield* rest;
}

/**
 * Everything, a line each, as fast as its reader takes it: one that takes nothing is dropped (`stalledReaderMs`), and what
 * breaks off has no last line. It is told of before the first.
 */
async function backup(
  deps: EdgeDeps,
  { req, res, gone }: { req: Request; res: Response; gone: AbortSignal },
): Promise<void> {
  const asked = bodyOf(req, backupSchema);
  const { version: app, registry } = deps;
  const what = { verb: 'backup', resource: 'installation', name: asked.secrets } as const;
  req.context.write = { verb: what.verb, resource: what.resource };
  const lines = registry.backups.lines({
    ...asked,
    ...{ app, actor: actorOf(req) },
  });
  gone.addEventListener('abort', () => res.destroy());
  try {
    const first = await lines.next();
    tellWritten({ ...deps, req }, { ...what, outcome: 'ok' });
    res.set('cache-control', 'no-store').type('application/x-ndjson');
    await sendLines(deps, res, afterFirst(String(first.value), lines));
  } catch (thrown) {
    const outcome = thrown instanceof McpctlError ? thrown.code : 'internal';
    if (res.headersSent) deps.log.warn({ outcome }, 'a backup was broken off');
    tellWritten({ ...deps, req }, { ...what, outcome });
    if (!res.headersSent) throw thrown;
    res.destroy();
  } finally {
    await lines.return?.(undefined);
  }
}

/** Somebody is no more to have what is not sent yet. */
const whyNotBackup = (now: Actor): McpctlError | undefined =>
  canDo(now, 'backup') ? undefined : new McpctlError('forbidden');

/** All of a backup, or nothing. Each document is a write as if it had been made alone. */
async function restore(deps: EdgeDeps, req: Request) {
  deps.registry.backups.needMayRestore(actorOf(req)); // parsing a large one holds up the others
  const { backup: text, key, ...asked } = bodyOf(req, restoreSchema, { mostMiB: 2 * MOST_RESTORED_MIB });
  const { version: app, registry } = deps;
  const what = { verb: 'restore', resource: 'installation', name: asked.onConflict } as const;
  const restored = await written({ ...deps, req }, what, () =>
    registry.backups.restore({
      ...asked,
      ...{ app, actor: actorOf(req), lines: linesIn(text), most: MOST_RESTORED },
      keyOf: () => Promise.resolve(key),
    }),
  );
  if (asked.dryRun) return restored;
  tellEach({ ...deps, req }, restored.items);
  await putOutOfPools(deps, restored.items);
  return restored;
}

/** The whole installation, out and in again (docs/backup.md). */
export function backupRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.post('/backup', (req, res) =>
    inItsTurn(deps.gates.largeAnswers, req, () =>
      whileThere(deps, { res, poolKey: '', whyNot: whyNotBackup }, (gone) =>
        backup(deps, { req, res, gone }),
      ),
    ),
  );
  router.post('/restore', async (req, res) => void res.json(await restore(deps, req)));
  return router;
}
