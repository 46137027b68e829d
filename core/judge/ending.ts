import type { Operation } from '../llm.ts';
import type { Usage } from '../task/task.ts';
import {
  asideOf,
  bringsText,
  callsIn,
  finishReasonOf,
  rightReason,
  rightStop,
  textAt,
} from './parts/choice.ts';
import {
  addArguments,
  broughtBy,
  callsAreWhole,
  followArguments,
  MOST_CHOICES,
  type Choice,
} from './parts/choice-so-far.ts';
import { saysError } from './parts/is-error.ts';
import { isJson } from './parts/reason.ts';
import { UsageCount } from './parts/usage.ts';
import { ResponseSoFar } from './parts/response-so-far.ts';

type Json = Readonly<Record<string, unknown>>;

/**
 * How far an answer has come. `nothing`: no choice has begun. `begun`: one has not ended. `ended`: each that was seen
 * has ended, and as many were seen as were asked for: only usage may follow. `over`: nothing can follow.
 */
export type Progress = 'nothing' | 'begun' | 'ended' | 'over';

/**
 * How the bytes came to their end. `done`: the backend said `[DONE]`. `closed`: the body ended as it should.
 * `broken`: the connection did not. `silent`: nothing more came in time.
 */
export type How = 'done' | 'closed' | 'broken' | 'silent';

export interface Ended {
  finishReason?: string;
  usage?: Usage;
  /** Events that the backend left out, and without which its answer has no end. */
  missing: string[];
  /** What its owner should know of it. */
  remark?: string;
}

/** The last event of an answer whose events are typed. Chat has no such: usage follows its finish_reason. */
const endedResponse = /^response\.(completed|incomplete|failed|cancelled)$/;
/**
 * Reasons that are no end but a failure. OpenRouter says `error`, vLLM and SGLang `abort`, GLM `network_error`, DeepSeek
 * `insufficient_system_resource`, Gemini's gateways `malformed_function_call` and `function_call_filter: …`.
 */
const failures = /error|^abort|^cancell?ed$|^time_?out$|^insufficient_|^malformed_|^function_call_filter/i;

interface Counts {
  asked?: () => number;
  least?: () => number;
}

const one = (): number => 1;

/** Follows an answer, event by event or as one, to what its protocol says of its end: of each of its choices. */
export class Ending {
  readonly #operation: Operation;
  readonly #asked: () => number;
  readonly #least: () => number;
  /** Content blocks of a message that have begun and not ended. */
  readonly #open = new Set<number>();
  readonly #choices = new Map<number, Choice>();
  readonly #usage = new UsageCount();
  readonly #response = new ResponseSoFar();
  /** How many of the choices have ended. */
  #ended = 0;
  #askedFor: number | undefined;
  #stopped = false;
  /** What the whole answer cost was told, and nothing came after it. */
  #isAccounted = false;
  /** What the typed operations say of the end. */
  #reason: string | undefined;

  /** @param counts how many choices the request asks for, and how many there must be; only asked where that decides. */
  constructor(operation: Operation, { asked = one, least = one }: Counts = {}) {
    this.#operation = operation;
    this.#asked = asked;
    this.#least = least;
  }

  /** @returns whether it told anything of the ending: then one like it may do so again. */
  see(event: Json): boolean {
    const counted = this.#usage.see(event);
    switch (this.#operation) {
      case 'chat':
      case 'completions':
        this.#isAccounted = counted && isEmpty(event['choices']);
        return this.#seeChoices(event) || counted;
      case 'responses':
        return this.#seeResponse(event) || counted;
      case 'messages':
        return this.#seeMessage(event) || counted;
      case 'embeddings':
        return counted;
    }
  }

