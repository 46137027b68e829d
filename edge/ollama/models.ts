import { createHash } from 'node:crypto';
import { Router } from 'express';
import type { Actor } from '../../core/access.ts';
import type { Resolved } from '../believed/known-pools.ts';
import type { EdgeDeps } from '../deps.ts';
import { modelOf, offered, type Model } from '../openai/models.ts';
import { actorOf } from '../http/context.ts';
import { bodyOf } from '../http/parse.ts';
import { isThere } from '../inference/ask/target.ts';
import { showSchema } from './request.ts';
import { listsInTurn } from '../limits/turns.ts';
import { aliasSchema } from '../../core/names.ts';

/** Clients compare versions with what they need; this is the protocol that is spoken here. */
const VERSION = '0.12.0';

const details = (model: Model) => ({
  parent_model: '',
  format: '',
  family: model.llm.row.type,
  families: [model.llm.row.type],
  parameter_size: '',
  quantization_level: '',
});

/** What is not known here (a model's bytes, its digest) is empty or made up of what is. */
function listed(model: Model) {
  const { id, llm } = model;
  return {
    name: id,
    model: id,
    modified_at: llm.row.updatedAt.toISOString(),
    size: 0,
    digest: createHash('sha256').update(`${id} ${llm.row.model}`).digest('hex'),
    details: details(model),
  };
}

function shown(model: Model) {
  const { row } = model.llm;
  const { contextLength, tools, vision, operations } = row.capabilities;
  const embeds =
    operations !== undefined && !operations.includes('chat') && operations.includes('embeddings');
  return {
    modelfile: '',
    parameters: '',
    template: '',
    details: details(model),
    model_info: {
      'general.architecture': 'mcpctl',
      'general.basename': model.id,
      ...(contextLength === undefined ? {} : { 'mcpctl.context_length': contextLength }),
    },
    capabilities: [
      embeds ? 'embedding' : 'completion',
      ...(tools === false || embeds ? [] : ['tools']),
      ...(vision === true ? ['vision'] : []),
      ...(row.capabilities.reasoning === true ? ['thinking'] : []),
    ],
    modified_at: row.updatedAt.toISOString(),
  };
}

/** What Ollama's clients ask before they chat: the version, the models, one of them, which are loaded. */
export function ollamaModelRoutes(deps: EdgeDeps): Router {
  const router = Router();
  const looking = listsInTurn(deps);
  router.get('/version', (_req, res) => void res.json({ version: VERSION }));
  router.get(
    '/tags',
    looking,
    async (req, res) => void res.json({ models: (await offered(deps, req)).map(listed) }),
  );
  router.get('/ps', looking, async (req, res) => {
    const awake = (await offered(deps, req)).filter(({ llm }) => llm.status === 'active');
    const expires_at = new Date(deps.clock.now() + 300_000).toISOString();
    res.json({ models: awake.map((model) => ({ ...listed(model), expires_at, size_vram: 0 })) });
  });
  router.post('/show', looking, async (req, res) => {
    const { model, name } = bodyOf(req, showSchema);
    res.json(shown(await modelOf(deps, req, await nameOf(deps, actorOf(req), model ?? name ?? ''))));
  });
  return router;
}

const LATEST = ':latest';

/** Ollama's clients add `:latest` to a name without a tag: what has no such name is meant without it. */
export async function nameOf(
  { knownPools }: Pick<EdgeDeps, 'knownPools'>,
  actor: Actor,
  asked: string,
): Promise<string> {
  if (!asked.endsWith(LATEST) || !aliasSchema.safeParse(asked).success) return asked;
  const isSeen = (resolved: Resolved): boolean => isThere(resolved, actor);
  const recalled = await knownPools.recall(asked);
  const isName = (recalled && isSeen(recalled.resolved)) || (await knownPools.ask(asked, isSeen));
  return isName ? asked : asked.slice(0, -LATEST.length);
}
