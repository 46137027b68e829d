import { Router, type Request } from 'express';
import { can, reachesOf, reachOf, scopeOf, type Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { lookAtPublishers } from '../../core/flow/alive/publishers.ts';
import type { LiveLlm } from '../../core/flow/alive/liveness.ts';
import { aliasSchema, poolKeyOf } from '../../core/names.ts';
import type { CallableAgent } from '../../core/registry/agents/agents.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { listsInTurn } from '../limits/turns.ts';

/** Clients load the list whole into a picker. */
const MOST_MODELS = 1_000;
const MOST_AGENTS = 300;

/** An llm under a name that it is called by, or an agent that leads to it. */
export interface Model {
  id: string;
  /** Of an agent the member of its pool with the most room. */
  llm: LiveLlm;
  agent?: Pick<CallableAgent, 'description' | 'createdAt'>;
}

const createdAtOf = ({ agent, llm: { row } }: Model): Date => (agent ?? row).createdAt;

/** As OpenAI shows it; the context length under both names that clients read. */
function openAiView(model: Model) {
  const { id, llm, agent } = model;
  const { contextLength } = llm.row.capabilities;
  return {
    id,
    object: 'model',
    created: Math.floor(createdAtOf(model).getTime() / 1_000),
    owned_by: agent ? 'mcpctl-agent' : 'mcpctl',
    ...(contextLength === undefined ? {} : { context_length: contextLength, max_model_len: contextLength }),
  };
}

/** As Anthropic shows it. */
function anthropicView(model: Model) {
  const { id, llm, agent } = model;
  const { contextLength } = llm.row.capabilities;
  const { description } = agent ?? llm.row;
  return {
    type: 'model',
    id,
    display_name: description === '' ? id : description.slice(0, 128),
    created_at: createdAtOf(model).toISOString(),
    ...(contextLength === undefined ? {} : { max_input_tokens: contextLength }),
  };
}

/** Somebody serves it, or it can be woken. */
function isOffered(llm: LiveLlm): boolean {
  return (llm.status === 'active' && llm.servedBy > 0) || llm.status === 'hibernating';
}

/**
 * What the caller may run and somebody serves or can wake: agents, and llms by each name and each alias. A public llm is a
 * way to its pool: it is offered while any member of that is.
 */
export async function offered(deps: EdgeDeps, req: Request): Promise<Model[]> {
  const llms = await liveLlms(deps, req);
  const pools = new Set(llms.filter(isOffered).map(({ row }) => row.poolKey));
  const named = llms
    .filter((llm) => isOffered(llm) || (isWay(actorOf(req), llm) && pools.has(llm.row.poolKey)))
    .flatMap((llm) => [llm.row.name, ...llm.row.aliases].map((id) => ({ id, llm })));
  return [...(await offeredAgents(deps, req, { llms })), ...named]
    .slice(0, MOST_MODELS)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** A public llm is a way to its pool, for who may call all of that. */
const isWay = (actor: Actor, { row: { kind, poolKey, name } }: LiveLlm): boolean =>
  kind === 'public' && reachOf(actor, { poolKey, llm: name }) === 'pool';

async function offeredAgents(
  deps: EdgeDeps,
  req: Request,
  { llms, name }: { llms: readonly LiveLlm[]; name?: string },
): Promise<Model[]> {
  const actor = actorOf(req);
  const scope = scopeOf(actor, 'run', 'agent');
  const asked = { userId: actor.userId, name, limit: MOST_AGENTS };
  const agents = scope ? await deps.registry.agents.callable({ ...asked, scope }) : [];
  const whyNot = await lookAtPublishers(
    deps.liveness,
    agents.map(({ publisher }) => publisher),
  );
  return agents
    .filter(({ publisher }) => whyNot(publisher) === null)
    .filter((agent) => can(actor, 'run', { resource: 'agent', target: agent }))
    .flatMap((agent) => {
      const llm = roomiest(
        llms.filter(({ row }) => row.poolKey === agent.poolKey && mayServe(agent, row.id)),
      );
      const names = [agent.name, ...agent.personalities.map((personality) => `${agent.name}:${personality}`)];
      return llm ? names.map((id) => ({ id, llm, agent })) : [];
    });
}

/** Of a pool any, or the one alone that an agent is pinned to. */
const mayServe = ({ pinMode, llmId }: Pick<CallableAgent, 'pinMode' | 'llmId'>, id: string): boolean =>
  pinMode === 'pool' || llmId === id;

/** Of those that are offered: what is too long for another goes on to it. */
function roomiest(llms: readonly LiveLlm[]): LiveLlm | undefined {
  const room = ({ row }: LiveLlm): number => row.capabilities.contextLength ?? 0;
  return llms
    .filter(isOffered)
    .reduce<LiveLlm | undefined>((most, llm) => (most && room(most) >= room(llm) ? most : llm), undefined);
}

/** Llms that the caller may run; of more than a picker holds, some of each owner. */
async function liveLlms(deps: EdgeDeps, req: Request): Promise<LiveLlm[]> {
  const actor = actorOf(req);
  const { userId, pools } = actor;
  const within = reachesOf(actor);
  const rows = await deps.registry.llms.callable({ userId, pools, within, limit: MOST_MODELS });
  const mine = rows.filter((row) => reachOf(actor, { poolKey: poolKeyOf(row), llm: row.name }) !== null);
  return deps.liveness.llms(mine);
}

/** The llm that a name, a pool key, an alias or an agent leads to, if the caller may use it now. @throws McpctlError `llm_not_found`. */
export async function modelOf(deps: EdgeDeps, req: Request, id: string): Promise<Model> {
  const resolved = aliasSchema.safeParse(id).success ? await deps.registry.names.resolve(id) : undefined;
  const reach = resolved ? reachOf(actorOf(req), resolved) : null;
  if (resolved && reach !== null) {
    const { agent, poolKey } = resolved;
    const { members } = await deps.liveness.loadPool(poolKey);
    const asked = agent?.personality == null ? id : id.slice(0, id.lastIndexOf(':'));
    const agents = agent === null ? [] : await offeredAgents(deps, req, { llms: members, name: asked });
    const model = agents.find((each) => each.id === id);
    if (model) return model;
    const meant = members.find((m) => m.row.name === resolved.llm);
    const among = reach === 'pool' ? members : members.filter((member) => member === meant);
    const llm = meant && isOffered(meant) ? meant : among.find(isOffered);
    if (llm && agent === null) return { id, llm: meant ?? llm };
  }
  throw new McpctlError('llm_not_found', `There is no model '${id.slice(0, 128)}' that you can use now.`);
}

/** `GET /v1/models` and `/v1/models/<id>`, whose id may hold slashes; in Anthropic's shape for its clients. */
export function modelRoutes(deps: EdgeDeps): Router {
  const router = Router();
  const looking = listsInTurn(deps);
  router.get('/models', looking, async (req, res) => {
    const models = await offered(deps, req);
    if (req.get('anthropic-version') === undefined)
      return void res.json({ object: 'list', data: models.map(openAiView) });
    const data = models.map(anthropicView);
    const [first_id, last_id] = [data[0]?.id ?? null, data.at(-1)?.id ?? null];
    res.json({ data, has_more: false, first_id, last_id });
  });
  router.get('/models/*id', looking);
  router.get('/models/*id', async (req, res) => {
    const model = await modelOf(deps, req, req.params.id.join('/'));
    res.json(req.get('anthropic-version') === undefined ? openAiView(model) : anthropicView(model));
  });
  return router;
}
