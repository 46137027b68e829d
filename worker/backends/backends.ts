import { isDeepStrictEqual } from 'node:util';
import type { WakeResult } from '../../core/member/wake.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';
import { concurrencyOf, isAvailable, type Opened } from './open-providers.ts';
import type { RecipeDeps } from '../wake/recipe.ts';
import { WakeRunner, type Sleeper } from '../wake/wake-runner.ts';
import { BackendWatch, type Watched } from './watch.ts';
import { oneLine } from '../../core/runtime/plain.ts';
/** @returns what does that, and knows what is so at its beginning. */
export type WatchOwner = (hooks: {
  /** What is to be said of an llm is another thing now. */
  onChanged: () => void;
  /** What runs for an llm is to be handed back. */
  giveBack: (llmName: string) => void;
}) => Service & { first(): void };

export interface BackendsDeps extends RecipeDeps {
  opened: readonly Opened[];
  /** Publishes what is so now. */
  refresh: () => Promise<void>;
  /** Keeps them for the owner of this machine, who has said when. */
  watchOwner?: WatchOwner | undefined;
  /** Breaks off what runs for an llm, and hands it back. */
  giveBack?: (llmName: string) => void;
  /** Between two looks at them. */
  everyMs?: number;
  bus: Bus;
  clock: Clock;
  log: Log;
}

/** What this worker does about its backends: watches them, learns what they can do, and wakes those that sleep. */
export interface Backends extends Service {
  /** Before publishing: who sleeps, and what can the others do? */
  first(): Promise<void>;
  wake(llmName: string): Promise<WakeResult>;
  /** Ends the backends that it runs itself: when nothing of theirs runs any more. */
  end(): Promise<void>;
}

export function createBackends({
  opened,
  refresh,
  watchOwner,
  giveBack = () => undefined,
  ...deps
}: BackendsDeps): Backends {
  const watch = new BackendWatch({ ...deps, watched: opened.map((o) => watchedOf(o, opened)), refresh });
  const runner = new WakeRunner({
    ...deps,
    sleepers: opened.flatMap((o) => sleeperOf(o)),
    onAwake: (backend) => watch.awake(backend),
  });
  const keepers = new Map(opened.flatMap((o) => (o.kept ? [[o.kept, o.configured] as const] : [])));
  const owner = watchOwner?.({ onChanged: () => watch.changed(), giveBack });
  const leave: (() => void)[] = [];
  return {
    name: 'backends',
    first() {
      owner?.first();
      return watch.first();
    },
    wake: (llmName) => runner.wake(llmName),
    start() {
      watch.start();
      void owner?.start?.();
      for (const [kept, { name, backend }] of keepers) {
        const begin = (): void => void runner.wake(name, true);
        kept.keptBy({ onGone: () => watch.gone(backend), onChanged: () => watch.changed(), begin });
        if (kept.isEager) begin();
      }
      for (const { gate, configured } of opened) {
        const suspect = (): void => {
          if (gate.state === 'down' && gate.standing === 'serving') void watch.suspect(configured.backend);
        };
        leave.push(gate.onChange(suspect));
      }
    },
    async stop() {
      for (const stop of leave.splice(0)) stop();
      await Promise.all([watch.stop(), runner.stop(), owner?.stop()]);
    },
    async end() {
      await Promise.all([...keepers.keys()].map((kept) => kept.stop()));
    },
  };
}

function sleeperOf(opened: Opened): Sleeper[] {
  const { gate, kept, configured } = opened;
  const { name, backend } = configured;
  const wake = kept?.wakesBy ?? configured.wake;
  if (!wake) return [];
  return [
    {
      ...{ name, backend, wake },
      ...(kept && { carryOut: (signal: AbortSignal) => kept.wake(signal) }),
      isAsleep: () => gate.standing === 'asleep',
      isAvailable: (signal) => isAvailable(opened, signal),
    },
  ];
}

function watchedOf(opened: Opened, all: readonly Opened[]): Watched {
  const {
    provider,
    slots,
    gate,
    configured: { name, backend, model, wake },
    kept,
  } = opened;
  return {
    name,
    backend,
    canWake: wake !== undefined || kept !== undefined,
    isAvailable: (signal) => isAvailable(opened, signal),
    fingerprint: async (signal) => await provider.modelsFingerprint?.(signal),
    isBusy: () => slots.taken > 0,
    become(state) {
      gate.stand(state);
      if (state === 'asleep') kept?.silent();
    },
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
