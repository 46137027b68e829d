/** What is known of the room that members have for a prompt, and of how many bytes a token has. */
export interface Budget {
  /** Tokens that the roomiest member takes, prompt and answer together. */
  contextLength: number;
  /** The most tokens that the answer may have, where the call says it. */
  answerTokens: number | null;
  /** Of the last answer in the thread: what its prompt came to. */
  measured: { promptTokens: number; promptBytes: number } | null;
}

/** Where nothing was measured: code and other languages than English have about so many bytes a token. */
const BYTES_PER_TOKEN = 2.5;
/** Measured ones are of another text than this one. */
const CAUTION = 0.95;
/** What an answer may take at most where nobody says it, and its share of a small window. */
const ANSWER_TOKENS = 4_096;
const ANSWER_SHARE = 0.25;
/** What is never filled. */
const MARGIN = 0.98;
/** Once over it, a thread is cut to this share, so that its beginning stays the same for many turns: backends cache it. */
const CUT_TO = 0.75;

/** How many bytes of a request there is room for. */
export function roomBytes({ contextLength, answerTokens, measured }: Budget): number {
  const reserved = Math.min(answerTokens ?? ANSWER_TOKENS, contextLength * ANSWER_SHARE);
  const isTold = measured !== null && measured.promptTokens > 0 && measured.promptBytes > 0;
  const bytesPerToken = isTold ? (measured.promptBytes / measured.promptTokens) * CAUTION : BYTES_PER_TOKEN;
  return Math.floor((contextLength - reserved) * MARGIN * bytesPerToken);
}

/** What is left of the room for a request that is made anew, of what its backend found too long. */
const SMALLER = 0.6;

/** @param room null: nobody says how much there is. @param refused bytes of what was found too long; null: nothing was. */
export function roomLeft(room: number | null, refused: number | null): number | null {
  if (refused === null) return room;
  return Math.floor(SMALLER * Math.min(refused, room ?? Infinity));
}

/** About how many tokens a request comes to. */
export const aboutTokens = (bytes: number, measured: Budget['measured']): number =>
  expectedTokens(bytes, measured) ?? Math.ceil(bytes / BYTES_PER_TOKEN);

/** Where a prompt came to so much less than it weighs, the backend has cut it. */
export const CUT_BELOW = 0.7;

/** How many tokens a request should come to, by what the last prompt of its thread came to; null: nothing was measured. */
export function expectedTokens(bytes: number, measured: Budget['measured']): number | null {
  const isTold = measured !== null && measured.promptTokens > 0 && measured.promptBytes > 0;
  return isTold ? Math.round(bytes / (measured.promptBytes / measured.promptTokens)) : null;
}

/** Whether a backend has read so little of a prompt that it must have left some out. One that counts nothing says nothing. */
export const wasCut = (promptTokens: number, expected: number | null): boolean =>
  expected !== null && promptTokens > 0 && promptTokens < CUT_BELOW * expected;

/** One turn of a thread, as it weighs in a request. */
export interface WeighedTurn {
  n: number;
  bytes: number;
}

/**
 * Which turns are left out of a request that is too large: the oldest, whole ones, in one step. Never what is new.
 * @param turns in order. @param bytes of the request with all of them. @returns the first that stays; null: there is room.
 */
export function cutOf(
  turns: readonly WeighedTurn[],
  { bytes, room }: { bytes: number; room: number },
): number | null {
  if (bytes <= room || turns.length === 0) return null;
  let left = bytes;
  for (const turn of turns) {
    if (left <= room * CUT_TO) return turn.n;
    left -= turn.bytes;
  }
  return (turns.at(-1)?.n ?? 0) + 1;
}
