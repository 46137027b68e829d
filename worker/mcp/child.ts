import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { z } from 'zod';
import { messageOf } from '../../core/errors.ts';
import { shownInLine } from '../../core/names.ts';
import { stopGroup } from '../../core/runtime/process/stop-group.ts';
import { asWritten, type Written } from '../../core/mcp/pipeline/as-written.ts';
import { jsonValue } from '../../core/text/json-text.ts';
import { storableSentence } from '../../core/text/storable.ts';
import { withoutSecrets } from '../children/environment.ts';
import { notStarted, spawnGated } from '../children/gated.ts';
import type { GroupGuard } from '../children/guard.ts';
import { Lines } from './lines.ts';
import { readInTurns } from './turns.ts';
import { Tail } from './tail.ts';

/** Why a request to a child came to no answer; `sent`: it may have done what was asked. */
export class ChildFailure extends Error {
  readonly code: 'gone' | 'timeout' | 'too_large' | 'aborted';
  readonly sent: boolean;

  constructor(code: ChildFailure['code'], message: string, sent: boolean) {
    super(message);
    this.code = code;
    this.sent = sent;
  }
}

/** What speaks for a server: a process, or who dials one. */
export type Peer = Pick<
  Child,
  'request' | 'notify' | 'stop' | 'blank' | 'isGone' | 'open' | 'pid' | 'printed' | 'tells'
>;

/** As JSON-RPC has it: a result, or an error of the server's own. */
export type Answered = (
  { result: unknown } | { error: { code: number; message: string; data?: unknown } }
) & {
  /** The message that a result was read of. */
  from?: Written;
};

export interface ChildOptions {
  command: string;
  args: readonly string[];
  cwd: string | undefined;
  env: Readonly<Record<string, string>>;
  /** Values that are shown to nobody, by the name that is shown in their place. */
  secrets: ReadonlyMap<string, string>;
  guard: Pick<GroupGuard, 'watch' | 'forget'>;
  onExit: (why: string) => void;
  /** It has other tools, prompts or resources now, it says. */
  onListChanged: () => void;
  /** That resource is another now, it says; it may be one that nobody has asked for. */
  onUpdated: (uri: string) => void;
}

const MOST_LINE_BYTES = 10 * 1024 * 1024;
const MOST_STDERR_CHARS = 64 * 1024;
/** A character of a secret takes so many in a URL, its longest form. */
const LONGEST_FORM = 9;
/** Requests that wait in one child: the slots of its member are far fewer. */
const MOST_OPEN = 1_024;
const STOP = { closeMs: 2_000, termMs: 3_000 } as const;
/** What it wrote last is read for so long after its end; somebody whom it started may hold its output open. */
const LAST_WORDS_MS = 200;
/** One that ends closes its output a moment before. */
const CLOSED_MS = 1_000;
/** What is given to it and it does not read: arguments of a call are far fewer. */
const MOST_UNREAD_BYTES = 64 * 1024 * 1024;

const MOST_URI = 1_024;

/** A message, either way. */
export const messageSchema = z.looseObject({
  jsonrpc: z.literal('2.0'),
  id: z.union([z.number(), z.string(), z.null()]).optional(),
  method: z.string().optional(),
  params: z
    .looseObject({
      progressToken: z.number().optional().catch(undefined),
      uri: z.string().max(MOST_URI).optional().catch(undefined),
    })
    .optional()
    .catch(undefined),
  result: z.unknown().optional(),
  // One in another form ends its request all the same: who waits is told that nobody can read the answer.
  error: z
    .looseObject({ code: z.number(), message: z.string(), data: z.unknown().optional() })
    .optional()
    .catch(undefined),
});

interface Waiting {
  resolve: (answer: Answered) => void;
  reject: (failure: ChildFailure) => void;
  onProgress: ((params: object) => void) | undefined;
}

