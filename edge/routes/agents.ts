import { Router, type Request } from 'express';
import { can } from '../../core/access.ts';
import type { ComposedView } from '../../core/agent/composed-view.ts';
import { McpctlError } from '../../core/errors.ts';
import { agent } from '../../core/resources/talk/agent.ts';
import { targetOf } from '../../core/registry/resources/rows.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { composedFor } from '../inference/ask/aim.ts';
import { chatOf } from '../inference/turn/sent.ts';
import { bodyOf } from '../http/parse.ts';
import { turnRequestSchema } from '../../core/agent/thread.ts';
import { topLevelMembers } from '../../core/text/json-text.ts';
import { readRequest } from '../inference/ask/request.ts';

/** Of a turn, and of no chat. */
const turnsOwn = ['message', 'personality', 'params', 'system', 'systemAppend', 'truncation'];

/** Asked with a chat, or with what a turn says. */
function chatIn(
  req: Request,
  name: string,
): { body: string; personality?: string | undefined; system?: string | undefined } {
  const { text = '' } = req.context;
  const isTurn = (topLevelMembers(text) ?? []).some(({ key }) => turnsOwn.includes(key));
  if (!isTurn) return { body: text };
  const { personality, system } = bodyOf(req, turnRequestSchema, { forInference: 'whole' });
  return { body: chatOf(text, name), personality, system };
}

/** What would be sent for a chat, and nothing is. Who may not see the persona is told of what it is made, and how long. */
async function compose(deps: EdgeDeps, req: Request): Promise<ComposedView> {
  const actor = actorOf(req);
  const row = await deps.registry.resources(agent).get(String(req.params['name']), actor);
  const { body, personality, system } = chatIn(req, String(row.values['name']));
  const request = await readRequest('chat', body, { owner: actor.userId });
  const composed = await composedFor(deps, actor, {
    ...{ id: row.id, body: request.body, system, offersTools: true },
    personality: personality === '' ? null : personality,
  });
  const { persona } = composed;
  const llm = await deps.registry.llms.byId(row.refersTo['llm'] ?? '');
  if (!llm) throw new McpctlError('llm_not_found');
  const shown = {
    agent: String(row.values['name']),
    llm: llm.name,
    pool: llm.poolKey,
    pinMode: row.values['pinMode'] === 'only' ? 'only' : 'pool',
    personality: persona.personality?.name ?? null,
    bytes: Buffer.byteLength(composed.body),
    toolsLeft: composed.toolsLeft,
  } as const;
  const seesPersona = can(actor, 'edit', { resource: agent, target: targetOf(row) });
  if (!seesPersona) return { ...shown, pieces: composed.pieces.map(({ name: _name, ...piece }) => piece) };
  const { pieces, params, body: sent } = composed;
  return { ...shown, pieces, outOfReach: persona.outOfReach.map(({ name }) => name), params, body: sent };
}

/** What an agent has besides create, read, update and delete. */
export function agentRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.post('/agents/:name/compose', async (req, res) => void res.json(await compose(deps, req)));
  return router;
}
