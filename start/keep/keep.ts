import { McpctlError } from '../../core/errors.ts';
import { pause, type Clock } from '../../core/runtime/clock.ts';
import type { GuardSpec } from '../guard/spec.ts';
import { startGuarded, type Guarded } from './guarded.ts';
import type { LocalServer, Say } from '../server.ts';

/** A program that is started again whenever it ends, until it is stopped. */
export interface Kept {
  name: string;
  /** Asks it to stop and waits for its end. May be called twice. */
  stop(): Promise<void>;
  /** Ends it at once. */
  kill(): void;
  /**
   * Waits until `isReady` says so.
   * @throws McpctlError `setup_failed`, with what it printed last, when it ends `lives` times before that or
   *   takes longer than `withinMs`.
   */
  untilReady(isReady: () => Promise<boolean>, bounds: { withinMs: number; lives: number }): Promise<void>;
}

export interface KeepDeps {
  name: string;
  /** Asked before each start, so that it can clear up after the last. */
  prepare: () => Promise<GuardSpec>;
  started?: (pid: number) => void;
  line: (text: string) => void;
  /** Its lines are shown only when it has ended by itself: then they are the reason. */
  quiet?: boolean;
  say: Say;
  /** Told what matters only when something is wrong: its process id. */
  note: Say;
  clock: Clock;
}

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 10_000;
/** One that lived this long begins again with the shortest wait. */
const HEALTHY_MS = 20_000;
const POLL_MS = 25;
/** As many as node prints when it dies of an error. */
const LAST_LINES = 25;

/** Full jitter around a doubling wait: several that died together do not come back together. */
function backoffMs(deaths: number, random: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (deaths - 1)) * (0.5 + random);
}

export function keepRunning(deps: KeepDeps): Kept {
  const { name, prepare, started, line, quiet = false, say, note, clock } = deps;
  const stopping = new AbortController();
  const life: Life = { ends: 0, last: [], stopped: stopping.signal };
  let current: Guarded | undefined;
  let deaths = 0;
  const hear = (text: string): void => {
    life.last.push(text);
    if (life.last.length > LAST_LINES) life.last.shift();
    if (!quiet) line(text);
  };
  const live = async (): Promise<string> => {
    try {
      const spec = await prepare();
      if (stopping.signal.aborted) return 'was not wanted any more';
      current = startGuarded({ spec, line: hear });
    } catch (thrown) {
      hear(thrown instanceof Error ? thrown.message : String(thrown));
      return 'could not be started';
    }
    const pid = await current.pid;
    if (pid !== undefined) started?.(pid);
    if (pid !== undefined) note(`${name} runs as process ${pid}.`);
    return `ended with code ${await current.exited}`;
  };
  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const from = clock.elapsed();
      const how = await live();
      life.ends += 1;
      if (stopping.signal.aborted) break;
      if (quiet) for (const text of life.last.splice(0)) line(text);
      deaths = clock.elapsed() - from > HEALTHY_MS ? 1 : deaths + 1;
      const wait = backoffMs(deaths, clock.random());
      say(`${name} ${how}; it is started again in ${(wait / 1000).toFixed(1)} s.`);
      await pause(wait, stopping.signal);
    }
  };
  const ended = loop();
  return {
    name,
    async stop() {
      stopping.abort();
      await current?.stop();
      await ended;
    },
    kill() {
      stopping.abort();
      current?.kill();
    },
    untilReady: (isReady, bounds) => untilReady({ name, life, isReady, clock, ...bounds }),
  };
}

/** What is known of a kept program's lives so far. */
interface Life {
  ends: number;
  /** What it printed last. */
  last: string[];
  stopped: AbortSignal;
}

interface UntilReady {
  name: string;
  life: Life;
  isReady: () => Promise<boolean>;
  withinMs: number;
  lives: number;
  clock: Clock;
}

async function untilReady({ name, life, isReady, withinMs, lives, clock }: UntilReady): Promise<void> {
  const until = clock.elapsed() + withinMs;
  while (life.ends < lives && clock.elapsed() < until && !life.stopped.aborted) {
    if (await isReady()) return;
    await pause(POLL_MS);
  }
  const lastLines =
    life.last.length > 0 ? ` It said last:\n  ${life.last.join('\n  ')}` : ' It said nothing.';
  const seconds = Math.round(withinMs / 1000);
  const how = life.ends < lives ? `is not ready after ${seconds} s` : 'does not stay up';
  throw new McpctlError('setup_failed', `${name} ${how}.${lastLines}`);
}

const SERVER_READY_MS = 60_000;

/** Starts one of our own servers and keeps it running; `untilUp` waits until it takes connections. */
export function keepServer(
  server: LocalServer,
  { line, say, note, clock }: Pick<KeepDeps, 'line' | 'say' | 'note' | 'clock'>,
): Kept & { untilUp: () => Promise<void> } {
  const kept = keepRunning({
    name: server.name,
    prepare: () => server.prepare(),
    started: (pid) => server.started(pid),
    quiet: true,
    ...{ line, say, note, clock },
  });
  const bounds = { withinMs: SERVER_READY_MS, lives: 1 };
  return { ...kept, untilUp: () => kept.untilReady(() => server.isReady(), bounds) };
}
