import { GrowingBytes } from '../../core/text/growing-bytes.ts';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Clock } from '../../core/runtime/clock.ts';
import { isLoopback } from '../../core/runtime/network/loopback.ts';
import { answerChat, failChat, sendError, sendJson } from './chat.ts';
import type { Engine } from './engine.ts';
import { demoModelId } from './model.ts';

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
  const refusal = refusalOf(req);
  if (refusal) return sendError(res, refusal.status, { message: refusal.message });
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

/**
 * A page that somebody is shown in a browser may send requests here: under a name of its own that points to this
 * machine, or as a form, which asks nobody first. Neither is answered.
 */
function refusalOf({
  method,
  headers,
  rawHeaders,
}: IncomingMessage): { status: number; message: string } | null {
  const hosts = rawHeaders.filter((text, at) => at % 2 === 0 && text.toLowerCase() === 'host').length;
  const host = (headers.host ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  if (hosts > 1 || !isLoopback(host.toLowerCase()))
    return {
      status: 421,
      message: 'The demo engine answers to localhost and addresses of this machine alone.',
    };
  if (method === 'POST' && !/^application\/json\s*(;|$)/i.test(headers['content-type'] ?? ''))
    return { status: 415, message: 'Send the body as content-type: application/json.' };
  return null;
}

function modelList(contextLength: number): object {
  const model = { id: demoModelId, object: 'model', created: 0, owned_by: 'mcpctl-demo' };
  const context = { max_model_len: contextLength, context_length: contextLength };
  return { object: 'list', data: [{ ...model, ...context }] };
}

/** The body as text; undefined when it is too large (the rest of it is thrown away). */
async function bodyOf(req: IncomingMessage): Promise<string | undefined> {
  const all = new GrowingBytes(largestBody);
  let isTooLarge = false;
  for await (const piece of req as AsyncIterable<Buffer>) isTooLarge ||= !all.append(piece);
  return isTooLarge ? undefined : all.text();
}
