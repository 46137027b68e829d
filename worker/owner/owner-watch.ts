import { pause, type Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';
import type { Opened } from '../backends/open-providers.ts';
import type { ConfiguredProvider } from '../sources/config.ts';
import { OthersUse } from './others-use.ts';
import { quietUntil, type QuietSpan } from './quiet-hours.ts';

/** So long nobody else may have used the machine before it is offered again. */
const QUIET_MS = 60_000;
const LOOK_MS = 2_000;

export interface OwnerWatchDeps {
  configured: readonly ConfiguredProvider[];
  opened: readonly Opened[];
  /** What is to be said of an llm is another thing now. */
  onChanged: () => void;
  /** What runs for an llm is to be handed back. */
  giveBack: (llmName: string) => void;
  everyMs?: number;
  quietMs?: number;
  clock: Clock;
  log: Log;
}

interface Kept {
  opened: Opened;
  quiet: readonly QuietSpan[];
  quietCuts: boolean;
  ownerFirst: boolean;
}

/**
 * Keeps llms for whoever owns the machine: in their quiet hours, and with `ownerFirst` while something else than this worker
 * uses it. Nothing new is taken then, and what runs goes on, but with `quietCuts` in quiet hours, when it is handed back.
 */
export class OwnerWatch implements Service {
  readonly name = "watch of the owner's hours";
  readonly #deps: OwnerWatchDeps;
  readonly #kept: readonly Kept[];
  readonly #others: OthersUse;
  readonly #stopping = new AbortController();
  #usedAt = -Infinity;
  #loop: Promise<void> | undefined;

  constructor(deps: OwnerWatchDeps) {
    this.#deps = deps;
    this.#kept = deps.opened.flatMap((opened) => {
      const c = deps.configured.find(({ name }) => name === opened.configured.name);
      const { quiet = [], quietCuts = false, ownerFirst = false } = c ?? {};
      return quiet.length > 0 || ownerFirst ? [{ opened, quiet, quietCuts, ownerFirst }] : [];
    });
    const backends = new Map(
      deps.configured.map(({ type, url, backend }) => {
        const slots = deps.opened.find(({ configured }) => configured.backend === backend)?.slots;
        return [backend, { type, url: new URL(url), backend, running: () => slots?.taken ?? 0 }] as const;
      }),
    );
    this.#others = new OthersUse([...backends.values()]);
  }

  /** Before anything is published: what is quiet now takes nothing from the first moment on. */
  first(): void {
    this.#apply();
  }

  start(): void {
    this.#loop ??= this.#turn();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #turn(): Promise<void> {
    const { signal } = this.#stopping;
    const { everyMs = LOOK_MS, clock } = this.#deps;
    while (!signal.aborted) {
      if (this.#kept.some(({ ownerFirst }) => ownerFirst) && (await this.#others.look(signal)))
        this.#usedAt = clock.elapsed();
      if (signal.aborted) return;
      this.#apply();
      await pause(everyMs, signal);
    }
  }

  #apply(): void {
    const { clock, quietMs = QUIET_MS, giveBack, log } = this.#deps;
    const isUsed = clock.elapsed() - this.#usedAt < quietMs;
    const now = new Date(clock.now());
    let isNews = false;
    for (const { opened, quiet, quietCuts, ownerFirst } of this.#kept) {
      const until = quietUntil(quiet, now);
      const why = until !== null ? quietWords(until) : ownerFirst && isUsed ? usedWords(quietMs) : null;
      const isNew = why !== opened.gate.reserved;
      if (isNew) opened.gate.reserve(why);
      // Each time: what was on its way as the hour began is given back, too.
      if (until !== null && quietCuts) giveBack(opened.configured.name);
      if (!isNew) continue;
      log.info(
        { llm: opened.configured.name, why },
        why === null ? 'it takes tasks again' : 'it takes nothing new',
      );
      isNews = true;
    }
    if (isNews) this.#deps.onChanged();
  }
}

const quietWords = (until: string): string => `Its owner keeps it quiet until ${until}.`;
const usedWords = (quietMs: number): string =>
  `Its owner comes first and uses the machine: it takes nothing until ${String(quietMs / 1_000)} s of quiet.`;
