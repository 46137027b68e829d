import { z } from 'zod';
import { factLines, tableLines } from '../../say/table.ts';
import { plain } from '../../../core/runtime/plain.ts';
import type { SeenTask } from '../../net/views.ts';
import type { Look } from './look.ts';

const seconds = (ms: number | null | undefined): string | undefined =>
  typeof ms === 'number' ? `${(ms / 1_000).toFixed(1)} s` : undefined;

/** A task: its facts, each attempt, and the text that was asked and answered where the server still has it. */
export function taskLines(task: SeenTask, look: Look): string[] {
  const { view } = task;
  const { instant } = look;
  const usage = view.usage;
  const wait = view.error?.reason?.retryAfterS;
  return [
    ...factLines([
      ['ID', task.key],
      ['Status', view.status],
      ['Error', view.error ? `${view.error.message} (${view.error.code})` : undefined],
      ['Error type', view.error?.reason?.type],
      ['Error param', view.error?.reason?.param],
      ['Backend code', view.error?.reason?.code],
      ['Asked to wait', wait === undefined ? undefined : `${wait} s`],
      ['Llm', view.llmName],
      ['Pool', view.poolName],
      ['Pin', view.pin],
      ['Served by', view.claimedLlm],
      ['Model', view.model],
      ['Operation', view.operation],
      ['Source', view.source],
      ['Streaming', view.streaming === undefined ? undefined : String(view.streaming)],
      ['Priority', view.priority],
      ['Failed attempts', view.attempts],
      ['Crashes', view.crashes],
      ['On disconnect', view.graceSeconds ? `grace=${view.graceSeconds}` : view.onDisconnect],
      ['Finish reason', view.finishReason],
      ['Tokens', usage ? `${usage.promptTokens} in, ${usage.completionTokens} out` : undefined],
      ['Created', instant(view.createdAt)],
      ['Claimed', instant(view.claimedAt)],
      ['Waited', seconds(view.queueMs)],
      ['First event', instant(view.streamStartedAt)],
      ['First event after', seconds(view.ttftMs)],
      ['Completed', instant(view.completedAt)],
      ['Queue deadline', view.queueDeadline],
      ['Run deadline', view.runDeadline],
      ['Owner', view.owner ?? view.ownerId],
      ['Token', view.tokenName],
    ]),
    ...attemptLines(task, look),
    ...block('Request', lastMessage(view.request), look),
    ...block('Answer', answerText(view.response), look),
  ];
}

function attemptLines({ view }: SeenTask, { instant, paint }: Look): string[] {
  const log = view.attemptLog ?? [];
  if (log.length === 0) return [];
  const lines = tableLines(
    log,
    [
      { head: 'N', of: (a) => a.n },
      { head: 'MEMBER', of: (a) => a.llm },
      { head: 'STARTED', of: (a) => instant(a.startedAt) },
      { head: 'ENDED', of: (a) => instant(a.endedAt) },
      { head: 'REASON', of: (a) => a.reason },
    ],
    { headers: true, paint },
  );
  return ['', paint.bold('Attempts:'), ...lines.map((line) => `  ${line}`)];
}

function block(head: string, text: string | undefined, { paint }: Look): string[] {
  if (text === undefined) return [];
  const lines = plain(text).split('\n');
  return ['', paint.bold(`${head}:`), ...lines.map((line) => `  ${line}`)];
}

const requestSchema = z.object({ messages: z.array(z.object({ content: z.string() })).min(1) });
const responseSchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string() }) })).min(1),
});

/** The last message of a chat; nothing for other operations: `-o json` has the whole. */
function lastMessage(request: unknown): string | undefined {
  const parsed = requestSchema.safeParse(request);
  return parsed.success ? parsed.data.messages.at(-1)?.content : undefined;
}

function answerText(response: unknown): string | undefined {
  const parsed = responseSchema.safeParse(response);
  return parsed.success ? parsed.data.choices[0]?.message.content : undefined;
}
