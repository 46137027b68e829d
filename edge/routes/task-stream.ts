import { Router, type Request } from 'express';
import { McpctlError } from '../../core/errors.ts';
import type { Position } from '../../core/queue/task/stream.ts';
import { untilClosed } from '../limits/caps.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { positionOf } from '../http/sse.ts';
import { lookOn, showRow } from '../inference/look-on.ts';
import { followFrom } from '../inference/follow/resume.ts';
import { queryOf } from '../http/parse.ts';
import { taskStreamQuerySchema } from '../../core/task/task.ts';
import { readsBodies, taskOf } from '../shown/task/task-of.ts';

/** The query is said on purpose; the header is what a browser sends by itself. @throws McpctlError `invalid_cursor`. */
function afterOf(req: Request): Position | null {
  const id = queryOf(req, taskStreamQuerySchema).after ?? req.get('last-event-id');
  return id === undefined ? null : positionOf(id);
}

/** `GET /api/v1/tasks/:id/stream`: a task's events from its first one, or from where a reader has come to. */
export function taskStreamRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/tasks/:id/stream', async (req, res) => {
    const after = afterOf(req);
    const row = await taskOf(deps, req);
    if (!readsBodies(actorOf(req), row))
      throw new McpctlError(
        'forbidden',
        'What is said in a task of others may read only who has the operation logs.',
      );
    await deps.bodyReads.tell(actorOf(req), { resource: 'task', ...row });
    untilClosed(res, deps.caps.hold(actorOf(req), { bytes: 0, streaming: true }));
    const follower = await followFrom(deps, row, after);
    res.set('x-mcpctl-task-id', row.id);
    if (req.method === 'HEAD') {
      follower?.close();
      return void res.type('text/event-stream').end();
    }
    const reader = { res, row, after };
    await (follower ? lookOn(deps, reader, follower) : showRow(deps, reader));
  });
  return router;
}
