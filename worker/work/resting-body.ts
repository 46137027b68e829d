import { McpctlError, messageOf } from '../../core/errors.ts';
import { wireHeaders } from '../../core/member/protocol.ts';
import { GrowingBytes } from '../../core/text/growing-bytes.ts';
import { pause } from '../../core/runtime/clock.ts';
import type { EdgeClient } from '../edge-client.ts';

/** A claim whose body is not in Redis. */
export interface RestingClaim {
  taskId: string;
  claimId: string;
  session: string;
  bytes: number;
}

/** Gets the body of a claim from where it rests. @throws when it cannot be had. */
export type FetchBody = (claim: RestingClaim, signal: AbortSignal) => Promise<string>;

const TRIES = 3;
const BETWEEN_MS = 500;
/** Nothing of it came for so long: that connection is dead. An edge that has to get it first may take longer. */
const SILENT_MS = 60_000;
/** Between two questions to an edge that has no room for it yet: others of this worker are still on their way. */
const ROOM_MS = 2_000;
/** As often: ten minutes. By then it is given back, and another edge may have the room. */
const ROOM_TRIES = 300;

/** Asks an edge, thrice at most: one may be rolled just then. One that says *not yet* is asked for ten minutes. */
export function fetchFromEdge(edge: EdgeClient): FetchBody {
  return async (claim, signal) => {
    let waited = 0;
    for (let tried = 1; ; tried++) {
      try {
        return await ask(edge, claim, signal);
      } catch (thrown) {
        const isNotYet = thrown instanceof McpctlError && thrown.code === 'too_many_requests';
        if (isNotYet && !signal.aborted && waited < ROOM_TRIES) {
          waited += 1;
          tried -= 1;
          await pause(ROOM_MS, signal);
          continue;
        }
        if (tried === TRIES || signal.aborted) throw thrown;
        await pause(tried * BETWEEN_MS, signal);
      }
    }
  };
}

async function ask(
  edge: EdgeClient,
  { taskId, claimId, session, bytes }: RestingClaim,
  signal: AbortSignal,
): Promise<string> {
  const answer = await edge.open({
    method: 'GET',
    path: `_provider-task/${encodeURIComponent(taskId)}/body`,
    headers: { [wireHeaders.session]: session, [wireHeaders.claim]: claimId },
    signal,
  });
  // An edge of another release may translate it into a few bytes more.
  const body = new GrowingBytes(bytes * 2);
  let silence: NodeJS.Timeout | undefined;
  try {
    if (answer.status === 429) throw new McpctlError('too_many_requests');
    if (answer.status !== 200)
      throw new McpctlError(
        'bad_answer',
        `The edge answered ${String(answer.status)}, not with the request.`,
      );
    silence = setTimeout(() => answer.close(), SILENT_MS);
    for await (const piece of answer.bytes) {
      silence.refresh();
      if (!body.append(piece))
        throw new McpctlError('bad_answer', 'The request is larger than it is said to be.');
    }
    return body.text();
  } catch (thrown) {
    throw thrown instanceof McpctlError ? thrown : new McpctlError('server_unreachable', messageOf(thrown));
  } finally {
    clearTimeout(silence);
    body.release();
    answer.close();
  }
}
