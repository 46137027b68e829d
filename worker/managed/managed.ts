import { messageOf } from '../../core/errors.ts';
import { anySignal } from '../../core/runtime/any-signal.ts';
import { pause, type Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import { Crashes } from '../children/crashes.ts';
import { childEnvironment } from '../children/environment.ts';
import type { GroupGuard } from '../children/guard.ts';
import { memoryOf } from '../children/memory.ts';
import { aborted, type Kept, type Keeper, type Uses } from '../backends/kept.ts';
import type { ManagedEntry } from '../sources/config-schema.ts';
import type { ManagedState, ManagedStatus } from '../local/protocol.ts';
import { commandEnvironment } from '../wake/command.ts';
import { answersAt, isListening } from './probe.ts';
import { DeadlyTasks, ServerProcess } from './server-process.ts';
import { usualTurn, type Taker, type Turn, type Turns } from './turns.ts';

export interface ManagedDeps {
  /** The llm whose entry says how it is started. */
  name: string;
  entry: ManagedEntry;
  /** Without it a backend that nobody calls runs on. */
  idleStopMs: number | undefined;
  /** Of the backend. */
  url: URL;
  readKey: () => Promise<string | undefined>;
  uses: Uses;
  /** Of its group; one of its own where it is in none. */
  turns: Turns;
  turn?: Turn;
  /** Of a group the first. */
  isEager: boolean;
  guard: GroupGuard;
  /** The worker's own environment. */
  environment: Readonly<Record<string, string | undefined>>;
  /** The folder of this machine's secrets. */
  secretsAt: string;
  /** A relative `cwd` is in it. */
  home: string;
  /** Takes what it prints. */
  keep: (line: string) => void;
  /** Takes what nobody is told off this machine out of a text. */
  clean: (text: string) => string;
  /** Loads its models. */
  warmUp: (signal: AbortSignal) => Promise<void>;
  clock: Clock;
  log: Log;
}

const nobody: Keeper = { onGone: () => undefined, onChanged: () => undefined, begin: () => undefined };

const LOOK_MS = 250;
/** With the wait until another of its group has ended what it runs: who asked for it waits an hour at most. */
const LONGEST_WAKE_S = 3_500;
/** What listens at its address may be the one before, which ends. */
const FREE_WITHIN_MS = 6_000;
const MEMORY_EVERY_MS = 5_000;
const END_HEARD_MS = 500;

/**
 * A backend that this worker starts and stops itself: one process of it at a time, begun by who calls it, begun again with
 * growing patience when it ends by itself, ended when nobody has called it for a while, or another of its group is called.
 */
export class Managed implements Kept, Taker {
  readonly name: string;
  readonly wakesBy = { type: 'managed', maxWaitSeconds: LONGEST_WAKE_S } as const;
  readonly #deps: ManagedDeps;
  readonly #over = new AbortController();
  readonly #crashes: Crashes;
  #keeper = nobody;
  #process: ServerProcess | undefined;
  #state: ManagedState = 'stopped';
  #reason: string | null = null;
  #lastExit: string | null = null;
  #lastLine: string | null = null;
  readonly #deadly = new DeadlyTasks();
  #starts = 0;
  #readyAt = 0;
  #lookedAt = 0;
  #ending: Promise<void> | undefined;
  #look: NodeJS.Timeout | undefined;
  #again: NodeJS.Timeout | undefined;

  constructor(deps: ManagedDeps) {
    this.name = deps.name;
    this.#deps = deps;
    this.#crashes = new Crashes(deps.clock);
  }

  get uses(): Uses {
    return this.#deps.uses;
  }

  get isUp(): boolean {
    return this.#state === 'ready';
  }

  get isEager(): boolean {
    return this.#deps.isEager;
  }

  get status(): ManagedStatus {
    return {
      state: this.#state,
      reason: this.#reason,
      pid: this.#process?.pid ?? null,
      lastExit: this.#lastExit,
      lastLine: this.#process?.lastLine || this.#lastLine,
      starts: this.#starts,
    };
  }

  /** Why it takes nothing now, as a sentence for everybody; null while it serves. */
  get why(): string | null {
    switch (this.#state) {
      case 'ready':
        return null;
      case 'stopped':
        return 'Its worker starts it when it is called.';
      case 'waiting':
        return `It waits until another backend of the group ${this.#deps.entry.group ?? ''} has ended what it runs.`;
      case 'starting':
        return 'Its worker is starting it.';
      case 'stopping':
        return 'Its worker stops it: it has been idle, or another of its group is called.';
      case 'failed':
        return this.#reason;
    }
  }

  keptBy(keeper: Keeper): void {
    this.#keeper = keeper;
    this.#look = setInterval(() => this.#lookAfter(), LOOK_MS);
    this.#look.unref();
  }

  async wake(signal: AbortSignal): Promise<string | null> {
    // It says that it runs, and does not answer, or nobody would have asked for it.
    this.silent();
    clearTimeout(this.#again);
    const both = anySignal([signal, this.#over.signal]);
    // One that is just being stopped is stopped first: it may be running something still.
    await Promise.race([this.#ending, aborted(both)]);
    if (both.aborted) return 'It was not started in time.';
    this.#become('waiting');
    const why = await this.#deps.turns.take(this, both, () => this.#begin(both));
    if (why?.failed !== undefined) return why.failed;
    if (why) return null;
    this.#become('stopped');
    return this.#over.signal.aborted ? 'Its worker stops.' : 'Another backend of its group still runs.';
  }

  async makeRoom(signal: AbortSignal): Promise<boolean> {
    clearTimeout(this.#again);
    while (this.#state === 'ready' && !this.#hadItsTurn() && !signal.aborted) await pause(LOOK_MS, signal);
    if (signal.aborted) return false;
    if (this.#state === 'ready') this.#retire();
    await Promise.race([this.#ending, aborted(signal)]);
    return !signal.aborted;
  }

  silent(): void {
    if (this.#state === 'ready') this.#fail('It no longer answered.');
  }

  watchEnd(taskId: string): () => Promise<string | null> {
    const process = this.#process;
    return async () => {
      if (!process) return null;
      // The connection breaks a moment before the end of the process is heard of.
      await Promise.race([process.ended, pause(END_HEARD_MS)]);
      if (!process.hasEnded || this.#deadly.isOneOf(taskId)) return null;
      return this.#deps.clean(`It ${await process.ended}.`);
    };
  }

  async stop(): Promise<void> {
    this.#over.abort();
    clearInterval(this.#look);
    clearTimeout(this.#again);
    const process = this.#process;
    this.#process = undefined;
    this.#state = 'stopped';
    await Promise.all([process?.stop(), this.#ending]);
  }

  get #now(): number {
    return this.#deps.clock.elapsed();
  }

  async #begin(signal: AbortSignal): Promise<{ failed?: string }> {
    const { entry, clock, log } = this.#deps;
    this.#become('starting');
    const startBy = anySignal([signal, AbortSignal.timeout(entry.startSeconds * 1_000)]);
    const began = clock.elapsed();
    const why = await this.#launch(startBy).catch(
      (thrown: unknown) => `It was not started: ${messageOf(thrown)}.`,
    );
    if (why !== null) {
      const failed = this.#over.signal.aborted ? 'Its worker stops.' : why;
      this.#fail(failed);
      return { failed };
    }
    this.#readyAt = this.#lookedAt = this.#now;
    this.#crashes.began();
    this.#reason = null;
    this.#become('ready');
    const ms = Math.round(clock.elapsed() - began);
    log.info({ llm: this.name, pid: this.#process?.pid, ms }, 'a managed backend runs');
    return {};
  }

  /** @returns why it does not run and answer; null when it does. */
  async #launch(signal: AbortSignal): Promise<string | null> {
    const { url, clock } = this.#deps;
    const freeBy = clock.elapsed() + FREE_WITHIN_MS;
    while (await isListening(url, signal)) {
      if (clock.elapsed() > freeBy)
        return 'Something that this worker did not start listens at its address already: end that, or change the port.';
      await pause(LOOK_MS, signal);
    }
    if (signal.aborted) return 'It was not started in time.';
    const process = this.#spawn();
    this.#process = process;
    this.#starts += 1;
    void process.ended.then((how) => this.#ended(process, how));
    if (await this.#untilReady(process, signal)) await this.#warmUp(process, signal);
    else if (!process.hasEnded) return this.#tooLate(process);
    return process.hasEnded ? this.#deps.clean(`It ${await process.ended}.`) : null;
  }

  async #untilReady(process: ServerProcess, signal: AbortSignal): Promise<boolean> {
    const { entry, url, readKey } = this.#deps;
    const key = await readKey().catch(() => undefined);
    while (!signal.aborted && !process.hasEnded) {
      if (await answersAt(url, { path: entry.ready, key, signal })) return true;
      await Promise.race([pause(LOOK_MS, signal), process.ended]);
    }
    return false;
  }

  /** What cannot be warmed up shows when the first task comes; the message may say too much. */
  async #warmUp(process: ServerProcess, signal: AbortSignal): Promise<void> {
    const { warmUp, log } = this.#deps;
    await Promise.race([warmUp(signal), process.ended]).catch(() => {
      log.warn(
        { llm: this.name },
        'a managed backend could not be warmed up; its first answer may take longer',
      );
    });
  }

  #tooLate(process: ServerProcess): string {
    const { entry, clean } = this.#deps;
    const words = process.lastLine === '' ? '' : ` It printed last: ${process.lastLine}`;
    return clean(`It was not ready within ${String(entry.startSeconds)} s.${words}`);
  }

  #spawn(): ServerProcess {
    const { entry, guard, environment, secretsAt, home, keep } = this.#deps;
    const declared = childEnvironment({ env: entry.env }, { own: {}, secretsAt });
    const env = { ...commandEnvironment(environment), ...declared.env };
    const { command, args, cwd = home } = entry;
    return new ServerProcess({
      ...{ command, args, cwd, guard, keep },
      environment: { env, secrets: declared.secrets },
    });
  }

  /** By itself, or as it was told to. */
  #ended(process: ServerProcess, how: string): void {
    this.#lastExit = how;
    this.#lastLine = process.lastLine || null;
    if (process !== this.#process || this.#state !== 'ready') return; // who starts or stops it tells
    this.#fail(this.#deps.clean(`It ${how}.`));
  }

  /** It does not run; whether it is tried again by itself is a matter of how often that has happened. */
  #fail(reason: string): void {
    const wasReady = this.#state === 'ready';
    this.#end();
    if (this.#over.signal.aborted) return;
    const { waitMs, loops } = this.#crashes.failed();
    const isTried = !loops && (wasReady || this.#deps.entry.group === undefined);
    const next = isTried
      ? `It is started again in ${String(Math.max(1, Math.round(waitMs / 1_000)))} s.`
      : 'It is started again when it is called.';
    this.#reason = `${reason} ${next}`;
    this.#deps.log.warn({ llm: this.name, why: reason, next }, 'a managed backend does not run');
    this.#become('failed');
    if (wasReady) this.#keeper.onGone();
    if (isTried) this.#again = setTimeout(() => this.#keeper.begin(), waitMs);
  }

  /** Takes nothing new, and ends when what it runs has ended. */
  #retire(): void {
    this.#become('stopping');
    this.#keeper.onGone();
    this.#ending = this.#drained().then(async () => {
      if (this.#state !== 'stopping') return;
      this.#end();
      this.#become('stopped');
      await this.#ending;
    });
  }

  /** Calls that come from now on wait until it is started again. */
  async #drained(): Promise<void> {
    const { uses } = this.#deps;
    const { signal } = this.#over;
    while (!signal.aborted && this.#state === 'stopping' && uses.running > 0)
      await pause(LOOK_MS / 5, signal);
  }

  #end(): void {
    const process = this.#process;
    this.#process = undefined;
    if (!process) return;
    const ending = process.stop().finally(() => {
      if (this.#ending === ending) this.#ending = undefined;
    });
    this.#ending = ending;
  }

  #lookAfter(): void {
    if (this.#state !== 'ready') return;
    const { idleStopMs, log } = this.#deps;
    const { memoryMb } = this.#deps.entry;
    if (idleStopMs !== undefined && this.#idleMs() > idleStopMs) {
      log.info({ llm: this.name }, 'a managed backend is stopped: nobody calls it');
      return this.#retire();
    }
    if (memoryMb === undefined || this.#now - this.#lookedAt < MEMORY_EVERY_MS) return;
    this.#lookedAt = this.#now;
    const bytes = memoryOf(this.#process?.pid);
    if (bytes !== null && bytes > memoryMb * 1024 * 1024)
      this.#fail(`It used more than ${String(memoryMb)} MiB of memory and was ended.`);
  }

  #idleMs(): number {
    return this.#now - Math.max(this.#deps.uses.lastAt, this.#readyAt);
  }

  #hadItsTurn(): boolean {
    const { uses, turn = usualTurn } = this.#deps;
    if (this.#now - this.#readyAt > turn.longestMs) return true;
    return this.#idleMs() > (uses.lastAt > this.#readyAt ? turn.idleMs : turn.firstMs);
  }

  #become(state: ManagedState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#keeper.onChanged();
  }
}