export interface RequestOptions {
  withinMs: number;
  signal: AbortSignal;
  /** Told what the server says of its progress; it is asked for none where nobody wants to hear. */
  onProgress?: ((params: object) => void) | undefined;
  /** What the parameters were read of: they are given on as they are written there. */
  from?: Written;
}

/**
 * One running process that speaks MCP over its input and output, in a group of its own, which the guard knows before any of it
 * runs. Numbers are this side's alone, so
 * that no two callers can be given each other's answers. What it prints that is no message is passed over.
 */
export class Child {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #options: ChildOptions;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  /** What it printed beside its messages, its secrets blanked. */
  readonly printed: Tail;
  #gone: string | undefined;
  /** It has ended, or answers nobody any more: what it wrote last is read still. */
  #isLeaving = false;
  #tooLarge = false;
  #stopping: Promise<void> | undefined;

  /** @throws McpctlError `mcp_server_down` where there is no such program. */
  constructor(options: ChildOptions) {
    this.#options = options;
    const { command, args, cwd, env, guard, secrets } = options;
    const longest = Math.max(0, ...[...secrets.keys()].map((value) => value.length * LONGEST_FORM));
    this.printed = new Tail({ most: MOST_STDERR_CHARS, blank: (text) => this.blank(text), longest });
    const { child, release } = spawnGated({ command, args, cwd, env });
    this.#process = child;
    const { pid } = child;
    child.once('error', (thrown: NodeJS.ErrnoException) => this.#ended(notStarted(thrown.code ?? 'unknown')));
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on('error', () => undefined); // 'exit' follows
    if (pid !== undefined)
      guard.watch(pid).then(release, (thrown: unknown) => this.#ended(`was not run: ${messageOf(thrown)}`));
    child.once('exit', (...how) => this.#leaves(endOf(...how), LAST_WORDS_MS));
    child.once('close', (...how) => this.#ended(endOf(...how)));
    const lines = new Lines({
      most: MOST_LINE_BYTES,
      onLine: (line) => this.#hear(line),
      onTooLong: () => this.#overflow(),
    });
    readInTurns(child.stdout, (piece) => lines.push(piece));
    readInTurns(child.stderr, (piece) => this.printed.push(piece));
    child.stdout.once('end', () => this.#leaves('closed its output', CLOSED_MS));
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get isGone(): boolean {
    return this.#gone !== undefined || this.#stopping !== undefined;
  }

  /** It is heard while nothing is asked of it, too. */
  get tells(): boolean {
    return true;
  }

  /** How many requests wait for it. */
  get open(): number {
    return this.#waiting.size;
  }

  /** The last line of it, fit to be shown; empty where there is none. */
  get lastWords(): string {
    const line = this.printed.text.trimEnd().split('\n').at(-1) ?? '';
    return storableSentence(shownInLine(line), 300);
  }

  /** A text with the values of its secrets taken out. */
  blank(text: string): string {
    return withoutSecrets(text, this.#options.secrets);
  }

  /** @throws ChildFailure, also after `withinMs`, or when `signal` aborts: then the child is told that nobody waits. */
  request(
    method: string,
    params: object,
    { withinMs, signal, onProgress, from }: RequestOptions,
  ): Promise<Answered> {
    if (signal.aborted) return Promise.reject(new ChildFailure('aborted', 'Nobody waits for it.', false));
    if (this.isGone || this.#isLeaving || this.#waiting.size >= MOST_OPEN)
      return Promise.reject(new ChildFailure('gone', this.#gone ?? 'it takes no more requests now', false));
    if (this.#process.stdin.writableLength > MOST_UNREAD_BYTES)
      return Promise.reject(new ChildFailure('timeout', 'it does not read what it is asked', false));
    const id = this.#next++;
    return new Promise<Answered>((resolve, reject) => {
      const over = (): void => {
        clearTimeout(late);
        signal.removeEventListener('abort', onAbort);
        this.#waiting.delete(id);
      };
      const giveUp = (failure: ChildFailure): void => {
        over();
        this.notify('notifications/cancelled', { requestId: id, reason: failure.message });
        reject(failure);
      };
      const onAbort = (): void => giveUp(new ChildFailure('aborted', 'Nobody waits for it.', true));
      const late = setTimeout(() => {
        const seconds = String(Math.round(withinMs / 1_000));
        giveUp(new ChildFailure('timeout', `it did not answer within ${seconds} seconds`, true));
      }, withinMs);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.set(id, {
        resolve: (answer) => {
          over();
          resolve(answer);
        },
        reject: (failure) => {
          over();
          reject(failure);
        },
        onProgress,
      });
      const meta = onProgress ? { _meta: { progressToken: id } } : {};
      this.#write({ jsonrpc: '2.0', id, method, params: { ...params, ...meta } }, from);
    });
  }

  notify(method: string, params: object): void {
    if (!this.isGone) this.#write({ jsonrpc: '2.0', method, params });
  }

  /** Closes its input, then ends its group; resolves when nobody of it is left. */
  stop(): Promise<void> {
    return (this.#stopping ??= this.#stop());
  }

  async #stop(): Promise<void> {
    const { pid } = this.#process;
    this.#process.stdin.end();
    if (pid === undefined) return;
    await stopGroup(pid, STOP);
    this.#options.guard.forget(pid);
    this.#ended('was stopped');
  }

  #write(message: object, from?: Written): void {
    this.#process.stdin.write(`${asWritten(message, from)}\n`);
  }

  #hear(line: string): void {
    if (!line.startsWith('{')) return; // a banner
    const json = jsonValue(line);
    const parsed = messageSchema.safeParse(json);
    if (!parsed.success) return;
    const { id, method, params, result, error } = parsed.data;
    if (method === 'notifications/progress') {
      if (params?.progressToken !== undefined) this.#waiting.get(params.progressToken)?.onProgress?.(params);
      return;
    }
    if (method === 'notifications/resources/updated') {
      if (params?.uri !== undefined) this.#options.onUpdated(params.uri);
      return;
    }
    if (method !== undefined) return this.#asked(method, id);
    const waiting = typeof id === 'number' ? this.#waiting.get(id) : undefined;
    if (!waiting) return;
    waiting.resolve(error ? { error } : { result, from: { text: line, value: json } });
  }

  /** It may ask nothing of us: it was told of no capabilities. */
  #asked(method: string, id: number | string | null | undefined): void {
    if (/^notifications\/(tools|prompts|resources)\/list_changed$/.test(method))
      return this.#options.onListChanged();
    // Who asks and reads no answers gets no more of them.
    if (id === undefined || id === null || this.#process.stdin.writableNeedDrain) return;
    const answer =
      method === 'ping' ? { result: {} } : { error: { code: -32601, message: 'Method not found' } };
    this.#write({ jsonrpc: '2.0', id, ...answer });
  }

  #overflow(): void {
    this.#tooLarge = true;
    this.#failAll(new ChildFailure('too_large', 'its answer is larger than 10 MiB', true));
    this.#process.stdout.destroy();
    void this.stop();
  }

  #leaves(how: string, withinMs: number): void {
    this.#isLeaving = true;
    setTimeout(() => this.#ended(how), withinMs).unref();
  }

  #ended(how: string): void {
    if (this.#gone !== undefined) return;
    const { lastWords } = this;
    this.#gone = this.#tooLarge ? 'printed a line larger than 10 MiB' : how;
    const why = lastWords === '' ? this.#gone : `${this.#gone}: ${lastWords}`;
    this.#failAll(new ChildFailure('gone', `it ${why}`, true));
    // What it started and left behind goes too.
    if (this.#stopping === undefined) void this.stop();
    this.#options.onExit(why);
  }

  #failAll(failure: ChildFailure): void {
    for (const { reject } of [...this.#waiting.values()]) reject(failure);
  }
}

const endOf = (code: number | null, signal: NodeJS.Signals | null): string =>
  signal === null ? `ended with code ${String(code)}` : `was ended by ${signal}`;
