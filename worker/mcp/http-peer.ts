import { z } from 'zod';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { asWritten, writtenIn, type Written } from '../../core/mcp/pipeline/as-written.ts';
import { anySignal } from '../../core/runtime/any-signal.ts';
import { loopTurn } from '../../core/text/loop-turns.ts';
import { readSse } from '../../core/text/sse.ts';
import { Tail } from './tail.ts';
import { withoutSecrets } from '../children/environment.ts';
import type { Answer, Exchange } from '../providers/http/wire/exchange.ts';
import { ChildFailure, messageSchema, type Answered, type Peer, type RequestOptions } from './child.ts';
import type { Heard } from './supervised.ts';

export interface HttpPeerOptions extends Heard {
  url: URL;
  /** What each request carries besides. */
  headers: Readonly<Record<string, string>>;
  /** Values that are shown to nobody, by the name that is shown in their place. */
  secrets: ReadonlyMap<string, string>;
  /** Of which no connection is used twice: a request that met one that had been closed would be sent again. */
  exchange: Exchange;
}

const MOST_BYTES = 10 * 1024 * 1024;
const LATEST = '2025-11-25';
const LEAVE_MS = 2_000;
/** Answers to what it asks that are on their way at a time; what it asks beyond them has none. */
const MOST_ANSWERING = 8;
/** Of one stream, before others have their turn: others' servers are dialled by the same worker. */
const EVENTS_A_TURN = 50;
/** Nothing was sent where a connection could not be made. */
const unsent = new Set([
  ...['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'],
]);

const initializedSchema = z.looseObject({ protocolVersion: z.string().max(64) });
type Message = z.infer<typeof messageSchema>;

/**
 * A server that is dialled: Streamable HTTP, each request a connection of its own to an address that was checked. Nothing of its callers
 * goes there but the tool's name and arguments; no redirect is followed.
 */
export class HttpPeer implements Peer {
  readonly #options: HttpPeerOptions;
  readonly #over = new AbortController();
  #open = 0;
  #answering = 0;
  #next = 1;
  #session: string | null = null;
  #revision = LATEST;
  #gone = false;

  constructor(options: HttpPeerOptions) {
    this.#options = options;
  }

  get isGone(): boolean {
    return this.#gone;
  }

  /** Nothing of it is heard but its answers. */
  get tells(): boolean {
    return false;
  }

  get open(): number {
    return this.#open;
  }

  /** There is no process. */
  get pid(): undefined {
    return undefined;
  }

