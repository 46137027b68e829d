import type { InferEvent } from '../net/infer.ts';

/** Tokens of all answers of a conversation so far, as the backends counted them. */
export interface Usage {
  prompt: number;
  completion: number;
  answers: number;
  /** Of the last answer that was counted, its prompt and itself. */
  last?: number;
}

export const noUsage = (): Usage => ({ prompt: 0, completion: 0, answers: 0 });

/** The same events, their tokens added up. */
export async function* counted(events: AsyncIterable<InferEvent>, usage: Usage): AsyncGenerator<InferEvent> {
  usage.answers++;
  for await (const event of events) {
    if (event.kind === 'usage') {
      usage.prompt += event.promptTokens;
      usage.completion += event.completionTokens;
      usage.last = event.promptTokens + event.completionTokens;
    }
    yield event;
  }
}
