import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Clock } from '../../core/runtime/clock.ts';
import { answerChat, failChat } from './chat.ts';
import type { Engine } from './engine.ts';
import { demoModelId } from './model.ts';
import { sendError, sendJson } from './reply.ts';

const largestBody = 8 * 1024 * 1024;

export interface DemoServerDeps {
  /** Undefined while it loads. */
  engine: () => Engine | undefined;
  clock: Clock;
}

/** The demo engine's HTTP face: OpenAI's chat, the list of its one model, and `/health`. */
export function createDemoServer(deps: DemoServerDeps): Server {
  return createServer((req, res) => {
    route(deps, req, res).catch((thrown: unknown) => failChat(res, thrown));
  });
}

async function route(deps: DemoServerDeps, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const engine = deps.engine();
  if (!engine) return sendError(res, 503, { message: 'Loading model', type: 'unavailable_error' });
  const path = (req.url ?? '').split('?')[0];
  const asked = `${req.method === 'HEAD' ? 'GET' : (req.method ?? '')} ${path ?? ''}`;
  if (asked === 'GET /health') return sendJson(res, 200, { status: 'ok' });
  if (asked === 'GET /v1/models') return sendJson(res, 200, modelList(engine.contextLength));
  if (asked !== 'POST /v1/chat/completions') {
    return sendError(res, 404, { message: 'The demo engine serves /v1/chat/completions and /v1/models.' });
  }
  const text = await bodyOf(req);
  if (text === undefined) return sendError(res, 413, { message: 'The body is larger than 8 MiB.' });
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return sendError(res, 400, { message: 'The body is not valid JSON.' });
  }
  await answerChat({ engine, clock: deps.clock }, body, res);
}

function modelList(contextLength: number): object {
  const model = { id: demoModelId, object: 'model', created: 0, owned_by: 'mcpctl-demo' };
  const context = { max_model_len: contextLength, context_length: contextLength };
  return { object: 'list', data: [{ ...model, ...context }] };
}

/** The body as text; undefined when it is too large (the rest of it is thrown away). */
async function bodyOf(req: IncomingMessage): Promise<string | undefined> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of req as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size <= largestBody) pieces.push(piece);
  }
  return size > largestBody ? undefined : Buffer.concat(pieces).toString('utf8');
}
