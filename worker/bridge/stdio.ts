import type { Readable, Writable } from 'node:stream';
import { z } from 'zod';
import { McpctlError, messageOf as sentenceOf } from '../../core/errors.ts';
import { anySignal } from '../../core/runtime/any-signal.ts';
import { pause, type Clock } from '../../core/runtime/clock.ts';
import { textWithin } from '../../core/text/growing-bytes.ts';
import { jsonValue } from '../../core/text/json-text.ts';
import { readSse } from '../../core/text/sse.ts';
import { Lines } from '../mcp/lines.ts';
import { messageOf, refusal, type Message, type MessageId } from './message.ts';
import type { EndpointAnswer } from './project-endpoint.ts';
import { BridgeSession, isStream, type BridgeSessionDeps } from './session.ts';

export interface BridgeDeps extends BridgeSessionDeps {
  clock: Clock;
  input: Readable;
  output: Writable;
  /** A sentence for the person whose client this serves. */
  note: (sentence: string) => void;
}

const MOST_LINE_BYTES = 10 * 1024 * 1024;
const MOST_ANSWER_BYTES = 64 * 1024 * 1024;
/** Requests under way: a client has as many as its model makes calls at once. */
const MOST_OPEN = 256;
/** So long an edge may be away, and a call of it be made again: within a session, or under its key, it is the same call. */
const PATIENCE_MS = 60_000;
/** No call takes longer, its wait counted in. */
const LONGEST_CALL_MS = 2 * 3_600_000;
const FIRST_MS = 250;
const LONGEST_MS = 10_000;
const LOST =
  'The session is over, and what became of this call is not known. Look before you repeat it, and begin anew.';

/** As JSON-RPC says it, and as the edge does of what is none. */
const failureSchema = z.union([
  z.looseObject({ error: z.looseObject({ message: z.string(), code: z.number() }) }),
  z.looseObject({ error: z.string(), code: z.string() }),
]);

/** One try of a request. `again`: the edge was away, or is full, and may be asked once more. */
type Tried =
  | { kind: 'answered' }
  | { kind: 'again'; why: string; afterMs?: number }
  | { kind: 'begin-anew' }
  | { kind: 'refused'; why: string };

interface Request {
  id: MessageId;
  message: Message;
  line: string;
  signal: AbortSignal;
  /** The last event of its stream that was passed on. */
  after: string | null;
  /** A try of it broke off: the edge may have it. */
  mayRun: boolean;
  isBegunAnew: boolean;
  /** In which it was sent last. */
  session: string | null;
}

/**
 * An MCP server over input and output whose tools are those of a project: each message goes to the edge as it is. What HTTP
 * asks for beside the message is kept here: the session, which is begun anew when the edge knows it no more, and the place in
 * a stream that broke off. Nothing but messages goes to the output.
 */
export class StdioBridge {
  readonly #deps: BridgeDeps;
  readonly #over = new AbortController();
  readonly #open = new Map<MessageId, AbortController>();
  readonly #session: BridgeSession;
  #listens = false;
  #written: Promise<void> = Promise.resolve();

  constructor(deps: BridgeDeps) {
    this.#deps = deps;
    this.#session = new BridgeSession(deps);
  }

