import { isDeepStrictEqual } from 'node:util';
import type { WakeResult } from '../../core/member/wake.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';
import { concurrencyOf, type Opened } from './open-providers.ts';
import type { Environment } from '../wake/command.ts';
import { WakeRunner } from '../wake/wake-runner.ts';
import { BackendWatch, type Watched } from './watch.ts';
import { oneLine } from '../../core/runtime/plain.ts';
export interface BackendsDeps {
  opened: readonly Opened[];
  /** Publishes what is so now. */
  refresh: () => Promise<void>;
  /** What a wake command may see of the worker's environment. */
  environment: Environment;
  bus: Bus;
  clock: Clock;
  log: Log;
}

/** What this worker does about its backends: watches them, learns what they can do, and wakes those that sleep. */
export interface Backends extends Service {
  /** Before publishing: who sleeps, and what can the others do? */
  first(): Promise<void>;
  wake(llmName: string): Promise<WakeResult>;
}

export function createBackends({ opened, refresh, environment, ...deps }: BackendsDeps): Backends {
  const watch = new BackendWatch({ ...deps, watched: opened.map((o) => watchedOf(o, opened)), refresh });
  const runner = new WakeRunner({
    ...deps,
    environment,
    sleepers: opened.flatMap(({ provider, gate, configured: { name, backend, wake } }) => {
      const isAvailable = (signal: AbortSignal): Promise<boolean> => provider.isAvailable(signal);
      return wake ? [{ name, backend, wake, isAsleep: () => gate.standing === 'asleep', isAvailable }] : [];
    }),
    onAwake: (backend) => watch.awake(backend),
  });
  const leave: (() => void)[] = [];
  return {
    name: 'backends',
    first: () => watch.first(),
    wake: (llmName) => runner.wake(llmName),
    start() {
      watch.start();
      for (const { gate, configured } of opened) {
        const suspect = (): void => {
          if (gate.state === 'down' && gate.standing === 'serving') void watch.suspect(configured.backend);
        };
        leave.push(gate.onChange(suspect));
      }
    },
    async stop() {
      for (const stop of leave.splice(0)) stop();
      await Promise.all([watch.stop(), runner.stop()]);
    },
  };
}

function watchedOf(opened: Opened, all: readonly Opened[]): Watched {
  const {
    provider,
    slots,
    gate,
    configured: { name, backend, model, wake },
  } = opened;
  return {
    name,
    backend,
    canWake: wake !== undefined,
    isAvailable: (signal) => provider.isAvailable(signal),
    fingerprint: async (signal) => await provider.modelsFingerprint?.(signal),
    isBusy: () => slots.taken > 0,
    become: (state) => opened.gate.stand(state),
    trouble: () => gate.trouble,
    learnListed: (signal) => learnListed(opened, signal),
    async learn(signal) {
      const learnt = await provider.probe?.(model, signal);
      if (learnt === undefined || isDeepStrictEqual(learnt, opened.learnt)) return false;
      opened.learnt = learnt;
      const sharing = all.filter((other) => other.slots === slots);
      slots.resize(Math.max(...sharing.map(concurrencyOf)));
      return true;
    },
  };
}

/** Only what was listed before can be missing: some backends list nothing, or by other names than they answer to. */
async function learnListed(opened: Opened, signal: AbortSignal): Promise<boolean> {
  const { provider, gate, configured } = opened;
  const listed = await provider.listModels(signal).catch(() => undefined);
  if (listed === undefined) return false;
  const why = saysUnlisted(
    configured.model,
    listed.map(({ id }) => id),
  );
  if (why === null && opened.listed === false) gate.relisted();
  if (why !== null && opened.listed === true) gate.unlisted(why);
  opened.listed = why === null;
  return true;
}

const MOST_NAMES = 5;
const LONGEST_NAME = 64;

/** The sentence of a model that a backend does not list; null when it does. Ollama lists what has no tag as the latest. */
function saysUnlisted(model: string, ids: readonly string[]): string | null {
  if (ids.includes(model) || ids.includes(`${model}:latest`)) return null;
  const names = ids.slice(0, MOST_NAMES).map((id) => oneLine(id).slice(0, LONGEST_NAME));
  const more = ids.length > MOST_NAMES ? ` and ${ids.length - MOST_NAMES} more` : '';
  const lists = names.length === 0 ? 'it lists none' : `it lists ${names.join(', ')}${more}`;
  return `The backend no longer lists the model ${oneLine(model)}; ${lists}.`;
}
