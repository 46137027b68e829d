import { pause, type Clock } from '../../core/runtime/clock.ts';
import type { EdgeClient, Pulse } from '../edge-client.ts';
import type { Terminal } from './terminal.ts';

const LOOK_MS = 2_000;
/** Tokens are counted when an answer ends; over so many looks their pace is even. */
const LOOKS = 6;

interface Look extends Pulse {
  /** Milliseconds of the monotonic clock. */
  at: number;
}

/** One line that says what goes on, for as long as nobody stops it. Asks two cheap pages of the edge a look. */
export async function showPulse({
  edge,
  terminal,
  clock,
  signal,
}: {
  edge: EdgeClient;
  terminal: Terminal;
  clock: Clock;
  signal: AbortSignal;
}): Promise<void> {
  let looks: Look[] = [];
  while (!signal.aborted) {
    const pulse = await edge.pulse();
    if (signal.aborted) return;
    looks = pulse === undefined ? [] : [...looks, { ...pulse, at: clock.elapsed() }].slice(-LOOKS);
    terminal.status(pulseLine(looks));
    await pause(LOOK_MS, signal);
  }
}

/** `3 llms · 2 running · 1 waiting · 41 tokens/s`. @internal @param looks the last ones, the newest at the end. */
export function pulseLine(looks: readonly Look[]): string {
  const [first, last] = [looks[0], looks.at(-1)];
  if (first === undefined || last === undefined) return 'The edge does not answer …';
  const seconds = (last.at - first.at) / 1000;
  // An edge that was started again counts from nought.
  const pace = seconds > 0 ? Math.max(0, last.tokens - first.tokens) / seconds : 0;
  const llms = `${last.llms} ${last.llms === 1 ? 'llm' : 'llms'}`;
  return `${llms} · ${last.running} running · ${last.waiting} waiting · ${pace.toFixed(0)} tokens/s`;
}
