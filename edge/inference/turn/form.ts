import { wasCut } from '../../../core/agent/budget.ts';
import { assemble } from '../../../core/agent/assemble.ts';
import type { turnAnswerSchema } from '../../../core/agent/thread.ts';
import type { TurnComposition, TurnPlace } from '../../../core/registry/threads/accept-turn.ts';
import { jsonValue, spliceMembers } from '../../../core/text/json-text.ts';
import type { Usage } from '../../../core/task/task.ts';
import { z } from 'zod';
import type { CallRow } from '../../../core/registry/threads/rows.ts';
import { ChunkForm } from '../form/chunks.ts';
import { callView } from '../../shown/thread-view.ts';
import type { Served } from './tools/served-form.ts';
import type { Form, FormOptions, Frame } from '../form/form.ts';

export type TurnAnswer = z.infer<typeof turnAnswerSchema>;

/** What is known of a turn that was taken; its answer's place only once it runs. */
export interface KnownPlace {
  current: TurnPlace | null;
  /** Of a turn that had results of tools, how often it was asked; missing: once. */
  round?: number;
  /** The task of the round before, where the next one is waited for. */
  after?: string | null;
  /** The task of the round that its client has brought results for: what was said up to it, they have. */
  since?: string | null;
  /** Its caller knows of no thread. */
  isPassing?: boolean;
  /** It ends with its caller, whatever it waits for. */
  endsWithCaller?: boolean;
  /** Of one whose calls the server runs: what its client has seen of all its rounds. */
  served?: Served;
  /** What the server has run of it. */
  calls?: readonly CallRow[];
  /** How what was asked was made. */
  composition: Pick<TurnComposition, 'leftOut' | 'contextLength' | 'expected'> | null;
}

const wholeSchema = z
  .object({
    choices: z.array(z.object({ finish_reason: z.string().nullish().catch(null) })).catch([]),
    usage: z
      .object({ prompt_tokens: z.int(), completion_tokens: z.int(), total_tokens: z.int() })
      .nullish()
      .catch(null),
  })
  .catch({ choices: [], usage: null });

/** How a turn's answer looks at our own door: chunks of chat, the first of which says where it is; whole, a JSON of our own. */
export class TurnForm extends ChunkForm implements Form {
  readonly #place: KnownPlace;
  readonly #taskId: string;
  #hasTold = false;

  constructor(options: FormOptions, place: KnownPlace) {
    super('chat', options);
    this.#place = place;
    this.#taskId = options.taskId;
  }

  override event(data: string): Frame[] {
    return super.event(data).map((frame) => this.#marked(frame));
  }

  override whole(body: string): string {
    const { content, toolCalls, reasoning } = assemble(this.#taskId, [body]);
    const completion = wholeSchema.parse(jsonValue(body));
    const usage: Usage | null = completion.usage
      ? {
          promptTokens: completion.usage.prompt_tokens,
          completionTokens: completion.usage.completion_tokens,
          totalTokens: completion.usage.total_tokens,
        }
      : null;
    const { threadId = '', n = 0, answerIndex = 0 } = this.#place.current ?? {};
    const answer: TurnAnswer = {
      threadId,
      turn: n,
      taskId: this.#taskId,
      assistant: content,
      ...(toolCalls && { toolCalls }),
      ...(this.#place.calls && { serverCalls: this.#place.calls.map(callView) }),
      ...(reasoning !== null && { reasoning }),
      ...this.#leftOut(),
      ...(usage && this.#wasCut(usage.promptTokens) && { backendTruncated: true }),
      turnIndex: answerIndex ?? 0,
      finishReason: completion.choices[0]?.finish_reason ?? null,
      usage,
    };
    return JSON.stringify(answer);
  }

  #leftOut(): Pick<TurnAnswer, 'leftOut' | 'contextLength'> {
    const { leftOut, contextLength } = this.#place.composition ?? {};
    return !leftOut || contextLength == null ? {} : { leftOut, contextLength };
  }

  #wasCut(promptTokens: number): boolean {
    return wasCut(promptTokens, this.#place.composition?.expected ?? null);
  }

  /** The first chunk says where the answer is; one whose usage says that the backend has cut the prompt, that too. */
  #marked(frame: Frame): Frame {
    const says = { ...this.#where(), ...(this.#tellsOfCut(frame) && { backendTruncated: true }) };
    if (Object.keys(says).length === 0) return frame;
    return { ...frame, data: spliceMembers(frame.data, { mcpctl: JSON.stringify(says) }) ?? frame.data };
  }

  #tellsOfCut({ data }: Frame): boolean {
    if (!data.includes('"prompt_tokens"')) return false;
    const { usage } = wholeSchema.parse(jsonValue(data));
    return usage != null && this.#wasCut(usage.prompt_tokens);
  }

  #where(): object {
    const place = this.#place.current;
    if (this.#hasTold || !place) return {};
    this.#hasTold = true;
    const { threadId, n: turn } = place;
    const { round = 1 } = this.#place;
    return { threadId, turn, taskId: this.#taskId, ...(round > 1 && { round }), ...this.#leftOut() };
  }
}
