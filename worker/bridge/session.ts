import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { anySignal } from '../../core/runtime/any-signal.ts';
import { textWithin } from '../../core/text/growing-bytes.ts';
import { jsonValue } from '../../core/text/json-text.ts';
import { headersOf, messageOf, type Message } from './message.ts';
import type { EndpointAnswer, ProjectEndpoint } from './project-endpoint.ts';

const MOST_ANSWER_BYTES = 64 * 1024 * 1024;
/** An edge that says nothing keeps nobody longer: who waits is told that the session is over. */
const BEGIN_WITHIN_MS = 60_000;
const SESSION = 'mcp-session-id';

const initializedSchema = z.looseObject({ result: z.looseObject({ protocolVersion: z.string() }) });

export interface Sent {
  message: Message;
  line: string;
  signal: AbortSignal;
}

export interface BridgeSessionDeps {
  endpoint: ProjectEndpoint;
  project: string;
  /** A minute unless told. */
  beginWithinMs?: number;
}

/**
 * What HTTP asks for beside a message, and a client over a pipe knows nothing of: the session that the edge began, and the
 * revision that was agreed on.
 */
export class BridgeSession {
  readonly #endpoint: ProjectEndpoint;
  readonly #project: string;
  readonly #beginWithinMs: number;
  /** Makes a call that is sent again the same call, where no session does. */
  readonly #itself = randomUUID();
  #id: string | null = null;
  #revision: string | null = null;
  /** What the client began with, to begin anew with. */
  #first: string | null = null;
  #beginning: Promise<boolean> | undefined;

  constructor({ endpoint, project, beginWithinMs = BEGIN_WITHIN_MS }: BridgeSessionDeps) {
    this.#endpoint = endpoint;
    this.#project = project;
    this.#beginWithinMs = beginWithinMs;
  }

  /** Null before the edge has begun one. */
  get id(): string | null {
    return this.#id;
  }

  /** @throws McpctlError `server_unreachable`. */
  post({ message, line, signal }: Sent): Promise<EndpointAnswer> {
    const isFirst = message.method === 'initialize';
    if (isFirst) this.#first = line;
    const isKeyed = this.#id === null && message.method === 'tools/call' && message.id !== undefined;
    const headers = {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      ...(isFirst ? {} : this.#headers()),
      ...headersOf(message),
      ...(isKeyed ? { 'idempotency-key': `${this.#itself}:${String(message.id).slice(0, 200)}` } : {}),
    };
    return this.#endpoint.call(this.#project, { method: 'POST', headers, body: line, signal });
  }

  /** The stream of the session, or that of an event that came last. @throws McpctlError `server_unreachable`. */
  get(after: string | null, signal: AbortSignal): Promise<EndpointAnswer> {
    const headers = {
      accept: 'text/event-stream',
      ...this.#headers(),
      ...(after === null ? {} : { 'last-event-id': after }),
    };
    return this.#endpoint.call(this.#project, { method: 'GET', headers, signal });
  }

  /** The edge has answered the client's first message. */
  initialized(json: unknown, headers: EndpointAnswer['headers']): void {
    const answer = initializedSchema.safeParse(json);
    if (!answer.success) return;
    this.#revision = answer.data.result.protocolVersion;
    this.#id = headers.get(SESSION) ?? null;
  }

  /** Many find at once that the session `over` is; another is begun once. @returns whether there is one. */
  async beginAnew(over: string | null, signal: AbortSignal): Promise<boolean> {
    if (this.#id !== over && this.#id !== null) return true;
    this.#beginning ??= this.#begin(signal).finally(() => (this.#beginning = undefined));
    return await this.#beginning;
  }

  async #begin(over: AbortSignal): Promise<boolean> {
    const signal = anySignal([over, AbortSignal.timeout(this.#beginWithinMs)]);
    const line = this.#first;
    const message = line === null ? undefined : messageOf(jsonValue(line));
    if (line === null || !message) return false;
    this.#id = null;
    try {
      const { status, headers, body } = await this.post({ message, line, signal });
      const text = await textWithin(body, MOST_ANSWER_BYTES);
      if (status !== 200 || text === undefined) return false;
      this.initialized(jsonValue(isStream(headers) ? lastDataIn(text) : text), headers);
      const begun = { jsonrpc: '2.0', method: 'notifications/initialized' } as const;
      (await this.post({ message: begun, line: JSON.stringify(begun), signal })).body.destroy();
      return true;
    } catch {
      return false; // it is tried again by whoever waits
    }
  }

  #headers(): Record<string, string> {
    return {
      ...(this.#revision === null ? {} : { 'mcp-protocol-version': this.#revision }),
      ...(this.#id === null ? {} : { [SESSION]: this.#id }),
    };
  }
}

export const isStream = (headers: EndpointAnswer['headers']): boolean =>
  headers.get('content-type')?.startsWith('text/event-stream') ?? false;

/** Of a short stream that is all there. */
function lastDataIn(text: string): string {
  const data = text.split('\n').filter((line) => line.startsWith('data:'));
  return data.at(-1)?.slice('data:'.length).trim() ?? '';
}
