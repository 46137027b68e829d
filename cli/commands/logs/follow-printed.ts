import { McpctlError } from '../../../core/errors.ts';
import { pause } from '../../../core/runtime/clock.ts';
import { Cancelled } from '../../exit.ts';
import { isPassing } from '../../net/follow.ts';
import type { SeenProcess } from '../../net/servers.ts';
import type { Context } from '../../who/context.ts';

/** No more often is asked where an answer comes at once. */
const EVERY_MS = 500;
/** A server, or the machine that runs one, is away. */
const AGAIN_MS = 2_000;

/** The machine that runs it may come back. */
const isAwayNow = (thrown: unknown): thrown is McpctlError =>
  isPassing(thrown) || (thrown instanceof McpctlError && thrown.code === 'mcp_server_down');

/**
 * What a process prints, as it does: each answer says where it ended, and the next one begins there. Once it was heard, whoever is away
 * meanwhile is asked again. @throws McpctlError, Cancelled at Ctrl-C.
 */
export async function* followPrinted(
  { clock, interrupts: { signal }, out }: Pick<Context, 'clock' | 'interrupts' | 'out'>,
  ask: (after: string) => Promise<SeenProcess>,
): AsyncGenerator<SeenProcess, void, undefined> {
  let after = 'start';
  let isAway = false;
  for (;;) {
    const from = clock.elapsed();
    try {
      const view = await ask(after);
      if (view.at === null && view.state !== 'asleep' && view.state !== 'failed') throw olderWorker();
      isAway = false;
      if (after === 'start' || view.printed !== '' || view.isMissed) yield view;
      after = view.at ?? after;
      await pause(EVERY_MS - (clock.elapsed() - from), signal);
    } catch (thrown) {
      if (signal.aborted) throw new Cancelled('');
      if (after === 'start' || !isAwayNow(thrown)) throw thrown;
      if (!isAway) out.note(`${thrown.message} Asking again …`);
      isAway = true;
      await pause(AGAIN_MS, signal);
    }
    if (signal.aborted) throw new Cancelled('');
  }
}

const olderWorker = (): McpctlError =>
  new McpctlError(
    'bad_answer',
    'The edge or the worker of this server is of a release that cannot be followed; leave out -f, or upgrade it.',
  );
