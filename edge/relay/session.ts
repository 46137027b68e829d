import { messageOf } from '../../core/errors.ts';
import type { LlmRow } from '../../core/llm.ts';
import { announcedStateOf } from '../../core/member/member-state.ts';
import { keptMs, type MemberPresence } from '../../core/member/presence.ts';
import type { Frame } from '../../core/member/protocol.ts';
import { letGoOf, type Control } from '../../core/queue/live/control.ts';
import { pause } from '../../core/runtime/clock.ts';
import { adopt } from './adopt.ts';
import { RelayClaims } from './claims.ts';
import { PING_MS, type ControlStream } from './control-stream.ts';
import { createMember, groupOf, slotsOf, standingOf, type RelayMember } from './member.ts';
import type { Carried, RelayDeps } from './relay-deps.ts';
import { SlotGroups } from '../../core/member/slots.ts';
import { ToldRests } from './rests.ts';
import { RelayWakes } from './wakes.ts';

const AGAIN_MS = 250;
/** How long a worker may take to open another stream, when this one may be dead. */
const DOUBT_MS = 3_000;
/** A beat comes each second, and is a little late now and then. */
const LATE_MS = 100;
/** Then it is the reaper's. */
const GIVE_UP_MS = 15_000;

/**
 * `open`: its stream is here. `moving`: this edge stops. `lost`: the stream broke, its claims are kept for a moment.
 * `gone`: it is not ours any more.
 */
type Phase = 'open' | 'moving' | 'lost' | 'gone';

/** One provider session whose stream this edge holds: takes tasks for its members and hands them down. */
export class RelaySession {
  readonly carried: Carried;
  readonly claims: RelayClaims;
  readonly #deps: RelayDeps;
  readonly #stream: ControlStream;
  readonly #changed: () => void;
  readonly #wakes: RelayWakes;
  readonly #slots = new SlotGroups();
  /** Which of them an llm takes from, by its id. */
  #groups: ReadonlyMap<string, string> = new Map();
  readonly #gone = new AbortController();
  readonly #handedOver = new AbortController();
  #members: RelayMember[] = [];
  readonly #ownRests = new ToldRests(() => this.#deps.clock.elapsed());
  /** Llms that their worker says are kept quiet: it may say so before their rows have been read. */
  #quiet: ReadonlySet<string> = new Set();
  #served: Promise<void> = Promise.resolve();
  #phase: Phase = 'open';
  #draining = false;
  /** The server gives it nothing new, whatever it says of itself. */
  #isHeld = false;
  /** Asked to open another stream, because what was sent down this one did not arrive. */
  #doubted = false;
  /** By the clock's `elapsed()`: the last sign of life. */
  #seenAt: number;

  /** @param options.changed is called when something is to be announced at once. */
  constructor(
    deps: RelayDeps,
    { carried, stream, changed }: { carried: Carried; stream: ControlStream; changed: () => void },
  ) {
    this.#deps = deps;
    this.#changed = changed;
    this.carried = carried;
    this.#stream = stream;
    this.#seenAt = deps.clock.elapsed();
    this.claims = new RelayClaims(deps, carried, (ref) => {
      this.#turnSwitches(); // its member may rest from now on: what comes next is not for it
      this.#send({ kind: 'cancel', ...ref });
    });
    this.#wakes = new RelayWakes(deps, { by: carried.nonce, send: (frame) => this.#send(frame) });
  }

  /** Aborts when this edge has nothing more to do with it. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Aborts when the edge that had an older stream has said what the worker runs. */
  get handedOver(): AbortSignal {
    return this.#handedOver.signal;
  }

  get stream(): ControlStream {
    return this.#stream;
  }

  /** Milliseconds without a sign of life. */
  get silentMs(): number {
    return this.#deps.clock.elapsed() - this.#seenAt;
  }

  get isOpen(): boolean {
    return this.#phase === 'open';
  }