  blank(text: string): string {
    return withoutSecrets(text, this.#options.secrets);
  }

  /** There is no process. */
  readonly printed = new Tail({ most: 0, blank: (text) => text, longest: 0 });

  async request(
    method: string,
    params: object,
    { withinMs, signal, onProgress, from }: RequestOptions,
  ): Promise<Answered> {
    if (signal.aborted) throw new ChildFailure('aborted', 'Nobody waits for it.', false);
    if (this.#gone) throw new ChildFailure('gone', 'its session is over', false);
    const id = this.#next++;
    const late = AbortSignal.timeout(withinMs);
    const until = anySignal([signal, late, this.#over.signal]);
    const meta = onProgress ? { _meta: { progressToken: id } } : {};
    this.#open += 1;
    try {
      const message = { jsonrpc: '2.0', id, method, params: { ...params, ...meta } };
      const answer = await this.#send('POST', { message, from, signal: until });
      const answered = await this.#answerIn(answer, { id, onProgress });
      if (method === 'initialize') this.#begun(answer, answered);
      return answered;
    } catch (thrown) {
      if (until.aborted && !this.#over.signal.aborted) {
        const seconds = String(Math.round(withinMs / 1_000));
        this.notify('notifications/cancelled', { requestId: id });
        throw late.aborted
          ? new ChildFailure('timeout', `it did not answer within ${seconds} seconds`, true)
          : new ChildFailure('aborted', 'Nobody waits for it.', true);
      }
      throw this.#failureOf(thrown);
    } finally {
      this.#open -= 1;
    }
  }

  notify(method: string, params: object): void {
    if (!this.#gone) void this.#tell({ jsonrpc: '2.0', method, params });
  }

  async stop(): Promise<void> {
    if (!this.#gone && this.#session !== null) {
      const signal = AbortSignal.timeout(LEAVE_MS);
      const leaving = this.#send('DELETE', { signal }).then((answer) => answer.close('now'));
      await leaving.catch(() => undefined); // it forgets the session by itself
    }
    this.#gone = true;
    this.#over.abort();
  }

  /** Whoever hears no answer to it has nothing to do about that: it never rejects. */
  #tell(message: object): Promise<void> {
    const signal = anySignal([AbortSignal.timeout(LEAVE_MS), this.#over.signal]);
    return this.#send('POST', { message, signal }).then(
      (answer) => answer.close('now'),
      () => undefined,
    );
  }

  #send(
    method: 'POST' | 'DELETE',
    { message, from, signal }: { message?: object; from?: Written | undefined; signal: AbortSignal },
  ): Promise<Answer> {
    const { url, headers, exchange } = this.#options;
    return exchange({
      method,
      url,
      headers: {
        ...headers,
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': this.#revision,
        ...(message && { 'content-type': 'application/json' }),
        ...(this.#session !== null && { 'mcp-session-id': this.#session }),
      },
      ...(message && { body: asWritten(message, from) }),
      signal,
    });
  }

  #begun(answer: Answer, answered: Answered): void {
    this.#session = answer.header('mcp-session-id') ?? null;
    const { data } = initializedSchema.safeParse('result' in answered ? answered.result : null);
    if (data) this.#revision = data.protocolVersion;
  }

  async #answerIn(
    answer: Answer,
    of: { id: number; onProgress: RequestOptions['onProgress'] },
  ): Promise<Answered> {
    try {
      if (answer.status === 404 && this.#session !== null) {
        this.#ended('forgot its session');
        throw new ChildFailure('gone', 'it forgot its session', false);
      }
      if (answer.contentType.startsWith('text/event-stream')) return await this.#streamed(answer, of);
      const text = await answer.text(MOST_BYTES);
      if (text === undefined) throw tooLarge();
      const from = writtenIn(text);
      const answered = answeredIn(messageSchema.safeParse(from.value).data, { from, id: of.id });
      if (answered) return answered;
      throw new ChildFailure('gone', refusal(answer.status), true);
    } finally {
      answer.close('now');
    }
  }

  async #streamed(
    answer: Answer,
    { id, onProgress }: { id: number; onProgress: RequestOptions['onProgress'] },
  ): Promise<Answered> {
    if (answer.status >= 300) throw new ChildFailure('gone', refusal(answer.status), true);
    let events = 0;
    for await (const { data } of readSse(counted(answer.bytes()), { most: MOST_BYTES })) {
      if (++events % EVENTS_A_TURN === 0) await loopTurn(this.#options.url.host);
      if (!/^\s*\{/.test(data)) continue; // no message
      const from = writtenIn(data);
      const message = messageSchema.safeParse(from.value).data;
      if (!message) continue;
      const answered = answeredIn(message, { from, id });
      if (answered) return answered;
      if (message.method === 'notifications/progress') {
        if (message.params?.progressToken === id) onProgress?.(message.params);
      } else this.#asked(message);
    }
    throw new ChildFailure('gone', 'its stream ended without an answer', true);
  }

  /** It may ask nothing of us: it was told of no capabilities. */
  #asked({ method, id }: Message): void {
    if (method === undefined) return;
    if (/^notifications\/(tools|prompts|resources)\/list_changed$/.test(method))
      return this.#options.onListChanged();
    if (id === undefined || id === null || this.#answering >= MOST_ANSWERING) return;
    this.#answering += 1;
    void this.#tell({
      ...{ jsonrpc: '2.0', id },
      ...(method === 'ping' ? { result: {} } : { error: { code: -32601, message: 'Method not found' } }),
    }).finally(() => (this.#answering -= 1));
  }

  #ended(why: string): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#options.onExit(why);
  }

  #failureOf(thrown: unknown): ChildFailure {
    if (thrown instanceof ChildFailure) return thrown;
    if (thrown instanceof McpctlError && thrown.code === 'address_refused')
      return new ChildFailure('gone', `address_refused: ${thrown.message}`, false);
    if (thrown instanceof McpctlError && thrown.code === 'bad_answer') return tooLarge();
    const code = codeOf(thrown);
    const why = code ?? this.blank(messageOf(thrown));
    return new ChildFailure(
      'gone',
      `it could not be asked (${why})`,
      code === undefined || !unsent.has(code),
    );
  }
}

const tooLarge = (): ChildFailure => new ChildFailure('too_large', 'its answer is larger than 10 MiB', true);

function refusal(status: number): string {
  if (status >= 300 && status < 400)
    return `it answered with a redirect (${String(status)}), which is not followed`;
  if (status === 401 || status === 403)
    return `it refused what it was given to sign in with (${String(status)})`;
  return `it answered in no form that is known (${String(status)})`;
}

function answeredIn(
  message: Message | undefined,
  { from, id }: { from: Written; id: number },
): Answered | undefined {
  if (message?.id !== id || message.method !== undefined) return undefined;
  const { result, error } = message;
  return error ? { error } : { result, from };
}

function codeOf(thrown: unknown): string | undefined {
  const { code } = (thrown ?? {}) as { code?: unknown };
  return typeof code === 'string' && /^[A-Z_]{1,64}$/.test(code) ? code : undefined;
}

async function* counted(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let length = 0;
  for await (const piece of bytes) {
    length += piece.byteLength;
    if (length > MOST_BYTES) throw tooLarge();
    yield piece;
  }
}
