import { McpctlError, messageOf } from '../../core/errors.ts';
import { mcpAnswerSchema, mcpCallSchema, type McpCall } from '../../core/mcp/call.ts';
import { shownInLine } from '../../core/names.ts';
import { storableSentence } from '../../core/text/storable.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Last, LlmProvider, MemberCall, ProviderFailure, Reply } from '../providers/provider.ts';
import { ChildFailure, type Child } from './child.ts';
import type { Journal } from './journal.ts';
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
    const reply = await this.#reply(call);
    // Nothing, where the claim was lost: somebody else decides.
    if (reply !== null) yield reply;
  }

  async #reply(call: MemberCall): Promise<Last | null> {
    const { taskId, deliver, signal } = call;
    const parsed = mcpCallSchema.safeParse(jsonValue(call.body));
    if (call.operation !== 'mcp' || !parsed.success)
      return failed({
        code: 'invalid_request',
        message: 'This is an MCP server; call its tools through a project.',
      });
    const { journal, supervised, clock } = this.#deps;
    const earlier = journal.look(taskId);
    if (earlier === 'delivered') return unknown('its worker was stopped while it ran');
    if (earlier !== null) return endOf(earlier.outcome);
    if (parsed.data.journal !== null && parsed.data.journal !== journal.id)
      return unknown('another machine served this server when it was made');
    let child: Child;
    try {
      child = await supervised.ready(signal);
    } catch (thrown) {
      const why = storableSentence(shownInLine(messageOf(thrown)), 500);
      return failed({
        code: 'mcp_server_down',
        message: `The MCP server '${this.#server}' does not run: ${why}.`,
      });
    }
    if (!(await deliver())) return null;
    if (!journal.deliver(taskId, clock.now()))
      return failed({
        code: 'mcp_server_down',
        message: `The MCP server '${this.#server}' was not called: its machine cannot write its journal. Make room on its disk.`,
      });
    const last = await this.#call(child, { params: parsed.data.params, signal });
    if (last.kind === 'end') journal.end(taskId, { at: clock.now(), outcome: last.body ?? '' });
    return last;
  }

  get #server(): string {
    return this.#deps.supervised.name;
  }

  async #call(
    child: Child,
    { params, signal }: { params: McpCall['params']; signal: AbortSignal },
  ): Promise<Last> {
    try {
      const answer = await this.#deps.supervised.call(child, { method: 'tools/call', params, signal });
      const body = child.blank(JSON.stringify(answer));
      if (mcpAnswerSchema.safeParse(jsonValue(body)).success) return endOf(body);
      return failed({
        code: 'mcp_server_failed',
        message: `The MCP server '${this.#server}' answered in no form that is known; the tool has run.`,
      });
    } catch (thrown) {
      return failureOf(thrown, this.#server);
    }
  }
}

const endOf = (body: string): Last => ({ kind: 'end', status: 200, body });

function failureOf(thrown: unknown, server: string): Last {
  const why = storableSentence(shownInLine(messageOf(thrown)), 500);
  if (!(thrown instanceof ChildFailure)) return unknown(why);
  if (thrown.code === 'too_large')
    return failed({
      code: 'result_too_large',
      message: `The MCP server '${server}' answered with more than 10 MiB; the tool has run.`,
    });
  if (!thrown.sent)
    return failed({ code: 'mcp_server_down', message: `The MCP server '${server}' does not run: ${why}.` });
  return unknown(`the MCP server '${server}' failed, ${why}`);
}
