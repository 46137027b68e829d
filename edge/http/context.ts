import type { Request } from 'express';
import type { Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import type { JsonShape } from '../../core/text/json-shape.ts';

/** The status of a call whose caller has gone, as nginx has it: it is in logs alone. */
export const LEFT = 499;

/** What the middlewares have found out about one request. */
interface RequestContext {
  requestId: string;
  /** By the clock's `elapsed()`. */
  startedAt: number;
  /** Set by the one authentication point; undefined on public paths. */
  actor: Actor | undefined;
  /** Of a call that came with a cookie, which browser session it is of, as that is stored; it ends with signing out. */
  browser: string | undefined;
  /** Asks anew who it is, where that was a while ago; see `needStillThem`. */
  askAgain: (() => Promise<void>) | undefined;
  /** The body exactly as received, decoded; undefined when there was none. */
  text: string | undefined;
  /** What was seen of that text before any of it was parsed. */
  shape: JsonShape | undefined;
  /** Of its answer, once room was asked for (body/room.ts). */
  answerRoom: ((bytes: number) => void) | undefined;
  /** A status went out, and blanks, of an answer that is to be a JSON text: it may still become an error. */
  onlyBlanks: boolean;
  /** What it is about to write, once that is known. */
  write: { verb: string; resource: string } | undefined;
  /** `inference.finished` is, or will be, said of it. */
  reported: boolean;
}

declare module 'express-serve-static-core' {
  interface Request {
    /** Set by middleware/request-id.ts, before anything else runs. */
    context: RequestContext;
  }
}

/** @throws McpctlError `unauthenticated` on a path without authentication. */
export function actorOf(req: Request): Actor {
  const { actor } = req.context;
  if (!actor) throw new McpctlError('unauthenticated');
  return actor;
}

/**
 * For who has waited, for a body or for a turn: what they may by now is what counts, and not what they might when they came.
 * @throws McpctlError `unauthenticated` where their token has ended meanwhile, `forbidden` where they may not act as another any more, `unavailable`.
 */
export async function needStillThem({ context }: Request): Promise<void> {
  await context.askAgain?.();
}

/**
 * Whose crowd a request is part of, where those of one wait for each other: its user's. Who ends a token is only in that of their own
 * token, or whoever has stolen another of theirs could keep them from it.
 */
export function crowdOf({ method, originalUrl }: Request, { userId, tokenId }: Actor): string {
  const revokes = method === 'DELETE' && /^(?:\/ui)?\/api\/v1\/tokens\//i.test(originalUrl);
  return revokes ? `revokes ${tokenId}` : userId;
}

/** Whether Anthropic's clients ask: theirs is another shape of errors. */
export function isAnthropicDoor(req: Request): boolean {
  if (!isOpenAiDoor(req)) return false;
  return /^\/v1\/messages([/?]|$)/i.test(req.originalUrl) || req.get('anthropic-version') !== undefined;
}

/** Whether Ollama's clients ask, at its own paths: theirs is yet another shape of errors. */
export function isOllamaDoor(req: Request): boolean {
  return /^\/api\/(?!v1([/?]|$))/i.test(req.originalUrl);
}

/** Whether the OpenAI-compatible door answers: it has its own shape of errors. */
export function isOpenAiDoor(req: Request): boolean {
  return /^\/v1([/?]|$)/i.test(req.originalUrl);
}
