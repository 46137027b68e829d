import { Router, type Request, type Response } from 'express';
import { spliceMembers } from '../../core/text/json-text.ts';
import type { Json } from '../../core/translate/json.ts';
import type { EdgeDeps } from '../deps.ts';
import { actorOf } from '../http/context.ts';
import { infer } from '../inference/infer.ts';
import { Report } from '../inference/answer/report.ts';
import { modelOf } from '../openai/models.ts';
import { bodyOf } from '../http/parse.ts';
import { OllamaEmbeddingsForm, OllamaForm, type OllamaCall } from './form.ts';
import { ollamaModelRoutes, nameOf } from './models.ts';
import {
  chatOf,
  chatOfGenerate,
  chatSchema,
  embeddingsSchema,
  embedSchema,
  generateSchema,
  isOnlyLoading,
} from './request.ts';

const whole = { forInference: 'whole' } as const;

/** A chat, under the model's name here. */
interface Chat {
  call: OllamaCall;
  /** In OpenAI's words. */
  body: Json;
  loading: boolean;
}

async function chat(
  deps: EdgeDeps,
  { req, res }: { req: Request; res: Response },
  asked: Chat,
): Promise<void> {
  const model = await nameOf(deps, actorOf(req), String(asked.body['model']));
  if (asked.loading) return await answerLoaded(deps, { req, res }, { ...asked, model });
  res.set('x-mcpctl-translated', 'ollama->chat');
  const now = (): number => deps.clock.elapsed();
  await infer(
    deps,
    { req, res },
    {
      source: 'v1',
      operation: 'chat',
      as: {
        body: JSON.stringify({ ...asked.body, model }),
        form: (options) => new OllamaForm(asked.call, options, { now, startedAt: req.context.startedAt }),
      },
    },
  );
}

/** Who says nothing wants the model to be loaded: its worker does that by itself. */
async function answerLoaded(
  deps: EdgeDeps,
  { req, res }: { req: Request; res: Response },
  { call, model }: { call: OllamaCall; model: string },
): Promise<void> {
  const report = new Report(deps, req, { source: 'v1', llm: model });
  try {
    await modelOf(deps, req, model);
  } catch (thrown) {
    report.failed(thrown);
    throw thrown;
  }
  const empty = call === 'chat' ? { message: { role: 'assistant', content: '' } } : { response: '' };
  const created_at = new Date(deps.clock.now()).toISOString();
  res.json({ model, created_at, ...empty, done: true, done_reason: 'load' });
  report.finish(200, null);
}

async function embed(
  deps: EdgeDeps,
  { req, res }: { req: Request; res: Response },
  { body, older }: { body: Json; older: boolean },
): Promise<void> {
  const model = JSON.stringify(await nameOf(deps, actorOf(req), String(body['model'])));
  const text = JSON.stringify(body);
  res.set('x-mcpctl-translated', 'ollama->embeddings');
  await infer(
    deps,
    { req, res },
    {
      source: 'v1',
      operation: 'embeddings',
      as: {
        body: spliceMembers(text, { model }) ?? text,
        form: (options) => new OllamaEmbeddingsForm(options, older),
      },
    },
  );
}

/**
 * Ollama's own protocol, for clients that know no other (docs/translation.md): translated to chat and embeddings, through
 * the same door as every other call.
 */
export function ollamaRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.use(ollamaModelRoutes(deps));
  router.post('/chat', async (req, res) => {
    const body = bodyOf(req, chatSchema, whole);
    await chat(deps, { req, res }, { call: 'chat', body: chatOf(body), loading: isOnlyLoading(body) });
  });
  router.post('/generate', async (req, res) => {
    const body = bodyOf(req, generateSchema, whole);
    await chat(
      deps,
      { req, res },
      {
        call: 'generate',
        body: chatOfGenerate(body),
        loading: isOnlyLoading(body),
      },
    );
  });
  router.post('/embed', async (req, res) => {
    const { model, input, dimensions } = bodyOf(req, embedSchema, whole);
    const body = { model, input, ...(dimensions == null ? {} : { dimensions }) };
    await embed(deps, { req, res }, { body, older: false });
  });
  router.post('/embeddings', async (req, res) => {
    const { model, prompt } = bodyOf(req, embeddingsSchema, whole);
    await embed(deps, { req, res }, { body: { model, input: [prompt] }, older: true });
  });
  return router;
}
