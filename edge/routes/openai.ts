import { Router } from 'express';
import { can } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { poolKeyOf } from '../../core/names.ts';
import { actorOf } from '../context.ts';
import type { EdgeDeps } from '../deps.ts';
import { infer } from '../inference/infer.ts';
import type { LiveLlm } from '../../core/flow/liveness.ts';

/** The most rows that `/v1/models` lists: clients load it whole into a picker. */
const MOST_MODELS = 1_000;

/** An llm as OpenAI's list shows it; context length under both names that clients read. */
function modelView({ row }: LiveLlm) {
  const { contextLength } = row.capabilities;
  return {
    id: row.name,
    object: 'model',
    created: Math.floor(row.createdAt.getTime() / 1_000),
    owned_by: 'mcpctl',
    ...(contextLength === undefined ? {} : { context_length: contextLength, max_model_len: contextLength }),
  };
}

/** What the caller may run and somebody serves. */
async function models(deps: EdgeDeps, req: Parameters<typeof actorOf>[0]): Promise<LiveLlm[]> {
  const actor = actorOf(req);
  const rows = await deps.registry.llms.list({ limit: MOST_MODELS });
  const mine = rows.filter((row) =>
    can(actor, 'run', { resource: 'llm', target: { poolKey: poolKeyOf(row) } }),
  );
  const live = await deps.liveness.llms(mine);
  return live.filter((llm) => llm.status === 'active' && llm.servedBy > 0);
}

/** The OpenAI-compatible door: what the `openai` SDK needs for a conversation. */
export function openAiRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/models', async (req, res) => {
    const data = (await models(deps, req)).map(modelView);
    res.json({ object: 'list', data });
  });
  router.get('/models/*id', async (req, res) => {
    const id = req.params.id.join('/');
    const found = (await models(deps, req)).find(
      (llm) => llm.row.name === id || llm.row.aliases.includes(id),
    );
    if (!found)
      throw new McpctlError('llm_not_found', `There is no model '${id.slice(0, 128)}' that you can use now.`);
    res.json(modelView(found));
  });
  router.post('/chat/completions', (req, res) => infer(deps, { req, res }, { source: 'v1' }));
  return router;
}
