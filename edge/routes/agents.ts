import { Router, type Request } from 'express';
import { can } from '../../core/access.ts';
import type { ComposedView } from '../../core/agent/composed-view.ts';
import { McpctlError } from '../../core/errors.ts';
import { agent } from '../../core/resources/talk/agent.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { composedFor } from '../inference/ask/aim.ts';
import { readRequest } from '../inference/ask/request.ts';

/** What would be sent for a chat, and nothing is. Who may not see the persona is told of what it is made, and how long. */
async function compose(deps: EdgeDeps, req: Request): Promise<ComposedView> {
  const actor = actorOf(req);
  const row = await deps.registry.resources(agent).get(String(req.params['name']), actor);
  const { text = '', shape } = req.context;
  const request = await readRequest('chat', text, { shape, owner: actor.userId });
  const composed = await composedFor(deps, actor, { id: row.id, body: request.body });
  const llm = await deps.registry.llms.byId(row.refersTo['llm'] ?? '');
  if (!llm) throw new McpctlError('llm_not_found');
  const shown = {
    agent: String(row.values['name']),
    llm: llm.name,
    pool: llm.poolKey,
    pinMode: row.values['pinMode'] === 'only' ? 'only' : 'pool',
    bytes: Buffer.byteLength(composed.body),
  } as const;
  const seesPersona = can(actor, 'edit', { resource: agent, target: { ownerId: row.ownerId } });
  if (!seesPersona) return { ...shown, pieces: composed.pieces.map(({ name: _name, ...piece }) => piece) };
  const { pieces, params, body } = composed;
  return { ...shown, pieces, params, body };
}

/** What an agent has besides create, read, update and delete. */
export function agentRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.post('/agents/:name/compose', async (req, res) => void res.json(await compose(deps, req)));
  return router;
}
