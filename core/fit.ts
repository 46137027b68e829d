import type { Capabilities, Operation } from './llm.ts';

/** What a request asks of a member, as far as it can be told from its text. */
export interface Needs {
  operation: Operation;
  tools: boolean;
  /** Pictures among the messages. */
  vision: boolean;
  /** Token ids in place of text. */
  tokenIds: boolean;
  /** Its text has surely no fewer tokens. */
  leastTokens: number;
}

/** What a member cannot do. */
export type Unfit = 'operation' | 'tokenIds' | 'tools' | 'vision' | 'context';

/** What any OpenAI-compatible backend is taken to serve when nobody has said otherwise. */
const assumed: readonly Operation[] = ['chat', 'completions', 'embeddings'];

/** Why a member cannot do it; null when, for all that is known, it can. */
export function unfitFor(can: Capabilities, needs: Needs): Unfit | null {
  if (!(can.operations ?? assumed).includes(needs.operation)) return 'operation';
  if (needs.tokenIds && can['tokenIds'] === false) return 'tokenIds';
  if (needs.tools && can.tools === false) return 'tools';
  if (needs.vision && can.vision === false) return 'vision';
  if (can.contextLength !== undefined && needs.leastTokens > can.contextLength) return 'context';
  return null;
}
