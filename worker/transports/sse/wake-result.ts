import { messageOf } from '../../../core/errors.ts';
import { pause, type Clock } from '../../../core/runtime/clock.ts';
import type { Log } from '../../../core/runtime/log.ts';
import type { WakeResult } from '../../../core/member/wake.ts';
import type { EdgeClient } from '../../edge-client.ts';

const FOR_MS = 30_000;
const AGAIN_MS = 1_000;

/** Says how a wake went; tries for a while, because callers wait for it. What is not heard lapses at the edge. */
export async function sayWake(
  { edge, clock, log }: { edge: EdgeClient; clock: Clock; log: Log },
  { wakeId, result }: { wakeId: string; result: WakeResult },
): Promise<void> {
  const body = result.ok ? { ok: true, ms: Math.round(result.ms) } : { error: result.message };
  const until = clock.elapsed() + FOR_MS;
  while (clock.elapsed() < until) {
    try {
      const { status } = await edge.post(
        `_provider-task/${encodeURIComponent(wakeId)}/result`,
        body,
        AGAIN_MS * 5,
      );
      if (status < 500 && status !== 429) return;
      log.debug({ wakeId, status }, 'the edge did not take how a wake went');
    } catch (thrown) {
      log.debug({ wakeId, why: messageOf(thrown) }, 'how a wake went could not be told');
    }
    await pause(AGAIN_MS * (0.5 + clock.random() / 2));
  }
}
