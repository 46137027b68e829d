import { z } from 'zod';
import { leftSchema } from '../../core/access/join-code.ts';
import { apiErrorSchema } from '../../core/api-error.ts';
import { isErrorCode, McpctlError } from '../../core/errors.ts';
import type { Network } from '../../core/runtime/network/network.ts';
import { textWithin } from '../../core/text/growing-bytes.ts';

const WITHIN_MS = 15_000;
const MOST_BYTES = 4 * 1024 * 1024;

interface ServerCall {
  method: 'GET' | 'POST' | 'DELETE';
  /** Under the server's URL. */
  path: string;
  token?: string;
  body?: unknown;
  /** 15 s unless told. */
  withinMs?: number;
}

export interface ServerAnswer {
  status: number;
  json: unknown;
  /** `date` as the server says it. */
  date: string | undefined;
}

/** `https://mcpctl.example`: what somebody typed, without what follows the path. @throws McpctlError `usage` */
export function serverUrl(text: string): string {
  const whole = text.includes('://') ? text : `https://${text}`;
  const url = URL.canParse(whole) ? new URL(whole) : undefined;
  const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (!url || !isWeb || url.username !== '' || url.password !== '')
    throw new McpctlError('usage', `'${text}' is no server's address; write it like https://mcpctl.example.`);
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

/** One call to the server. @throws McpctlError `server_unreachable`, and what the server refuses with, with its sentence. */
export async function callServer(
  network: Network,
  server: string,
  { method, path, token, body, withinMs = WITHIN_MS }: ServerCall,
): Promise<ServerAnswer> {
  const url = new URL(server + path);
  let status: number;
  let text: string | undefined;
  let date: string | undefined;
  const signal = AbortSignal.timeout(withinMs);
  // The dispatcher hears of the signal only once it is connected.
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as DOMException), { once: true });
  });
  try {
    const asked = network.dispatcher.request({
      ...{ origin: url.origin, path: url.pathname + url.search, method },
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal,
    });
    const answer = await Promise.race([asked, late]);
    status = answer.statusCode;
    date = [answer.headers['date']].flat()[0];
    text = await textWithin(answer.body as AsyncIterable<Uint8Array>, MOST_BYTES);
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === 'TimeoutError')
      throw new McpctlError('server_unreachable', `${url.origin} does not answer.`);
    throw new McpctlError('server_unreachable', network.trouble(url, thrown), { cause: thrown });
  }
  const json = jsonOf(text);
  if (status < 400) return { status, json, date };
  const refused = apiErrorSchema.safeParse(json).data ?? ofV1Schema.safeParse(json).data;
  if (refused && isErrorCode(refused.code)) throw new McpctlError(refused.code, refused.error);
  throw new McpctlError(
    'bad_answer',
    `${url.origin} answered ${String(status)} and no more: is it an mcpctl server, of this release?`,
  );
}

/** An answer that is not understood is not repeated: a credential may be in it. @throws McpctlError `bad_answer` */
export function understood<T>(schema: z.ZodType<T>, json: unknown): T {
  const { success, data } = schema.safeParse(json);
  if (success) return data;
  throw new McpctlError(
    'bad_answer',
    'The server answered in no form that is known here; is it of this release?',
  );
}

/** As `/v1` answers. */
const ofV1Schema = z
  .looseObject({ error: z.looseObject({ message: z.string(), code: z.string().nullish() }) })
  .transform(({ error }) => ({
    error: error.message,
    code: isErrorCode(error.code ?? '') ? (error.code ?? '') : 'backend_error',
  }));

function jsonOf(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined; // a proxy's page; the status is what counts
  }
}

/** A server that was joined, and the credential of this machine there. */
export interface JoinedServer {
  server: string;
  token: string;
}

/** Ends a worker's own credential, and all that is published with it. @returns what the server deleted; null: it knew the credential no more. */
export async function ended(
  network: Network,
  { server, token }: JoinedServer,
): Promise<{ llms: string[]; kept: string[] } | null> {
  try {
    const call = { method: 'POST', path: '/api/v1/leave', token, body: {} } as const;
    return understood(leftSchema, (await callServer(network, server, call)).json);
  } catch (thrown) {
    if (thrown instanceof McpctlError && thrown.code === 'unauthenticated') return null;
    throw thrown;
  }
}
