import { McpctlError, messageOf } from '../../core/errors.ts';
import { mcpAnswerSchema, mcpCallSchema, type McpCall } from '../../core/mcp/call.ts';
import { shownInLine } from '../../core/names.ts';
import { asWritten, writtenIn } from '../../core/mcp/pipeline/as-written.ts';
import { storableSentence } from '../../core/text/storable.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Last, LlmProvider, MemberCall, ProviderFailure, Reply } from '../providers/provider.ts';
import { ChildFailure, type Answered, type Peer, type RequestOptions } from './child.ts';
import type { Journal } from './journal.ts';
import { Progress } from './told/progress.ts';
import type { Supervised } from './supervised.ts';
import { jsonValue } from '../../core/text/json-text.ts';

export interface McpProviderDeps {
  name: string;
  supervised: Supervised;
  journal: Journal;
  clock: Clock;
}

const UNKNOWN = 'What became of the call is not known; it is not run again. Look before you repeat it';

const failed = (failure: Omit<ProviderFailure, 'retryable'>): Last => ({
  kind: 'failed',
  ...failure,
  retryable: false,
});
const unknown = (why: string): Last => failed({ code: 'outcome_unknown', message: `${UNKNOWN}: ${why}.` });

/**
 * One MCP server as a member of its pool. A call is run at most once: the claim is pinned, then the journal written, and
 * only then is anything given to the server. What came of it afterwards is told, or said to be unknown.
 */
export class McpProvider implements LlmProvider {
  readonly name: string;
  readonly #deps: McpProviderDeps;

  constructor(deps: McpProviderDeps) {
    this.name = deps.name;
    this.#deps = deps;
  }

  complete(): never {
    throw new McpctlError('no_capable_member');
  }

  listModels(): Promise<[]> {
    return Promise.resolve([]);
  }

  /** One that sleeps is there: the first call wakes it. */
  isAvailable(): Promise<boolean> {
    return Promise.resolve(this.#deps.supervised.state !== 'failed');
  }

  async *run(call: MemberCall): AsyncIterable<Reply> {
    const progress = new Progress(() => this.#deps.clock.elapsed());
    const replying = this.#reply(call, progress).finally(() => progress.end());
    replying.catch(() => undefined); // thrown below, once what was told is said
    for await (const data of progress) yield { kind: 'event', data };
    const reply = await replying;
    // Nothing, where the claim was lost: somebody else decides.
    if (reply !== null) yield reply;
  }

  async #reply(call: MemberCall, progress: Progress): Promise<Last | null> {
    const { taskId, deliver, signal } = call;
    const from = writtenIn(call.body);
    const parsed = mcpCallSchema.safeParse(from.value);
    if (call.operation !== 'mcp' || !parsed.success)
      return failed({
        code: 'invalid_request',
        message: 'This is an MCP server; call its tools through a project.',
      });
    const { journal, clock } = this.#deps;
    const asked = parsed.data;
    // What only reads may run again, wherever it got to.
    if (asked.method !== 'tools/call') {
      const child = await this.#ready(signal);
      return 'kind' in child ? child : await this.#call(child, { asked, signal, from });
    }
    const earlier = this.#earlier(taskId);
    if (earlier) return earlier;
    if (asked.journal !== null && asked.journal !== journal.id)
      return unknown('another machine served this server when it was made');
    const child = await this.#ready(signal);
    if ('kind' in child) return child;
    if (!(await deliver())) return null;
    // The yes may be of a Redis that was lost since, and the call have come again and been given meanwhile.
    const meanwhile = this.#earlier(taskId);
    if (meanwhile) return meanwhile;
    if (!journal.deliver(taskId, clock.now()))
      return failed({
        code: 'mcp_server_down',
        message: `The MCP server '${this.#server}' was not called: its machine cannot write its journal. Make room on its disk.`,
      });
    const onProgress = asked.progress
      ? (params: object) => progress.tell(params, (text) => child.blank(text))
      : undefined;
    const last = await this.#call(child, { asked, signal, onProgress, from });
    if (last.kind === 'end') journal.end(taskId, { at: clock.now(), outcome: last.body ?? '' });
    return last;
  }

  /** What became of a call that was given to the server before; null: it was not. */
  #earlier(taskId: string): Last | null {
    const earlier = this.#deps.journal.look(taskId);
    if (earlier === null) return null;
    return earlier === 'delivered' ? unknown('its worker was stopped while it ran') : endOf(earlier.outcome);
  }

  async #ready(signal: AbortSignal): Promise<Peer | Last> {
    try {
      return await this.#deps.supervised.ready(signal);
    } catch (thrown) {
      return this.#down(storableSentence(shownInLine(messageOf(thrown)), 500));
    }
  }

  #down(why: string): Last {
    return failed({
      code: 'mcp_server_down',
      message: `The MCP server '${this.#server}' does not run: ${why}.`,
    });
  }

  get #server(): string {
    return this.#deps.supervised.name;
  }

  async #call(
    child: Peer,
    { asked: { method, params }, ...how }: { asked: McpCall } & Omit<RequestOptions, 'withinMs'>,
  ): Promise<Last> {
    try {
      const answer = await this.#deps.supervised.call(child, { method, params, ...how });
      const body = blanked(answer, (text) => child.blank(text));
      if (body !== undefined && mcpAnswerSchema.safeParse(jsonValue(body)).success) return endOf(body);
      return failed({
        code: 'mcp_server_failed',
        message: `The MCP server '${this.#server}' answered in no form that is known; the tool has run.`,
      });
    } catch (thrown) {
      return this.#failureOf(thrown, method);
    }
  }

  #failureOf(thrown: unknown, method: McpCall['method']): Last {
    const why = storableSentence(shownInLine(messageOf(thrown)), 500);
    if (thrown instanceof ChildFailure && thrown.code === 'too_large')
      return failed({
        code: 'result_too_large',
        message: `The MCP server '${this.#server}' answered with more than 10 MiB; the tool has run.`,
      });
    if (method !== 'tools/call' || (thrown instanceof ChildFailure && !thrown.sent)) return this.#down(why);
    return unknown(thrown instanceof ChildFailure ? `the MCP server '${this.#server}' failed, ${why}` : why);
  }
}

/** A character in other words: all that JSON escapes otherwise is written in one way. */
const otherWords = /\\[u/]/;

/**
 * What a server answered, without the values of its secrets; undefined: nobody can write it, as it is too deep. A secret may be written in
 * other words than it is looked for, with `\u0073` for an s: what says one so is written anew, and all else as its server wrote it.
 */
function blanked({ from, ...answer }: Answered, blank: (text: string) => string): string | undefined {
  try {
    const own = asWritten(answer, from);
    const shown = blank(own);
    if (from === undefined || !otherWords.test(own)) return shown;
    const anew = JSON.stringify(answer);
    const blankedAnew = blank(anew);
    return blankedAnew === anew ? shown : blankedAnew;
  } catch (thrown) {
    if (thrown instanceof RangeError) return undefined;
    throw thrown;
  }
}

const endOf = (body: string): Last => ({ kind: 'end', status: 200, body });
