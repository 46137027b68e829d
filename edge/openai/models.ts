import { Router, type Request } from 'express';
import { can } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import type { LiveLlm } from '../../core/flow/alive/liveness.ts';
import { aliasSchema, poolKeyOf } from '../../core/names.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { listsInTurn } from '../limits/turns.ts';

/** Clients load the list whole into a picker. */
const MOST_MODELS = 1_000;

/** An llm under a name that it is called by. */
export interface Model {
  id: string;
  llm: LiveLlm;
}

/** As OpenAI shows it; the context length under both names that clients read. */
function openAiView({ id, llm: { row } }: Model) {
  const { contextLength } = row.capabilities;
  return {
    id,
    object: 'model',
    created: Math.floor(row.createdAt.getTime() / 1_000),
    owned_by: 'mcpctl',
    ...(contextLength === undefined ? {} : { context_length: contextLength, max_model_len: contextLength }),
  };
}

/** As Anthropic shows it. */
function anthropicView({ id, llm: { row } }: Model) {
  const { contextLength } = row.capabilities;
  return {
    type: 'model',
    id,
    display_name: row.description === '' ? id : row.description.slice(0, 128),
    created_at: row.createdAt.toISOString(),
    ...(contextLength === undefined ? {} : { max_input_tokens: contextLength }),
  };
}

/** Somebody serves it, or it can be woken. */
function isOffered(llm: LiveLlm): boolean {
  return (llm.status === 'active' && llm.servedBy > 0) || llm.status === 'hibernating';
}

/**
 * What the caller may run and somebody serves or can wake, each name and each alias. A public llm is a way to its
 * pool: it is offered while any member of that is.
 */
export async function offered(deps: EdgeDeps, req: Request): Promise<Model[]> {
  const llms = await liveLlms(deps, req);
  const pools = new Set(llms.filter(isOffered).map(({ row }) => row.poolKey));
  return llms
    .filter((llm) => isOffered(llm) || (llm.row.kind === 'public' && pools.has(llm.row.poolKey)))
    .flatMap((llm) => [llm.row.name, ...llm.row.aliases].map((id) => ({ id, llm })))
    .slice(0, MOST_MODELS)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Llms that the caller may run; of more than a picker holds, some of each owner. */
async function liveLlms(deps: EdgeDeps, req: Request): Promise<LiveLlm[]> {
  const actor = actorOf(req);
  const { userId, pools } = actor;
  const rows = await deps.registry.llms.callable({ userId, pools, limit: MOST_MODELS });
  const mine = rows.filter((row) =>
    can(actor, 'run', { resource: 'llm', target: { poolKey: poolKeyOf(row) } }),
  );
  return deps.liveness.llms(mine);
}

/** The llm that a name, a pool key or an alias leads to, if the caller may use it now. @throws McpctlError `llm_not_found`. */
export async function modelOf(deps: EdgeDeps, req: Request, id: string): Promise<Model> {
  const resolved = aliasSchema.safeParse(id).success ? await deps.registry.names.resolve(id) : undefined;
  if (resolved && can(actorOf(req), 'run', { resource: 'llm', target: { poolKey: resolved.poolKey } })) {
    const { members } = await deps.liveness.loadPool(resolved.poolKey);
    const meant = members.find((m) => m.row.name === resolved.llm);
    const llm = meant && isOffered(meant) ? meant : members.find(isOffered);
    if (llm) return { id, llm: meant ?? llm };
  }
  throw new McpctlError('llm_not_found', `There is no model '${id.slice(0, 128)}' that you can use now.`);
}

/** `GET /v1/models` and `/v1/models/<id>`, whose id may hold slashes; in Anthropic's shape for its clients. */
export function modelRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/models', listsInTurn(deps), async (req, res) => {
    const models = await offered(deps, req);
    if (req.get('anthropic-version') === undefined)
      return void res.json({ object: 'list', data: models.map(openAiView) });
    const data = models.map(anthropicView);
    const [first_id, last_id] = [data[0]?.id ?? null, data.at(-1)?.id ?? null];
    res.json({ data, has_more: false, first_id, last_id });
  });
  router.get('/models/*id', async (req, res) => {
    const model = await modelOf(deps, req, req.params.id.join('/'));
    res.json(req.get('anthropic-version') === undefined ? openAiView(model) : anthropicView(model));
  });
  return router;
}