  get progress(): Progress {
    // A message that nothing came of before its end has lost its beginning.
    if (this.#operation === 'messages' && this.#choices.size === 0) return 'nothing';
    if (this.#stopped) return 'over';
    if (this.#operation === 'messages') return this.#reason === undefined ? 'begun' : 'ended';
    if (this.#choices.size === 0) return 'nothing';
    if (this.#ended < this.#choices.size) return 'begun';
    return this.#haveAllBegun() ? 'ended' : 'begun';
  }

  /** A choice that says it failed. */
  get failed(): boolean {
    return [...this.#choices.values()].some(({ reason, aside }) => failures.test(reason ?? aside ?? ''));
  }

  /** The end of a stream, by all that was said; undefined when it is not complete. */
  endOf(how: How): Ended | undefined {
    switch (this.#operation) {
      case 'chat':
      case 'completions':
        return this.#endOfChoices(how);
      case 'messages':
        return this.#endOfMessage(how);
      case 'responses':
        return this.progress === 'over' ? this.#endWith(this.#reason) : this.#endOfResponse(how);
      case 'embeddings':
        return how === 'broken' || how === 'silent' ? undefined : this.#endWith(undefined);
    }
  }

  /** The same of a whole answer, of which nothing can be missing but reasons. */
  endOfWhole(): Ended | undefined {
    const without = [...this.#choices.values()].filter(({ reason }) => reason === undefined);
    if (without.length > 0 && without.length < this.#choices.size) return undefined;
    return this.#endWith(this.#reason ?? this.#firstReason());
  }

  /**
   * The reason as it should be: tool calls are done, whatever the backend calls its end, and where there are none a
   * client must not look for them. Backends say some ends twice: each is put right.
   * @param reason the choice's reason in the text at hand. @returns undefined when it is right as it is.
   */
  mended(index: number, reason: string): string | undefined {
    const choice = this.#choices.get(index);
    if (!choice?.reason) return undefined;
    choice.reason = rightReason(choice.reason, broughtBy(choice));
    const right = rightReason(reason, broughtBy(choice));
    return right === reason ? undefined : right;
  }

  /** Whether a choice has a reason that is not the right one. */
  get needsMending(): boolean {
    return [...this.#choices.values()].some(
      (choice) =>
        choice.reason !== undefined &&
        (choice.isOdd === true || rightReason(choice.reason, broughtBy(choice)) !== choice.reason),
    );
  }

  #endOfMessage(how: How): Ended | undefined {
    const { progress } = this;
    if (progress === 'over') return this.#endWith(this.#reason);
    const blocks = [...this.#open].map((index) => JSON.stringify({ type: 'content_block_stop', index }));
    if (progress === 'ended') return this.#endWith(this.#reason, [...blocks, '{"type":"message_stop"}']);
    if (how !== 'done' || this.#choices.get(0)?.brought !== true) return undefined;
    // As of a chat: what says that all of it is there has finished.
    const missing = [...this.leftOut(), '{"type":"message_stop"}'];
    return { ...this.#endWith(this.#reason, missing), remark: leavesOut('message_stop') };
  }

  #endOfResponse(how: How): Ended | undefined {
    if (how !== 'done') return undefined;
    const completed = this.#response.completed(this.#usage.total);
    if (completed === undefined) return undefined;
    return { ...this.#endWith('completed', [completed]), remark: leavesOut('response.completed') };
  }

  /** What came before the last event of a response, where that says that nothing did; as JSON. */
  outputMissingIn(response: unknown): string | undefined {
    const items = isJson(response) ? response['output'] : undefined;
    if (!this.#response.hasBrought || (Array.isArray(items) && items.length > 0)) return undefined;
    const output = this.#response.output();
    return output && JSON.stringify(output);
  }

  #haveAllBegun(): boolean {
    this.#askedFor ??= Math.min(this.#asked(), MOST_CHOICES);
    return this.#choices.size >= this.#askedFor;
  }

  #endOfChoices(how: How): Ended | undefined {
    const { size } = this.#choices;
    if (size === 0) return undefined;
    const saidSo = how === 'done' || how === 'closed';
    const without = [...this.#choices].filter(([, { reason }]) => reason === undefined);
    const unfinished = without.filter(([, { aside }]) => aside === undefined);
    if (unfinished.length === 0) {
      // What came after a reason has no end of its own unless the backend has said that all of it is there.
      if (!saidSo && (this.#ended < size || !this.#haveAllBegun())) return undefined;
      if (size < Math.min(this.#least(), MOST_CHOICES)) return undefined;
      const missing = without.map(([index, choice]) => this.#finish(index, choice));
      return this.#endWith(this.#firstReason(), missing);
    }
    // One that gives no reasons at all says by its last word that it has finished; one that gives some has not.
    const brought = unfinished.some(([, choice]) => choice.brought);
    // Calls say themselves that they are whole (earendil-works/pi#6226, NVIDIA NIM); of a text nobody can tell.
    const isWhole = this.#isAccounted || unfinished.every(([, choice]) => callsAreWhole(choice));
    const isLastWord = how === 'done' || (how === 'closed' && isWhole);
    if (!isLastWord || unfinished.length < size || !brought) return undefined;
    if (size < Math.min(this.#least(), MOST_CHOICES)) return undefined;
    const missing = unfinished.map(([index, choice]) => this.#finish(index, choice));
    const remark = 'it ends its streams without a finish_reason; "stop" is said in its place';
    return { ...this.#endWith(this.#firstReason(), missing), remark };
  }

  #finish(index: number, choice: Choice): string {
    choice.reason = rightReason(choice.aside ?? 'stop', broughtBy(choice));
    const piece = this.#operation === 'chat' ? { delta: {} } : { text: '' };
    return JSON.stringify({ choices: [{ index, ...piece, finish_reason: choice.reason }] });
  }

  #firstReason(): string | undefined {
    const [first] = [...this.#choices].sort(([a], [b]) => a - b);
    return first?.[1].reason ?? [...this.#choices.values()].find(({ reason }) => reason)?.reason;
  }

  #endWith(finishReason: string | undefined, missing: string[] = []): Ended {
    const usage = this.#usage.total;
    return {
      ...(finishReason === undefined ? {} : { finishReason }),
      ...(usage === undefined ? {} : { usage }),
      missing,
    };
  }

  #choice(index: number): Choice {
    let choice = this.#choices.get(index);
    if (choice) return choice;
    choice = { brought: false, ended: false };
    this.#choices.set(index, choice);
    return choice;
  }

  #setEnded(choice: Choice, ended: boolean): void {
    if (choice.ended !== ended) this.#ended += ended ? 1 : -1;
    choice.ended = ended;
  }

  #seeChoices({ choices }: Json): boolean {
    if (!Array.isArray(choices)) return false;
    let hasReason = false;
    choices.forEach((choiceJson: unknown, at) => {
      if (!isJson(choiceJson)) return;
      const index = Number.isSafeInteger(choiceJson['index']) ? Number(choiceJson['index']) : at;
      if (this.#choices.size >= MOST_CHOICES && !this.#choices.has(index)) return;
      const choice = this.#choice(index);
      const reason = hasFailed(choiceJson) ? 'error' : finishReasonOf(choiceJson);
      const aside = reason === undefined ? asideOf(choiceJson) : undefined;
      if (aside !== undefined) choice.aside = aside;
      const message = choiceJson['delta'] ?? choiceJson['message'];
      const piece = isJson(message) ? message : choiceJson;
      const calls = callsIn(piece);
      if (calls) {
        choice.calls = calls;
        followArguments(choice, piece['tool_calls']);
      }
      const brings = calls !== undefined || bringsText(piece);
      choice.brought ||= brings;
      const end = reason ?? aside;
      if (end === undefined && brings) this.#setEnded(choice, false);
      if (end === undefined) return;
      if (reason !== undefined) choice.reason ??= reason;
      choice.isOdd ||= isJson(choiceJson['finish_reason']);
      this.#setEnded(choice, !failures.test(choice.reason ?? end));
      hasReason = true;
    });
    return hasReason;
  }

  #seeResponse(event: Json): boolean {
    const type = textAt(event, 'type') ?? '';
    this.#response.see(event);
    const ended = endedResponse.exec(type);
    if (type.startsWith('response.') && !ended) this.#choice(0);
    const reason = ended ? (textAt(event['response'], 'status') ?? ended[1]) : textAt(event, 'status');
    this.#stopped ||= ended !== null;
    this.#reason ??= ended || event['object'] === 'response' ? reason : undefined;
    return ended !== null;
  }

  #seeMessage(event: Json): boolean {
    const { type, index } = event;
    if (type === 'message_stop') this.#stopped = true;
    if (typeof index === 'number' && type === 'content_block_start' && this.#open.size < MOST_CHOICES)
      this.#open.add(index);
    if (typeof index === 'number' && type === 'content_block_stop') this.#open.delete(index);
    const reason = textAt(event, 'stop_reason') ?? textAt(event['delta'], 'stop_reason');
    if (type === 'message_start' || type === 'message') this.#choice(0);
    const { content } = event;
    const blocks: unknown[] = Array.isArray(content) ? content : [event['content_block']];
    const begun = this.#choices.get(0);
    if (begun && (type === 'content_block_start' || type === 'content_block_delta')) begun.brought = true;
    if (blocks.some((block) => textAt(block, 'type') === 'tool_use')) this.#choice(0).calls = 'tool_calls';
    const json = textAt(event['delta'], 'partial_json');
    if (json !== undefined) addArguments(this.#choice(0), Number(index), json);
    this.#reason ??= reason;
    return reason !== undefined || type === 'message_stop';
  }

  /** As `mended`, in the words of Messages. */
  mendedStop(reason: string): string | undefined {
    const brought = broughtBy(this.#choices.get(0));
    if (this.#reason !== undefined) this.#reason = rightStop(this.#reason, brought);
    const right = rightStop(reason, brought);
    return right === reason ? undefined : right;
  }

  /**
   * What a message that says `message_stop` has left out before it: the ends of its blocks, and why it ended. Clients
   * take a block for there once it has ended.
   */
  leftOut(): string[] {
    const blocks = [...this.#open].map((index) => JSON.stringify({ type: 'content_block_stop', index }));
    this.#open.clear();
    if (this.#reason !== undefined) return blocks;
    this.#reason = rightStop('end_turn', broughtBy(this.#choices.get(0)));
    const delta = { stop_reason: this.#reason, stop_sequence: null };
    return [
      ...blocks,
      JSON.stringify({
        type: 'message_delta',
        delta,
        usage: { output_tokens: this.#usage.total?.completionTokens ?? 0 },
      }),
    ];
  }

  /** Why each choice of a whole answer has ended that does not say so itself. */
  reasonOf(index: number): string {
    const choice = this.#choices.get(index);
    if (!choice) return 'stop';
    return (choice.reason ??= rightReason(choice.aside ?? 'stop', broughtBy(choice)));
  }
}

/**
 * Whether a choice says so of itself, or what is behind it does: OpenRouter gives a plain reason beside the one of whom it
 * asked (OleksandrChekhovskyi/hax#15).
 */
function hasFailed(choice: Json): boolean {
  if (saysError(choice['error'])) return true;
  return finishReasonOf(choice) !== undefined && failures.test(textAt(choice, 'native_finish_reason') ?? '');
}

/** The chunk that tells what an answer cost has no choices, and is the last; some leave the list out. */
const isEmpty = (choices: unknown): boolean =>
  choices == null || (Array.isArray(choices) && choices.length === 0);

const leavesOut = (event: string): string =>
  `it ends its streams without ${event}, which is said in its place`;
