import type { Request } from 'express';
import { McpctlError, messageOf } from '../../../core/errors.ts';
import { isForeignLine, parseStreamLine, type StreamLine } from '../../../core/member/protocol.ts';
import { pause } from '../../../core/runtime/clock.ts';
import { piecesOf } from '../../connections/pieces.ts';
import { claimOf, isCurrent, type SpeakingCall, type SpokenClaim, type UplinkDeps } from './claim-of.ts';
import { linesOf } from './lines.ts';
import { Speaker, type Said } from './speaker.ts';

/** A worker says something each second; after this the fence is asked whether it still may. */
const QUIET_MS = 5_000;
/** How often a worker says that it is there. */
const BEAT_MS = 1_000;
/** A line may hold a body as JSON inside of JSON, where each of its characters may become two; and what is around it. */
const longestLine = (bodyBytes: number): number => 2 * bodyBytes + 64 * 1024;
/** Nobody is at the other end any more. */
const DEAD_MS = 60_000;
/** Whose unfinished line is longer is asked about sooner when it stops: nobody's memory is kept for an answer that nobody wants. */
const MUCH_BYTES = 64 * 1024;
const MUCH_QUIET_MS = 500;
/** How often what a worker says here counts as a heartbeat of its session. */
const LIFE_MS = 10_000;

export interface UplinkCall extends SpeakingCall {
  req: Request;
  /** Room for unfinished lines under the caller's cap. @throws McpctlError `too_many_requests`. */
  reserve: (bytes: number) => void;
  /** Aborts, with what to say, when the caller's token is not good any more. */
  ended: AbortSignal;
}

/**
 * A whole answer over one request: each line is said on the fence as it comes, and no faster than Redis takes them.
 * Ends as soon as the claim is not current any more.
 * @throws McpctlError `task_not_found`, `claim_lost`, `invalid_request` (a bad line), `body_too_large`, and what `ended` says.
 */
export async function receive(deps: UplinkDeps, call: UplinkCall): Promise<Exclude<Said, 'lost'>> {
  const spoken = await claimOf(deps, call);
  // The answer to an earlier request was lost: all is said.
  if (spoken.fence.state === 'ended') return 'ended';
  if (spoken.fence.state === 'released') return 'handed_back';
  if (spoken.fence.state === 'closed') throw new McpctlError('claim_lost');
  const lost = new AbortController();
  const over = new AbortController();
  const heard = { at: deps.clock.elapsed() };
  const onLost = (): void => lost.abort();
  call.ended.addEventListener('abort', onLost, { once: true });
  if (call.ended.aborted) onLost();
  const watched = { spoken, call, heard, lost, over: over.signal };
  void watch(deps, watched);
  let [begunBytes, isWatched] = [0, false];
  const reserve = (bytes: number): void => {
    begunBytes = bytes;
    call.reserve(bytes);
    if (isWatched || bytes <= MUCH_BYTES) return;
    isWatched = true;
    void watchHeld(deps, watched, () => begunBytes > MUCH_BYTES).then(() => (isWatched = false));
  };
  try {
    const speaker = new Speaker(deps, spoken, onLost);
    speaker.beat();
    let saidAt = heard.at;
    // No beat comes between the pieces of a line: a large answer on its way is one.
    const light = lightPieces(call.req, deps.clock);
    const arrives = (bytes: number): void => {
      light(bytes);
      heard.at = deps.clock.elapsed();
      if (heard.at - saidAt < BEAT_MS) return;
      saidAt = heard.at;
      speaker.beat();
    };
    const limits = {
      limitBytes: longestLine(deps.config.bodyLimitBytes),
      reserve,
      owner: call.speaker.userId,
      arrives,
      clock: deps.clock,
      lost: lost.signal,
    };
    for await (const text of linesOf(call.req, limits)) {
      saidAt = heard.at;
      const verdict = await say(speaker, parse(text));
      if (verdict === 'lost') break;
      if (verdict) return verdict;
    }
    call.ended.throwIfAborted();
    if (!lost.signal.aborted && call.req.complete) {
      throw new McpctlError('invalid_request', 'The stream ended without an "end" or "error" line.');
    }
    throw new McpctlError('claim_lost');
  } finally {
    over.abort();
  }
}

