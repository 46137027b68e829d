import { z } from 'zod';
import type { Composed, Persona } from './compose.ts';

export const pieceSchema = z.object({
  source: z.enum(['agent', 'agent prompt', 'project prompt', 'personality prompt', 'call']),
  id: z.string().nullable(),
  /** Only for who may see the persona. */
  name: z.string().nullable().optional(),
  revision: z.number().nullable(),
  priority: z.number().nullable(),
  bytes: z.number(),
});

/** Of what a request was made: enough to tell it long after prompts and agents were changed, and none of their texts. */
export const madeSchema = z.object({
  /** The agent's, when it was asked. */
  revision: z.number(),
  /** The one llm that might answer, or the one that the agent was pinned to; and the pool that was asked. */
  llm: z.string().nullable(),
  pool: z.string(),
  personality: z.object({ id: z.string(), name: z.string(), revision: z.number() }).nullable(),
  /** The parts of the system message, in order. */
  pieces: z.array(pieceSchema),
  /** Names of the agent's default parameters that were in it; only for who may see the persona. */
  params: z.array(z.string()).optional(),
  /** Tools of the call that the agent did not let through. */
  toolsLeft: z.array(z.string()),
  /** How many of its project's tools it was offered; missing: it is offered none. */
  serverTools: z.number().optional(),
  /** Of the body that was sent, and its hash, SHA-256 in hex, as long as it is kept with the task; the hash only for who may see the persona. */
  bytes: z.number(),
  sha256: z.string().optional(),
  /** How many earlier turns it told of, how many had no room, and the tokens that there was room for. */
  turns: z.number(),
  leftOut: z.number(),
  contextLength: z.number().nullable(),
  /** Tokens that it should have come to; null: nothing was measured before. */
  expected: z.number().nullable(),
  /** The backend had refused more than this. */
  isShorter: z.boolean(),
});
export type Made = z.infer<typeof madeSchema>;

/** What composing alone knows of it. */
export type MadeOfAgent = Pick<
  Made,
  | 'revision'
  | 'llm'
  | 'pool'
  | 'personality'
  | 'pieces'
  | 'params'
  | 'toolsLeft'
  | 'serverTools'
  | 'bytes'
  | 'sha256'
>;

export function madeOf(
  { revision, personality, toolsOf }: Pick<Persona, 'revision' | 'personality' | 'toolsOf'>,
  { body, pieces, params, toolsLeft, offered }: Composed,
  { llm, pool, sha256 }: Pick<Made, 'llm' | 'pool' | 'sha256'>,
): MadeOfAgent {
  return {
    ...{ revision, llm, pool, personality, pieces, params, toolsLeft: toolsLeft.slice(0, MOST_NAMES) },
    ...(toolsOf != null && { serverTools: offered.length }),
    bytes: Buffer.byteLength(body),
    ...(sha256 !== undefined && { sha256 }),
  };
}

const MOST_NAMES = 64;

/** For who may not see the persona: what it is made of, and no names or defaults. */
export function hidden({ params: _params, sha256: _hash, pieces, ...made }: Made): Made {
  return { ...made, pieces: pieces.map(({ name: _name, ...piece }) => piece) };
}
