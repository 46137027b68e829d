import { pause } from '../../core/runtime/clock.ts';

/** Cut from the grace, so that what is aborted can still be handed back in time. */
const HAND_BACK_MS = 3_000;

/** Why a run was broken off. `lost`: somebody else decides about the task, so there is nothing more to say. `kept`: the owner has the machine now. */
export type StopReason = 'lost' | 'shutdown' | 'run_timeout' | 'kept';

/** A claim while it runs. */
export interface Running {
  taskId: string;
  llmName: string;
  claimId: string;
  /** Aborts with a `StopReason`. */
  aborting: AbortController;
}

/** Claims that ended before they were lost are among them. */
const MOST_LOST_EARLY = 256;

/** The claims that one transport runs, one per task. */
export class RunningClaims {
  readonly #byTask = new Map<string, { running: Running; ended: Promise<void> }>();
  readonly #lostEarly = new Set<string>();

  get size(): number {
    return this.#byTask.size;
  }

  /** @returns the way to say that it has ended. */
  begin(running: Running): () => void {
    let resolve: () => void = () => undefined;
    const ended = new Promise<void>((r) => (resolve = r));
    const entry = { running, ended };
    this.#byTask.set(running.taskId, entry);
    if (this.#lostEarly.delete(running.claimId)) running.aborting.abort('lost' satisfies StopReason);
    return () => {
      if (this.#byTask.get(running.taskId) === entry) this.#byTask.delete(running.taskId);
      resolve();
    };
  }

  /** Resolves when no run of that task goes on here. */
  async untilEnded(taskId: string): Promise<void> {
    for (let entry = this.#byTask.get(taskId); entry; entry = this.#byTask.get(taskId)) await entry.ended;
  }

  has(taskId: string, claimId: string): boolean {
    return this.#byTask.get(taskId)?.running.claimId === claimId;
  }

  /** There is a newer claim on the task, so a run of it here has lost its own. @returns when that has ended. */
  async overtake(taskId: string): Promise<void> {
    const entry = this.#byTask.get(taskId);
    entry?.running.aborting.abort('lost' satisfies StopReason);
    await entry?.ended;
  }

  /**
   * Somebody else decides about that claim now. Another claim on the same task is left alone. One that is not known yet may
   * have been granted just now: its answer comes over another connection.
   */
  lose(taskId: string, claimId: string): void {
    const running = this.#byTask.get(taskId)?.running;
    if (running?.claimId === claimId) return running.aborting.abort('lost' satisfies StopReason);
    this.#lostEarly.add(claimId);
    const [oldest] = this.#lostEarly;
    if (this.#lostEarly.size > MOST_LOST_EARLY && oldest !== undefined) this.#lostEarly.delete(oldest);
  }

  /** Breaks off all that runs, so that it is handed back: others have it. */
  giveBack(): void {
    for (const { running } of this.#byTask.values()) running.aborting.abort('shutdown' satisfies StopReason);
  }

  /** The same of what runs for one llm, whose owner keeps it for themselves. */
  giveBackOf(llmName: string): void {
    for (const { running } of this.#byTask.values())
      if (running.llmName === llmName) running.aborting.abort('kept' satisfies StopReason);
  }

  /**
   * Lets what runs finish within the grace, then breaks it off, in time to be handed back.
   * @param drained resolves when nothing runs any more.
   */
  async leaveWithin(graceMs: number, drained: Promise<unknown>): Promise<void> {
    const over = new AbortController();
    const draining = drained.then(() => over.abort());
    await pause(Math.max(0, graceMs - HAND_BACK_MS), over.signal);
    this.giveBack();
    await Promise.race([draining, pause(HAND_BACK_MS, over.signal)]);
  }

  /** Resolves when all that run now have ended. */
  async drained(): Promise<void> {
    await Promise.all([...this.#byTask.values()].map(({ ended }) => ended));
  }

  /** How many run for that llm. */
  ofLlm(name: string): number {
    return this.claims().filter((running) => running.llmName === name).length;
  }

  claims(): Running[] {
    return [...this.#byTask.values()].map(({ running }) => running);
  }
}
