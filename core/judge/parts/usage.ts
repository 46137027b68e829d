import type { Usage } from '../../task/task.ts';
import { isJson } from './reason.ts';

type Json = Readonly<Record<string, unknown>>;

export interface Counts {
  prompt?: number;
  completion?: number;
  total?: number;
}

/** Gathers what an answer cost from its events, or from all of it: later numbers replace earlier ones. */
export class UsageCount {
  #counts: Counts = {};

  /** @returns whether the event told some of it. */
  see(event: Json): boolean {
    let hasUsage = false;
    for (const holder of [event, event['message'], event['response'], ...asides(event)]) {
      if (!isJson(holder) || !isJson(holder['usage'])) continue;
      this.#counts = later(this.#counts, countsOf(holder['usage']));
      hasUsage = true;
    }
    return hasUsage;
  }

  get total(): Usage | undefined {
    const { prompt, completion, total } = this.#counts;
    if (prompt === undefined && completion === undefined && total === undefined) return undefined;
    const promptTokens = prompt ?? 0;
    const completionTokens = completion ?? 0;
    return { promptTokens, completionTokens, totalTokens: total ?? promptTokens + completionTokens };
  }
}

/** A count of nothing takes back none: a last chunk says 0 of everything where those before it counted (Dify, OpenRouter's free models). */
function later(before: Counts, now: Counts): Counts {
  const isNothing = Object.values(now).every((count) => count === 0) && Object.keys(before).length > 0;
  return isNothing ? before : { ...before, ...now };
}

/** Where Groq puts it in a stream, and Moonshot: in the last choice. */
function asides({ x_groq, choices, usage }: Json): unknown[] {
  const all: unknown[] = Array.isArray(choices) ? choices : [];
  return usage == null ? [x_groq, ...all] : [];
}

/** What a `usage` says, in whichever words: OpenAI's, Anthropic's, Cohere's `tokens`, and those of SDKs that wrote it in theirs. */
export function countsOf(given: Json): Counts {
  const usage = isJson(given['tokens']) ? given['tokens'] : given;
  const prompt = countAt(usage, 'prompt_tokens') ?? inputTokens(usage) ?? countAt(usage, 'promptTokens');
  const completion =
    countAt(usage, 'completion_tokens') ??
    countAt(usage, 'output_tokens') ??
    countAt(usage, 'completionTokens');
  const total = countAt(usage, 'total_tokens') ?? countAt(usage, 'totalTokens');
  return {
    ...(prompt === undefined ? {} : { prompt }),
    ...(completion === undefined ? {} : { completion }),
    ...(total === undefined ? {} : { total }),
  };
}

/** What Anthropic read from its cache, or wrote to it, is not in its `input_tokens`; it was in the prompt. */
function inputTokens(usage: Json): number | undefined {
  const fresh = countAt(usage, 'input_tokens');
  if (fresh === undefined) return undefined;
  const cached = countAt(usage, 'cache_read_input_tokens') ?? 0;
  return fresh + cached + (countAt(usage, 'cache_creation_input_tokens') ?? 0);
}

/** A count of tokens: a whole number from 0 on. */
export function countAt(holder: Json, key: string): number | undefined {
  const count = holder[key];
  // Some count in texts, and some in parts of a token.
  const value = typeof count === 'string' && /^\d{1,15}(\.\d{1,9})?$/.test(count) ? Number(count) : count;
  if (typeof value !== 'number' || !(value >= 0)) return undefined;
  const tokens = Math.ceil(value);
  return Number.isSafeInteger(tokens) ? tokens : undefined;
}