  /** Serves until the input ends, or `stop`. */
  async run(): Promise<void> {
    const { input } = this.#deps;
    const lines = new Lines({
      most: MOST_LINE_BYTES,
      onLine: (line) => this.#hear(line),
      onTooLong: () => {
        this.#write(refusal(null, -32_700, 'A message of more than 10 MiB is not taken.'));
        this.stop();
      },
    });
    const onAbort = (): void => void input.destroy();
    this.#over.signal.addEventListener('abort', onAbort, { once: true });
    try {
      for await (const piece of input) lines.push(piece as Buffer);
    } catch (thrown) {
      if (!this.#over.signal.aborted) throw thrown;
    } finally {
      this.stop();
      await this.#written;
    }
  }

  stop(): void {
    this.#over.abort();
    for (const open of this.#open.values()) open.abort();
  }

  #hear(line: string): void {
    const json = jsonValue(line);
    const message = messageOf(json);
    if (!message) {
      const [code, what] = json === undefined ? [-32_700, 'JSON'] : [-32_600, 'JSON-RPC 2.0 message'];
      return this.#write(refusal(null, code, `A line of the input is no ${what}.`));
    }
    const { id, method } = message;
    if (id === undefined || method === undefined) return void this.#tell(message, line);
    if (this.#open.size >= MOST_OPEN || this.#open.has(id))
      return this.#write(refusal(id, -32_600, 'Too many requests are open, or one with this id is.'));
    const open = new AbortController();
    this.#open.set(id, open);
    const signal = anySignal([open.signal, AbortSignal.timeout(LONGEST_CALL_MS)]);
    const request = {
      id,
      message,
      line,
      signal,
      after: null,
      mayRun: false,
      isBegunAnew: false,
      session: null,
    };
    void this.#ask(request)
      .catch((thrown: unknown) => this.#write(refusal(id, -32_603, sentenceOf(thrown))))
      .finally(() => this.#open.delete(id));
  }

  /** A notification, or an answer: nothing comes back. */
  async #tell(message: Message, line: string): Promise<void> {
    const signal = anySignal([this.#over.signal, AbortSignal.timeout(PATIENCE_MS)]);
    try {
      const answer = await this.#session.post({ message, line, signal });
      answer.body.destroy();
    } catch (thrown) {
      if (!this.#over.signal.aborted) this.#deps.note(sentenceOf(thrown));
    }
    if (message.method === 'notifications/initialized') void this.#listen();
  }

  async #ask(request: Request): Promise<void> {
    const { clock } = this.#deps;
    const until = clock.elapsed() + PATIENCE_MS;
    for (let waitMs = FIRST_MS; ; waitMs = Math.min(LONGEST_MS, waitMs * 2)) {
      const tried = await this.#try(request);
      if (this.#over.signal.aborted || tried.kind === 'answered') return;
      if (tried.kind === 'refused') return this.#write(refusal(request.id, -32_000, tried.why));
      if (tried.kind === 'begin-anew' && (await this.#beginAnew(request))) continue;
      const why = tried.kind === 'again' ? tried.why : LOST;
      const afterMs = (tried.kind === 'again' ? tried.afterMs : undefined) ?? waitMs;
      const isOver = tried.kind === 'begin-anew' || clock.elapsed() + afterMs > until;
      if (isOver || request.signal.aborted) return this.#write(refusal(request.id, -32_000, why));
      await pause(afterMs * (0.5 + clock.random() / 2), request.signal);
    }
  }

  async #try(request: Request): Promise<Tried> {
    let answer: EndpointAnswer;
    request.session = this.#session.id;
    try {
      answer =
        request.after === null
          ? await this.#session.post(request)
          : await this.#session.get(request.after, request.signal);
    } catch (thrown) {
      request.mayRun = true;
      return { kind: 'again', why: sentenceOf(thrown) };
    }
    const { status, headers } = answer;
    try {
      if (status === 200 && isStream(headers)) return await this.#passStream(request, answer);
      const text = await textWithin(answer.body, MOST_ANSWER_BYTES);
      if (text === undefined) return { kind: 'refused', why: 'The answer is larger than 64 MiB.' };
      if (status === 200) return this.#passWhole(request, { text, headers });
      return this.#failed(request, { status, text, headers });
    } catch (thrown) {
      request.mayRun = true;
      return { kind: 'again', why: `The answer broke off: ${sentenceOf(thrown)}` };
    } finally {
      answer.body.destroy();
    }
  }

  #passWhole(
    { message }: Request,
    { text, headers }: { text: string; headers: EndpointAnswer['headers'] },
  ): Tried {
    const json = jsonValue(text);
    if (json === undefined) return { kind: 'refused', why: 'The edge answered with what is no JSON.' };
    if (message.method === 'initialize') this.#session.initialized(json, headers);
    this.#writeAsIs(text);
    return { kind: 'answered' };
  }

  /** Each event is a message; the one that answers is the last. */
  async #passStream(request: Request, { body, headers }: EndpointAnswer): Promise<Tried> {
    for await (const { id, data } of readSse(body, { ids: true, most: MOST_ANSWER_BYTES })) {
      const json = data === '' ? undefined : jsonValue(data);
      if (json !== undefined) this.#writeAsIs(data);
      if (id !== undefined) request.after = id;
      const message = messageOf(json);
      if (message?.id !== request.id || message.method !== undefined) continue;
      if (request.message.method === 'initialize') this.#session.initialized(json, headers);
      return { kind: 'answered' };
    }
    request.mayRun = true;
    return { kind: 'again', why: 'The answer broke off.' };
  }

  #failed(
    request: Request,
    { status, text, headers }: { status: number; text: string; headers: EndpointAnswer['headers'] },
  ): Tried {
    const failure = failureSchema.safeParse(jsonValue(text)).data;
    const rpc = typeof failure?.error === 'object' ? failure.error : undefined;
    const sentence = typeof failure?.error === 'string' ? failure.error : undefined;
    const why = rpc?.message ?? sentence ?? `The edge answered HTTP ${String(status)}.`;
    if ([429, 502, 503, 504].includes(status)) {
      const seconds = Number(headers.get('retry-after'));
      return { kind: 'again', why, ...(seconds > 0 ? { afterMs: seconds * 1_000 } : {}) };
    }
    const isOver = status === 404 && failure?.['code'] === 'mcp_session_not_found';
    if (isOver && request.session !== null && request.message.method !== 'initialize')
      return { kind: 'begin-anew' };
    if (status === 401) return { kind: 'refused', why: `${why} Run "mcpctl login" on this machine.` };
    if (!rpc) return { kind: 'refused', why };
    // The answer, with what it says beside the sentence.
    this.#write(JSON.stringify({ jsonrpc: '2.0', id: request.id, error: rpc }));
    return { kind: 'answered' };
  }

  /** A call that may run goes into no other session, where it would be another call. @returns whether it may be made again. */
  async #beginAnew(request: Request): Promise<boolean> {
    if (request.isBegunAnew || (request.mayRun && request.message.method === 'tools/call')) return false;
    request.isBegunAnew = true;
    return await this.#session.beginAnew(request.session, this.#over.signal);
  }

  /** What the server says of its own accord, for as long as there is such a stream. */
  async #listen(): Promise<void> {
    if (this.#listens) return;
    this.#listens = true;
    const { signal } = this.#over;
    let after: string | null = null;
    for (let waitMs = FIRST_MS; !signal.aborted; waitMs = Math.min(LONGEST_MS * 3, waitMs * 2)) {
      try {
        const { status, headers, body } = await this.#session.get(after, signal);
        if (status === 200 && isStream(headers)) {
          waitMs = FIRST_MS;
          for await (const { id, data } of readSse(body, { ids: true, most: MOST_ANSWER_BYTES })) {
            after = id ?? after;
            if (data !== '' && jsonValue(data) !== undefined) this.#writeAsIs(data);
          }
        } else body.destroy();
        if (status === 405) return; // there is none
        if (status === 400 || status === 404 || status === 410) after = null;
      } catch (thrown) {
        if (signal.aborted) return;
        this.#deps.note(`${sentenceOf(thrown)} It is tried again.`);
      }
      await pause(waitMs, signal);
    }
  }

  /** JSON has ends of lines only where they mean nothing. */
  #writeAsIs(json: string): void {
    this.#write(json.replaceAll(/[\r\n]+/g, ' '));
  }

  /** In the order in which it was said; a reader who is slow is waited for. */
  #write(line: string): void {
    const { output } = this.#deps;
    this.#written = this.#written.then(
      () => new Promise((resolve) => output.write(`${line}\n`, () => resolve())),
    );
  }
}

/** A project's name is one segment of a path. @throws McpctlError `usage`. */
export function projectNamed(name: string | undefined): string {
  if (name !== undefined && /^[a-z0-9]([a-z0-9.-]{0,126}[a-z0-9])?$/i.test(name)) return name;
  throw new McpctlError(
    'usage',
    'Say which project: mcplocal mcp connect PROJECT. See "mcpctl get project".',
  );
}
