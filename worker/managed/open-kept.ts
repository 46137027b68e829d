import { join } from 'node:path';
import { anySignal } from '../../core/runtime/any-signal.ts';
import { writtenPath } from '../../core/runtime/files/home.ts';
import { openLogs } from '../../core/runtime/files/kept-logs.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { GroupGuard } from '../children/guard.ts';
import type { Opened } from '../backends/open-providers.ts';
import { Uses, type Kept } from '../backends/kept.ts';
import { withoutPrivate } from '../providers/http/scrub.ts';
import type { ConfiguredProvider } from '../sources/config.ts';
import type { Environment } from '../wake/command.ts';
import { Managed } from './managed.ts';
import { PutToSleep } from './put-to-sleep.ts';
import { Turns, type Turn } from './turns.ts';

export interface KeptDeps {
  /** The worker's home: a relative `cwd` is in it, and secrets of this machine. */
  home: string;
  /** The folder of what the backends print. */
  logsAt: string;
  guard: GroupGuard;
  environment: Environment;
  /** How long one of a group has its turn while others wait. */
  turn?: Turn;
  clock: Clock;
  log: Log;
}

/** Enough for any model; past it the first caller waits for the rest of it. */
const WARM_UP_MS = 10 * 60_000;

/** Gives the backends that this worker starts, or puts to sleep, who keeps them; all llms of one share that. */
export function keepBackends(
  configured: readonly ConfiguredProvider[],
  opened: readonly Opened[],
  deps: KeptDeps,
): readonly Kept[] {
  const logs = openLogs({ complain: (sentence) => deps.log.warn(sentence) });
  if (configured.some(({ managed }) => managed)) logs.into(deps.logsAt);
  const groups = new Map<string, Turns>();
  return configured.flatMap((c) => {
    if (!c.managed && !c.sleep) return [];
    const own = opened.filter((one) => one.configured.backend === c.backend);
    if (own.some(({ kept }) => kept)) return []; // said of it twice, in the same words
    const group = c.managed?.group ?? c.backend;
    const isEager = !groups.has(group);
    const turns = groups.get(group) ?? new Turns();
    groups.set(group, turns);
    const keep = (line: string): void => logs.keep(`backend-${c.name}`, line);
    const kept = keptOf(c, own, { ...deps, uses: new Uses(deps.clock), turns, isEager, keep });
    if (!kept) return [];
    for (const one of own) one.kept = kept;
    return [kept];
  });
}

interface Shared extends KeptDeps {
  uses: Uses;
  turns: Turns;
  isEager: boolean;
  keep: (line: string) => void;
}

function keptOf(c: ConfiguredProvider, own: readonly Opened[], deps: Shared): Kept | null {
  const { name, managed, sleep, wake, idleStopMs, readKey } = c;
  if (sleep && wake) return new PutToSleep({ ...deps, name, sleep, wake, idleMs: idleStopMs ?? IDLE_MS });
  if (!managed) return null;
  const url = new URL(c.url);
  const { cwd } = managed;
  const entry = cwd === undefined ? managed : { ...managed, cwd: writtenPath(cwd, deps.home) };
  const warmUp = async (signal: AbortSignal): Promise<void> => {
    const within = anySignal([signal, AbortSignal.timeout(WARM_UP_MS)]);
    await Promise.all(own.map(async ({ provider }) => await provider.warmup?.(within)));
  };
  return new Managed({
    ...deps,
    ...{ name, entry, url, readKey, idleStopMs, warmUp },
    secretsAt: join(deps.home, 'secrets'),
    clean: (text) => withoutPrivate(text, { key: undefined, url }),
  });
}

/** Of a sleep recipe that does not say. */
const IDLE_MS = 15 * 60_000;
