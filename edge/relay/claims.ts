import { eachInTurn, type Missed } from '../../core/runtime/each-in-turn.ts';
import type { LoopName } from '../../core/task/events.ts';
import type { HandBack } from '../../core/task/hand-back.ts';
import { messageOf } from '../../core/errors.ts';
import { endDeadClaim } from '../../core/flow/end-dead.ts';
import { beat, endClaim, handBack, type ClaimRef } from '../../core/queue/task/claim.ts';
import { mostMs, unseenMs } from '../../core/runtime/time-of-bytes.ts';
import { readFences, type Fence } from '../../core/queue/task/fence.ts';
import { lastHeard } from '../../core/queue/live/running.ts';
import type { Outcome } from '../../core/task/outcome.ts';
import { finishJob, type HeldJob, type LetGo } from '../../core/task/let-go.ts';
import type { Carried, RelayDeps } from './relay-deps.ts';

/** A claim that a session's worker runs, with the BullMQ job behind it. */
export interface HeldClaim {
  claim: ClaimRef;
  llmId: string;
  job: HeldJob;
  runMs: number;
  /** How long it ran before it was ours. */
  agedMs?: number;
}

interface Held extends HeldClaim {
  /** When it was claimed, by the clock's `elapsed()`. */
  began: number;
  since: number;
  /** Its worker has said something of it. */
  heard: boolean;
  /** Of the frame that brings it; 0 where none does. */
  bytes: number;
  /** The connection has taken all of the frame. */
  isSent: boolean;
  /** When it was spoken for here last, as nobody else can yet. */
  vouchedAt: number;
  readsMs: number;
  /** Gives the slot back. */
  free: () => void;
}

const leaving: HandBack = { counts: 'none', code: 'shutting_down', message: 'The worker said goodbye.' };
const left = {
  kind: 'failed',
  code: 'shutting_down',
  message: 'The worker was shut down while it answered.',
} as const;
const lost = { kind: 'failed', code: 'worker_lost' } as const;
const overrun = {
  kind: 'failed',
  code: 'run_timeout',
  message: 'The task ran longer than its time limit.',
} as const;
const unheard: HandBack = {
  counts: 'none',
  code: 'shutting_down',
  message: 'The worker could not be reached.',
};
/** A worker speaks for a task as soon as it has it; one that has not by then did not get it, unless much was on its way. */
const ARRIVES_MS = 5_000;
/** Between two beats on behalf of a worker that cannot have its task yet; its own ones show between them. */
const VOUCH_MS = 2_000;
/** Between the claim in Redis and our knowing of it. */
const BEAT_LAG_MS = 500;
/** A beat is missed while the way of an answer is made anew, within a second. */
const HEARD_MS = 2_500;
/** The worker ends a run at its limit itself; one that does not is ended this much later. */
const OVERRUN_MS = 5_000;
/** A claim is looked at this long after it was taken. */
const SETTLED_MS = 1_000;

/**
 * What a session's worker runs for us. A claim is let go of when the edge that heard its end says so; in case that
 * message is lost, the fences are looked at now and then. Nothing here speaks for a claim that runs: its beats and its
 * answer come from the worker.
 */
export class RelayClaims {
  readonly #deps: RelayDeps;
  readonly #carried: Carried;
  readonly #cancel: (ref: { taskId: string; claimId: string }) => void;
  readonly #entries = new Map<string, Held>();

  constructor(deps: RelayDeps, carried: Carried, cancel: (ref: { taskId: string; claimId: string }) => void) {
    this.#deps = deps;
    this.#carried = carried;
    this.#cancel = cancel;
  }

  get size(): number {
    return this.#entries.size;
  }