/** So many chunks may be of any size, so many more each second, as of beats; others are this long on average. */
const FREE_CHUNKS = 1_000;
const FREE_CHUNKS_A_SECOND = 50;
const PIECE_BYTES = 64;
/** A chunk that comes over two reads of its connection is two pieces. */
const PIECES_OF_A_CHUNK = 2;

/**
 * Whether what comes is made of chunks that are worth their time: each costs the same, one of a byte too.
 * @throws McpctlError `body_too_large`.
 */
function lightPieces(req: Request, clock: UplinkDeps['clock']): (bytes: number) => void {
  const began = clock.elapsed();
  let body = 0;
  return (bytes) => {
    body += bytes;
    const seconds = (clock.elapsed() - began) / 1_000;
    const most = FREE_CHUNKS + FREE_CHUNKS_A_SECOND * seconds + (PIECES_OF_A_CHUNK * body) / PIECE_BYTES;
    if (piecesOf(req) <= most) return;
    throw new McpctlError(
      'body_too_large',
      `The stream is sent in too many small chunks; send ${String(PIECE_BYTES)} bytes or more in each.`,
    );
  };
}

async function say(speaker: Speaker, line: StreamLine | null): Promise<Said | null> {
  if (!line) return null;
  if ('seq' in line) {
    await speaker.emit(line.seq, line.data);
    return null;
  }
  if ('beat' in line) {
    speaker.beat();
    return null;
  }
  return 'end' in line ? await speaker.end(line.end) : await speaker.fail(line.error);
}

/** Null for a line of a newer release that says nothing of the answer. */
function parse(text: string): StreamLine | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (_thrown) {
    throw new McpctlError('invalid_json', 'A line of the stream is not valid JSON.');
  }
  const line = parseStreamLine(value);
  if (line) return line;
  if (isForeignLine(value)) return null;
  throw new McpctlError(
    'invalid_request',
    'A line of the stream is none of {seq, data}, {beat}, {end}, {error}.',
  );
}

interface Watched {
  spoken: SpokenClaim;
  call: UplinkCall;
  heard: { at: number };
  lost: AbortController;
  over: AbortSignal;
}

/** While lines come they are a sign of life of the session; while none come, is the claim still current? */
async function watch(deps: UplinkDeps, { spoken, call, heard, lost, over }: Watched): Promise<void> {
  const { clock, heartbeats } = deps;
  const { session: providerSessionId } = spoken.fence;
  let livedAt = clock.elapsed();
  for (;;) {
    await pause(QUIET_MS, over);
    if (over.aborted) return;
    const now = clock.elapsed();
    try {
      if (now - heard.at >= DEAD_MS) return void call.req.destroy();
      if (now - heard.at >= QUIET_MS) {
        if (!(await isCurrent(deps, spoken))) return lost.abort();
      } else if (now - livedAt >= LIFE_MS) {
        livedAt = now;
        await heartbeats.beat({ providerSessionId }, call.speaker);
      }
    } catch (thrown) {
      tellNotLooked(deps, call, thrown);
    }
  }
}

/** While much of a line is held, and no more comes of it: is the claim still current? */
async function watchHeld(
  deps: UplinkDeps,
  { spoken, call, heard, lost, over }: Watched,
  isHeld: () => boolean,
): Promise<void> {
  for (;;) {
    await pause(MUCH_QUIET_MS, over);
    if (over.aborted || !isHeld()) return;
    if (deps.clock.elapsed() - heard.at < MUCH_QUIET_MS) continue;
    try {
      if (!(await isCurrent(deps, spoken))) return lost.abort();
    } catch (thrown) {
      tellNotLooked(deps, call, thrown);
    }
  }
}

function tellNotLooked({ log }: UplinkDeps, { taskId }: UplinkCall, thrown: unknown): void {
  log.debug({ taskId, why: messageOf(thrown) }, 'a stream of a worker could not be looked at');
}
