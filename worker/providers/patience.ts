import { failed, type Failed } from './failed.ts';

/**
 * A whole answer comes in one piece, so its silence is the generation itself: it may last this many times the
 * silence allowed in a stream (10 minutes by default, the OpenAI clients' own limit).
 */
export const wholeAnswerFactor = 5;

export interface Patience {
  /** Aborts with the caller's signal, or when the backend was silent for too long. */
  signal: AbortSignal;
  /** Counts silence from now on, for so many milliseconds. */
  wait(ms: number): void;
  /** Stops counting: it is not the backend that is waited for. */
  rest(): void;
  /** Why the signal aborted, as a failure; undefined when it did not. */
  failure(): Failed | undefined;
  /** Lets go of the caller's signal and the timer. */
  end(): void;
  /** The same, and aborts: whatever still runs under the signal shall stop. */
  stop(): void;
}

/** How long one call puts up with a silent backend. */
export function startPatience(caller: AbortSignal): Patience {
  const controller = new AbortController();
  /** One timer for all waits that are as long: it is begun again rather than made again, for each token. */
  let timer: { of: NodeJS.Timeout; ms: number } | undefined;
  let isWaiting = false;
  let silentMs = 0;
  const leave = (): void => controller.abort();
  const rest = (): void => void (isWaiting = false);
  if (caller.aborted) leave();
  else caller.addEventListener('abort', leave, { once: true });
  const end = (): void => {
    clearTimeout(timer?.of);
    timer = undefined;
    caller.removeEventListener('abort', leave);
  };
  return {
    signal: controller.signal,
    rest,
    wait(ms) {
      isWaiting = true;
      if (timer?.ms === ms) return void timer.of.refresh();
      clearTimeout(timer?.of);
      const late = (): void => {
        if (!isWaiting) return;
        silentMs = ms;
        controller.abort();
      };
      timer = { of: setTimeout(late, ms), ms };
    },
    failure() {
      if (caller.aborted) return failed('task_cancelled', 'The call to the backend was aborted.');
      if (!controller.signal.aborted) return undefined;
      const seconds = String(Math.round(silentMs / 100) / 10);
      return failed('backend_timeout', `The backend was silent for ${seconds} s.`);
    },
    end,
    stop() {
      end();
      leave();
    },
  };
}