  /** Some of it takes nothing, as far as its worker was heard. */
  get isIdle(): boolean {
    return this.isOpen && (this.#draining || this.#members.some(({ standing }) => standing !== 'serving'));
  }

  /** Counts the slots, before anything is taken. */
  prepare(rows: readonly LlmRow[]): void {
    for (const group of new Set(rows.map(groupOf))) this.#slots.of(group).resize(slotsOf(rows, group));
    this.#groups = new Map(rows.map((row) => [row.id, groupOf(row)]));
  }

  /**
   * Serves what its rows say; what runs for others goes on to its end. One call after the other: each reads the rows in
   * its turn, so that the latest registration is the one that stands. @throws McpctlError `unavailable`
   */
  serve(): Promise<void> {
    const serving = this.#served.then(async () => {
      await this.#serve(await this.#deps.losses.rowsOf(this.carried.session));
    });
    this.#served = serving.catch(() => undefined); // told to whoever asked for it
    return serving;
  }

  async #serve(rows: readonly LlmRow[]): Promise<void> {
    this.#isHeld = rows.some(({ hold }) => hold !== null);
    const served = rows.filter((row) => row.status !== 'inactive' || row.inactiveReason === 'backend_down');
    const isSame = (member: RelayMember, row: LlmRow): boolean =>
      member.llmId === row.id && member.poolKey === row.poolKey && member.group === groupOf(row);
    const dropped = this.#members.filter((member) => !served.some((row) => isSame(member, row)));
    this.prepare(served);
    const kept: RelayMember[] = [];
    const onHeld = (): void => this.#try('held', () => this.serve());
    const context = { deps: this.#deps, carried: this.carried, claims: this.claims, onHeld };
    const send = (frame: Frame, sent?: () => void): boolean => this.#send(frame, sent);
    for (const row of served) {
      const current = this.#members.find((member) => isSame(member, row));
      if (current) current.standing = standingOf(row, current.standing);
      const member = current ?? createMember({ ...context, send }, row, this.#slots.of(groupOf(row)));
      if (!current && this.#quiet.has(row.name)) member.standing = 'quiet';
      if (!current) await member.consumer.start();
      kept.push(member);
    }
    this.#members = kept;
    this.#slots.keepOnly(new Set(kept.map(({ group }) => group)));
    this.#turnSwitches();
    // Let go of meanwhile, it has nobody else who would dismiss them.
    for (const member of this.gone.aborted ? [...kept, ...dropped] : dropped) this.#dismiss(member);
  }

  /** What the worker runs, by what it says or what another edge knew; the rest of that it is told to stop. */
  async adopt(claims: readonly { taskId: string; claimId: string; poolKey?: string }[]): Promise<void> {
    const { current, stale } = await adopt(this.#deps, this.carried, claims);
    if (this.#phase !== 'open') return;
    for (const entry of current) {
      if (this.claims.has(entry.claim.claimId)) continue;
      const group = this.#groups.get(entry.llmId);
      const free = group === undefined ? () => undefined : this.#slots.of(group).occupy();
      this.claims.hold(entry, { free, heard: true });
    }
    for (const ref of stale) this.#send({ kind: 'cancel', ...ref });
  }

  hear(message: Control): void {
    switch (message.kind) {
      case 'cancel':
        return this.#try('cancel', () => this.claims.cancel(message.claimId));
      case 'done':
        this.#seenAt = this.#deps.clock.elapsed();
        return this.#try('done', () => this.claims.over(message.claimId, letGoOf(message)));
      case 'state':
        return this.#hearState(message);
      case 'wake': {
        const name = this.#members.find((member) => member.llmId === message.wakeId)?.name;
        if (name !== undefined && this.#phase === 'open') this.#wakes.wake(message.wakeId, name);
        return;
      }
      case 'server': {
        const { orderId, order, after, llmId } = message;
        const llmName = this.#members.find((member) => member.llmId === llmId)?.name;
        if (llmName !== undefined && this.#phase === 'open')
          this.#send({ kind: 'server', orderId, llmName, order, after });
        return;
      }
      case 'woken':
        return this.#wakes.woken(message.wakeId, message.message);
      case 'registered':
        return this.#try('registered', async () => {
          await this.serve();
          this.#changed();
        });
      case 'left':
        return this.#try('left', async () => {
          if (message.why !== undefined) return await this.end(message.why);
          await this.claims.handBackAll();
          this.letGo();
        });
      case 'held':
        if (message.nonce === this.carried.nonce)
          this.#try('held', async () => {
            await this.adopt(message.claims);
            this.#handedOver.abort();
          });
        return;
      case 'stream': // the relay compares the nonce
      case 'again': // its worker holds Redis itself, and hears it
        return;
    }
  }

  /** This edge stops: nothing new is taken, and the worker is asked to open its stream elsewhere. */
  move(): void {
    if (this.#phase !== 'open') return;
    this.#phase = 'moving';
    this.#turnSwitches();
    void this.#stream.moving();
  }

  /** Another stream has the session, or nobody: what it runs is not ours to speak for. */
  letGo(): void {
    if (this.#phase === 'gone') return;
    this.#phase = 'gone';
    this.#turnSwitches();
    this.claims.forget();
    this.#wakes.stop();
    for (const member of this.#members) this.#dismiss(member);
    this.#stream.close();
    this.#gone.abort();
  }

  /**
   * The worker may not serve any more: it is told why, nothing more is sent to it, and what it runs is taken from it,
   * however long Redis is away meanwhile.
   */
  async end(why: string): Promise<void> {
    if (this.#phase === 'gone') return;
    this.#phase = 'moving'; // its close is no loss
    this.#turnSwitches();
    const handedBack = this.claims.handBackAll(why);
    const ending = this.#stream.endWith(why);
    try {
      await Promise.all([handedBack, ending]);
    } catch (thrown) {
      this.#log('what a worker ran that was put out is left to the reaper', thrown);
    }
    this.letGo();
  }

  /**
   * The stream broke while we live. Its rows are inactive at once; its claims are kept for a second, and then given to
   * others unless their worker is still heard of.
   */
  async lose(): Promise<void> {
    if (this.#phase !== 'open') return this.letGo();
    this.#phase = 'lost';
    this.#turnSwitches();
    const since = this.#deps.clock.elapsed();
    const isTime = (): boolean => !this.gone.aborted && this.#deps.clock.elapsed() - since < GIVE_UP_MS;
    const loss = this.#tellLoss(isTime);
    await pause(since + keptMs + LATE_MS - this.#deps.clock.elapsed(), this.gone);
    let isDecided = false;
    while (isTime() && !isDecided) {
      try {
        isDecided = (await this.claims.endDead(this.#deps.clock.elapsed() - since)) === 0;
      } catch (thrown) {
        this.#log('the claims of a lost worker could not be decided about yet', thrown);
      }
      if (!isDecided) await pause(AGAIN_MS, this.gone);
    }
    await loss;
    // Once more, for a heartbeat that was on its way to the rows when they were written.
    if (isTime()) await this.#deps.losses.write(this.carried.session).catch(() => undefined);
    this.letGo();
  }

  /** To every edge, by Redis; then to the rows, which a Redis that is young has its readers ask. Until both have heard. */
  async #tellLoss(isTime: () => boolean): Promise<void> {
    const { presence, losses } = this.#deps;
    const { session, boot, nonce } = this.carried;
    const pools = [...new Set(this.#members.map((member) => member.poolKey))];
    for (let isAnnounced = false; isTime(); await pause(AGAIN_MS, this.gone)) {
      try {
        if (!isAnnounced && !(await presence.lose(session, { boot, nonce }, pools))) return this.letGo();
        isAnnounced = true;
        return await losses.write(session);
      } catch (thrown) {
        this.#log('a lost stream could not be announced yet', thrown);
      }
    }
  }

  /** Each second: pings, and lets go of claims whose end was not heard of. */
  async look(): Promise<void> {
    this.#turnSwitches();
    this.#stream.pingAfter(PING_MS, this.#deps.clock.elapsed());
    if (this.claims.size === 0) return;
    if (!this.carried.beats && this.#stream.isOpen) await this.claims.vouch();
    if (!(await this.claims.look()) && this.carried.beats) this.#doubt();
  }

  /**
   * What was sent did not arrive, or we could not hear that it did. A worker that hears this opens a new stream at once
   * and loses nothing; one that does not is behind a dead connection, and its stream is lost.
   */
  #doubt(): void {
    if (this.#phase !== 'open' || this.#doubted) return;
    this.#doubted = true;
    this.#turnSwitches();
    void this.#stream.moving();
    void pause(DOUBT_MS, this.gone).then(() => this.#stream.close());
  }

  /** What is announced of its members; nothing once it is not ours. */
  announced(): { poolKey: string; llmId: string; announcement: Omit<MemberPresence, 'llmId' | 'ageMs'> }[] {
    if (this.#phase !== 'open') return [];
    const { session: sessionId, boot, nonce } = this.carried;
    return this.#members.map(({ llmId, name, poolKey, slots, standing }) => ({
      ...{ poolKey, llmId },
      announcement: {
        ...{ sessionId, boot, nonce },
        slots: slots.size,
        running: this.claims.count(llmId),
        state: this.#announcedState(standing),
        restsMs: Math.max(this.#ownRests.leftMs(name), this.#deps.rests.leftMs(llmId)) || undefined,
      },
    }));
  }

  #announcedState(standing: RelayMember['standing']): MemberPresence['state'] {
    if (this.#draining || this.#isHeld) return 'draining';
    if (this.#isSilent()) return 'down';
    return announcedStateOf(standing);
  }

  #hearState({ state, members, rests }: Extract<Control, { kind: 'state' }>): void {
    this.#seenAt = this.#deps.clock.elapsed();
    if (state) this.#draining = state === 'draining';
    const standings = new Map(Object.entries(members ?? {}));
    if (members)
      this.#quiet = new Set([...standings].flatMap(([name, is]) => (is === 'quiet' ? [name] : [])));
    if (members) this.#ownRests.hear(rests);
    for (const member of this.#members) member.standing = standings.get(member.name) ?? member.standing;
    this.#turnSwitches();
    if (state || members) this.#changed();
    // That it is free again may not have been heard.
    if (this.#isHeld) this.#try('state', () => this.serve());
  }

  /** One and a half heartbeats: it is not given more to run until it is heard of. */
  #isSilent(): boolean {
    return this.silentMs > this.#deps.config.leaseMs / 2;
  }

  #turnSwitches(): void {
    const isQuiet = this.#draining || this.#isHeld || this.#doubted;
    const takes = this.#phase === 'open' && !isQuiet && !this.#isSilent();
    for (const member of this.#members)
      member.gate.set(takes && member.standing === 'serving' && !this.#deps.rests.isResting(member.llmId));
  }

  #dismiss({ consumer, gate }: RelayMember): void {
    gate.set(false);
    void consumer.drain().then(() => consumer.stop());
  }

  #send(frame: Frame, sent?: () => void): boolean {
    if (!this.#stream.isOpen) return false;
    const sending = this.#stream.frame(frame);
    if (sent) void sending.then(() => this.#stream.isOpen && sent());
    return true;
  }

  #try(what: string, work: () => Promise<void>): void {
    work().catch((thrown: unknown) => this.#log(`a ${what} message could not be followed`, thrown));
  }

  #log(what: string, thrown: unknown): void {
    this.#deps.log.debug({ session: this.carried.session, why: messageOf(thrown) }, what);
  }
}