  count(llmId: string): number {
    let count = 0;
    for (const entry of this.#entries.values()) if (entry.llmId === llmId) count += 1;
    return count;
  }

  has(claimId: string): boolean {
    return this.#entries.has(claimId);
  }

  refs(): { taskId: string; poolKey: string; claimId: string }[] {
    return [...this.#entries.values()].map(({ claim: { taskId, poolKey, claimId } }) => ({
      taskId,
      poolKey,
      claimId,
    }));
  }

  /**
   * @param how.free gives back the slot that the claim takes, when it is let go of.
   * @param how.heard its worker has said already that it runs.
   * @param how.readsMs how much longer than others its backend may take to read it, before it says anything.
   * @param how.bytes of a frame that brings it: until `sent`, and while so many may be on their way, it is spoken for here.
   */
  hold(
    entry: HeldClaim,
    {
      free,
      heard,
      bytes = 0,
      readsMs = 0,
    }: { free: () => void; heard: boolean; bytes?: number; readsMs?: number },
  ): void {
    const now = this.#deps.clock.elapsed();
    const began = now - (entry.agedMs ?? 0);
    const way = { bytes, isSent: bytes === 0, vouchedAt: -Infinity };
    this.#entries.set(entry.claim.claimId, { ...entry, ...way, free, heard, readsMs, since: now, began });
  }

  /** All of it is on its way: from now on its worker is to speak for it. */
  sent(claimId: string): void {
    const entry = this.#entries.get(claimId);
    if (!entry || entry.isSent) return;
    entry.isSent = true;
    entry.since = this.#deps.clock.elapsed();
  }

  /** The claim is over. */
  async over(claimId: string, letGo: LetGo): Promise<void> {
    const entry = this.#drop(claimId);
    if (entry) await finishJob(entry.job, letGo);
  }

  /** The claim may speak no more. */
  async cancel(claimId: string): Promise<void> {
    const entry = this.#entries.get(claimId);
    if (!entry) return;
    this.#cancel({ taskId: entry.claim.taskId, claimId });
    await this.over(claimId, { kind: 'lost' });
  }

  #missed(loop: LoopName): (missed: Missed) => void {
    return (missed) => void this.#deps.bus.emit('loop.left', { loop, ...missed, ended: 0 });
  }

  /** Another stream has the session: its edge holds the claims from here on. */
  forget(): void {
    for (const claimId of [...this.#entries.keys()]) this.#drop(claimId);
  }

  /** Says of every claim that it runs, for a worker that does not say so itself. */
  async vouch(): Promise<void> {
    for (const { claim } of [...this.#entries.values()]) {
      if (!(await beat({ redis: this.#deps.commands, keys: this.#deps.keys }, claim))) {
        await this.cancel(claim.claimId);
      }
    }
  }

  /**
   * Lets go of what is over, by the fences; ends what ran too long; takes back what never arrived.
   * @returns false when something was never heard of: what is sent down this stream does not arrive.
   */
  async look(): Promise<boolean> {
    const now = this.#deps.clock.elapsed();
    const due = [...this.#entries.values()].filter((entry) => now - entry.since > SETTLED_MS);
    if (due.length === 0) return true;
    const [fences, ages] = await Promise.all([this.#fences(due), this.#ages(due)]);
    const unheard: ClaimRef[] = [];
    const dull: Held[] = [];
    const lookAt = async ([i, entry]: [number, Held]): Promise<void> => {
      const fence = fences[i];
      const { claim, since, began, runMs } = entry;
      if (fence?.claim === claim.claimId && fence.state === 'open') {
        if (now - began > runMs + OVERRUN_MS) await this.#end(claim, overrun);
        if (fence.seq === 0 && now - began > this.#deps.config.firstEventMs + entry.readsMs) dull.push(entry);
        entry.heard ||= (ages[i] ?? Infinity) < now - Math.max(since, entry.vouchedAt) - BEAT_LAG_MS;
        if (!entry.heard && !(await this.#mayArrive(entry, now))) unheard.push(claim);
      } else if (fence?.claim === claim.claimId && fence.state === 'released')
        await this.over(claim.claimId, { kind: 'handed back' });
      else if (fence?.claim === claim.claimId && fence.state === 'ended')
        await this.over(claim.claimId, { kind: 'completed' });
      else await this.cancel(claim.claimId);
    };
    await eachInTurn([...due.entries()], lookAt, this.#missed('relay-look'));
    await eachInTurn(dull, (entry) => this.#passOn(entry), this.#missed('relay-look'));
    return await this.#takeBackAll(unheard);
  }

  /**
   * Not heard of, and no wonder: bytes that move are a sign of life, and a worker that takes none of them is dropped by its
   * stream. One frame comes after the other, so what is on its way before it counts as well.
   */
  async #mayArrive(entry: Held, now: number): Promise<boolean> {
    let onTheWay = 0;
    for (const { heard, bytes } of this.#entries.values()) if (!heard) onTheWay += bytes;
    const waitMs = entry.isSent ? ARRIVES_MS + unseenMs(onTheWay) : mostMs(onTheWay);
    if (now - entry.since > waitMs) return false;
    if (waitMs > ARRIVES_MS + VOUCH_MS && now - Math.max(entry.since, entry.vouchedAt) >= VOUCH_MS) {
      await beat({ redis: this.#deps.commands, keys: this.#deps.keys }, entry.claim);
      entry.vouchedAt = this.#deps.clock.elapsed();
    }
    return true;
  }

  /**
   * It lives, and has said nothing of the answer for longer than anybody waits: another member gets the task, if there is
   * one, and this one rests.
   */
  async #passOn({ claim, llmId }: Held): Promise<void> {
    const { commands: redis, keys, presence, rests, config, log } = this.#deps;
    const { session } = this.#carried;
    const { members } = await presence.members(claim.poolKey);
    if (!members.some((member) => member.sessionId !== session && member.state === 'serving')) return;
    const message = `The worker said nothing of its answer for ${String(Math.round(config.firstEventMs / 1_000))} s.`;
    const why: HandBack = { counts: 'attempt', code: 'backend_timeout', message };
    if ((await handBack({ redis, keys }, claim, why)) !== 'ok') return;
    const restMs = rests.begin(llmId);
    log.warn({ taskId: claim.taskId, llmId, session, restMs }, 'a worker said nothing of a task; it rests');
    this.#cancel(claim);
    await this.over(claim.claimId, { kind: 'handed back' });
  }

  /** @returns false when something was taken back. */
  async #takeBackAll(unheard: readonly ClaimRef[]): Promise<boolean> {
    if (unheard.length === 0 || !(await this.#deps.sight.maySee(this.#carried.session))) return true;
    let arrives = true;
    const takeBack = async (claim: ClaimRef) => (arrives = (await this.#takeBack(claim)) && arrives);
    await eachInTurn(unheard, takeBack, this.#missed('relay-look'));
    return arrives;
  }

  /** @returns false when it was taken back. */
  async #takeBack(claim: ClaimRef): Promise<boolean> {
    const { commands: redis, keys, log } = this.#deps;
    if ((await handBack({ redis, keys }, claim, unheard)) !== 'ok') return true;
    log.warn({ taskId: claim.taskId }, 'a task did not arrive at its worker');
    await this.over(claim.claimId, { kind: 'handed back' });
    return false;
  }

  /**
   * The worker has left: what nobody has seen starts over elsewhere, and nothing is held against it.
   * @param putOut why it may not serve any more, when it did not leave by itself.
   */
  async handBackAll(putOut?: string): Promise<void> {
    const { commands: redis, keys } = this.#deps;
    const letGo = async ({ claim }: Held): Promise<void> => {
      const why: HandBack =
        putOut === undefined ? leaving : { ...leaving, message: `The worker was put out: ${putOut}` };
      const last =
        putOut === undefined
          ? left
          : { ...lost, message: `The worker was put out while it answered: ${putOut}` };
      if ((await handBack({ redis, keys }, claim, why)) === 'shown') await this.#end(claim, last);
      else this.#drop(claim.claimId);
    };
    await eachInTurn([...this.#entries.values()], letGo, this.#missed('relay-hand-back'));
  }

  /**
   * The stream was lost so long ago: decides about each claim whose worker is silent since. One that was heard of after the loss
   * lives, and has another way to us: it may miss a beat.
   * @returns how many claims are still spoken for.
   */
  async endDead(lostMs: number): Promise<number> {
    const all = [...this.#entries.values()];
    const [fences, ages] = await Promise.all([this.#fences(all), this.#ages(all)]);
    if (this.#deps.queue.steps.isBlind()) return this.#entries.size;
    let dead = 0;
    const end = async ([i, entry]: [number, Held]): Promise<void> => {
      const { claim } = entry;
      const fence = fences[i];
      if (!fence || fence.claim !== claim.claimId || fence.state !== 'open') {
        this.#drop(claim.claimId);
        return;
      }
      // It never left this process, and its worker has died of nothing of it.
      if (!entry.heard && !entry.isSent && !(await this.#takeBack(claim))) return;
      const ageMs = ages[i] ?? Infinity;
      if (ageMs < Math.min(lostMs, HEARD_MS)) return;
      const decided = await endDeadClaim(this.#deps.flow, {
        taskId: claim.taskId,
        poolKey: claim.poolKey,
        fence,
        why: 'disconnected',
      });
      await this.over(claim.claimId, decided === 'ended' ? lost : { kind: 'handed back' });
      dead += 1;
    };
    await eachInTurn([...all.entries()], end, this.#missed('relay-dead'));
    const { session: sessionId, boot } = this.#carried;
    if (dead > 0) this.#deps.bus.emit('worker.dead', { sessionId, boot, why: 'disconnected', tasks: dead });
    return this.#entries.size;
  }

  async #end(claim: ClaimRef, outcome: Extract<Outcome, { kind: 'failed' }>): Promise<void> {
    const { commands: redis, keys, config } = this.#deps;
    try {
      await endClaim({ redis, keys, eventKeepMs: config.eventKeepMs }, claim, outcome);
    } catch (thrown) {
      this.#deps.log.debug({ taskId: claim.taskId, why: messageOf(thrown) }, 'a claim is left to the reaper');
    }
    this.#cancel(claim);
    await this.over(claim.claimId, outcome);
  }

  #drop(claimId: string): Held | undefined {
    const entry = this.#entries.get(claimId);
    this.#entries.delete(claimId);
    entry?.free();
    return entry;
  }

  #fences(entries: readonly Held[]): Promise<(Fence | null)[]> {
    const { commands, keys } = this.#deps;
    return readFences(
      commands,
      keys,
      entries.map(({ claim }) => claim),
    );
  }

  /** Milliseconds since each was last heard of, by Redis's clock. */
  async #ages(entries: readonly Held[]): Promise<number[]> {
    const { commands, keys, queue } = this.#deps;
    return await lastHeard(
      { redis: commands, keys, steps: queue.steps },
      entries.map(({ claim }) => claim),
    );
  }
}
