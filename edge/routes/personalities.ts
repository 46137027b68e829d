import { Router, type Request, type Response } from 'express';
import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import { didYouMean, nearest } from '../../core/runtime/nearest.ts';
import type { ShownPersonality } from '../../core/registry/agents/personalities.ts';
import { agent } from '../../core/resources/talk/agent.ts';
import { bindingsSchema, personality } from '../../core/resources/talk/personality.ts';
import type { ResourceRow } from '../../core/registry/resources/rows.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { bodyOf, ifMatchOf, showRevision } from '../http/parse.ts';
import { written } from '../http/written.ts';
import { viewsOf } from '../resources/routes.ts';

/** Body of `PUT …/prompts/<prompt>`. */
export const bindingBodySchema = z.strictObject({ priority: z.int().min(0).max(1_000).nullish() });
/** Bodies of a personality whose agent is in the path. */
export const ownPersonalitySchemas = {
  create: personality.schemas.create.omit({ agent: true }),
  change: personality.schemas.change.omit({ agent: true }),
};

interface Named {
  agentName: string;
  all: ShownPersonality[];
}

/** Those of the agent in the path, for whoever it is there for. @throws McpctlError `agent_not_found` */
async function inPath(deps: EdgeDeps, req: Request): Promise<Named> {
  const row = await deps.registry.resources(agent).get(String(req.params['name']), actorOf(req));
  return { agentName: String(row.values['name']), all: await deps.registry.agents.personalities(row.id) };
}

/** By its name or its id. @throws McpctlError `agent_not_found`, `personality_not_found` naming near ones. */
async function oneInPath(deps: EdgeDeps, req: Request): Promise<ShownPersonality> {
  const { agentName, all } = await inPath(deps, req);
  const asked = String(req.params['personality']);
  const one = all.find(({ id, name }) => id === asked || name === asked);
  if (one) return one;
  const near = nearest(
    asked.slice(0, 63),
    all.map(({ name }) => name),
  );
  throw new McpctlError(
    'personality_not_found',
    `The agent '${agentName}' has no personality of that name.${didYouMean(near)}`,
  );
}

type Bindings = z.infer<typeof bindingsSchema>;

/** What two change at once is changed one after the other. */
const MOST_TRIES = 8;

/** Writes the prompts of the personality in the path, made of those that it has. */
async function bind(deps: EdgeDeps, req: Request, made: (now: Bindings) => Bindings): Promise<ResourceRow> {
  const { id, name } = await oneInPath(deps, req);
  const [store, actor] = [deps.registry.resources(personality), actorOf(req)];
  return await written({ ...deps, req }, { verb: 'edit', resource: 'personality', name }, async () => {
    for (let tried = 1; ; tried++) {
      const row = await store.get(id, actor);
      const prompts = made(bindingsSchema.parse(row.values['prompts']));
      try {
        return (await store.change(id, { prompts }, { actor, ifMatch: row.revision })).row;
      } catch (thrown) {
        const moved = thrown instanceof McpctlError && thrown.code === 'stale_revision';
        if (!moved || tried === MOST_TRIES) throw thrown;
      }
    }
  });
}

/** Personalities below their agent: as `/api/v1/personalities` has them, by name. */
export function personalityRoutes(deps: EdgeDeps): Router {
  const router = Router();
  const store = deps.registry.resources(personality);
  const answer = async (req: Request, res: Response, row: ResourceRow): Promise<void> => {
    const [view] = await viewsOf(deps, personality, { rows: [row], actor: actorOf(req) });
    showRevision(res, row);
    res.json(view);
  };
  const [all, one] = ['/agents/:name/personalities', '/agents/:name/personalities/:personality'];
  const prompt = `${one}/prompts/:prompt`;

  router.get(all, async (req, res) => void res.json({ items: (await inPath(deps, req)).all, next: null }));
  router.post(all, async (req, res) => {
    const { agentName } = await inPath(deps, req);
    const fields = bodyOf(req, ownPersonalitySchemas.create);
    const values = { ...fields, agent: agentName };
    const what = { verb: 'create', resource: 'personality', name: String(fields['name']) } as const;
    const { row } = await written({ ...deps, req }, what, () => store.create(values, actorOf(req)));
    res.status(201).location(`/api/v1/personalities/${row.id}`);
    await answer(req, res, row);
  });
  router.get(one, async (req, res) =>
    answer(req, res, await store.get((await oneInPath(deps, req)).id, actorOf(req))),
  );
  router.patch(one, async (req, res) => {
    const { id, name } = await oneInPath(deps, req);
    const values = bodyOf(req, ownPersonalitySchemas.change);
    const what = { verb: 'edit', resource: 'personality', name } as const;
    const by = { actor: actorOf(req), ifMatch: ifMatchOf(req) };
    const { row } = await written({ ...deps, req }, what, () => store.change(id, values, by));
    await answer(req, res, row);
  });
  router.delete(one, async (req, res) => {
    const { id, name } = await oneInPath(deps, req);
    const what = { verb: 'delete', resource: 'personality', name } as const;
    const by = { actor: actorOf(req), ifMatch: ifMatchOf(req) };
    await written({ ...deps, req }, what, () => store.delete(id, by));
    res.status(204).end();
  });
  router.put(prompt, async (req, res) => {
    const { priority = null } = bodyOf(req, bindingBodySchema);
    const asked = String(req.params['prompt']);
    const binding = { prompt: asked, ...(priority !== null && { priority }) };
    const row = await bind(deps, req, (now) => {
      const isThere = now.some((each) => each.prompt === asked);
      return isThere ? now.map((each) => (each.prompt === asked ? binding : each)) : [...now, binding];
    });
    await answer(req, res, row);
  });
  router.delete(prompt, async (req, res) => {
    const asked = String(req.params['prompt']);
    await answer(req, res, await bind(deps, req, (now) => now.filter((each) => each.prompt !== asked)));
  });
  return router;
}
