import type { Operation } from '../../../core/llm.ts';
import type { Usage } from '../../../core/task.ts';

type Json = Readonly<Record<string, unknown>>;

interface Ending {
  finishReason?: string;
  usage?: Usage;
}

export interface EndingWatch {
  /** @returns whether it told anything of the ending. */
  see(event: Json): boolean;
  ending(): Ending;
  /** Whether the backend said itself that the answer is complete. */
  complete(): boolean;
  /** Whether nothing can come any more, though the backend may keep its stream open. */
  over(): boolean;
}

/** Gathers from the events of a stream, or from one whole answer, how it ended and what it cost. */
export function watchEnding(operation: Operation): EndingWatch {
  let finishReason: string | undefined;
  let counts: Counts = {};
  let stopped = false;
  return {
    see(event) {
      const stop = isStop(operation, event);
      const reason = finishReasonOf(operation, event);
      stopped ||= stop;
      finishReason ??= reason;
      let told = stop || reason !== undefined;
      for (const holder of [event, event['message'], event['response']]) {
        if (!isJson(holder) || !isJson(holder['usage'])) continue;
        counts = { ...counts, ...countsOf(holder['usage']) };
        told = true;
      }
      return told;
    },
    ending() {
      const usage = usageOf(counts);
      return {
        ...(finishReason === undefined ? {} : { finishReason }),
        ...(usage === undefined ? {} : { usage }),
      };
    },
    complete() {
      switch (operation) {
        case 'chat':
        case 'completions':
          return finishReason !== undefined;
        case 'responses':
        case 'messages':
          return stopped;
        case 'embeddings':
          return true;
      }
    },
    over: () => stopped,
  };
}

/** The last event of an answer whose events are typed. Chat has no such: usage follows its finish_reason. */
function isStop(operation: Operation, event: Json): boolean {
  const type = String(event['type']);
  if (operation === 'messages') return type === 'message_stop';
  return operation === 'responses' && endedResponse.test(type);
}

const endedResponse = /^response\.(completed|incomplete|failed|cancelled)$/;

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `text` parsed; undefined when it is not a JSON object. */
export function jsonObject(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJson(value) ? value : undefined;
  } catch {
    return undefined; // not JSON: whoever asked says so
  }
}

function finishReasonOf(operation: Operation, event: Json): string | undefined {
  switch (operation) {
    case 'chat':
    case 'completions': {
      const choices: unknown[] = Array.isArray(event['choices']) ? event['choices'] : [];
      return choices.map((choice) => textAt(choice, 'finish_reason')).find((reason) => reason !== undefined);
    }
    case 'responses': {
      const ended = endedResponse.test(String(event['type']));
      return ended ? (textAt(event['response'], 'status') ?? 'completed') : textAt(event, 'status');
    }
    case 'messages':
      return textAt(event, 'stop_reason') ?? textAt(event['delta'], 'stop_reason');
    case 'embeddings':
      return undefined;
  }
}

function textAt(holder: unknown, key: string): string | undefined {
  const value = isJson(holder) ? holder[key] : undefined;
  return typeof value === 'string' && value !== '' ? value : undefined;
}

interface Counts {
  prompt?: number;
  completion?: number;
  total?: number;
}

function countsOf(usage: unknown): Counts {
  if (!isJson(usage)) return {};
  const prompt = countAt(usage, 'prompt_tokens') ?? inputTokens(usage);
  const completion = countAt(usage, 'completion_tokens') ?? countAt(usage, 'output_tokens');
  const total = countAt(usage, 'total_tokens');
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

function countAt(holder: Json, key: string): number | undefined {
  const value = holder[key];
  return Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : undefined;
}

function usageOf({ prompt, completion, total }: Counts): Usage | undefined {
  if (prompt === undefined && completion === undefined && total === undefined) return undefined;
  const promptTokens = prompt ?? 0;
  const completionTokens = completion ?? 0;
  return { promptTokens, completionTokens, totalTokens: total ?? promptTokens + completionTokens };
}
