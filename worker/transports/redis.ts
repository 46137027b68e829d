import { eachInTurn } from '../../core/runtime/each-in-turn.ts';
import { messageOf } from '../../core/errors.ts';
import {
  closeRedis,
  connectAndCheck,
  openRedis,
  untilConnected,
  type ConnectOptions,
  type Redis,
} from '../../core/queue/link/connect.ts';
import { Consumer } from '../../core/queue/jobs/consumer.ts';
import { parseControl } from '../../core/queue/live/control.ts';
import { Fetchers } from '../../core/queue/jobs/fetchers.ts';
import { Trusted } from '../../core/queue/live/generation.ts';
import { createKeys, type Keys } from '../../core/queue/keys.ts';
import { ownMarkers } from '../../core/queue/jobs/markers.ts';
import { announce, createPresence } from '../../core/queue/live/presence.ts';
import { createSubscriber, type Heard, type Subscriber } from '../../core/queue/link/subscriber.ts';
import { createWakes, holdWhile } from '../../core/queue/live/wake.ts';
import { announcedStateOf } from '../../core/member/member-state.ts';
import type { Presence } from '../../core/member/presence.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import { atMost } from '../../core/runtime/clock.ts';
import { bothOpen, Switch } from '../../core/member/switch.ts';
import type { Member } from '../work/execute.ts';
import { RunningClaims } from '../work/running.ts';
import { claimantOf, runJob, type RedisClaimDeps } from './redis-claim.ts';
import type { FetchBody } from '../work/resting-body.ts';
import type { Ordered, ServedMember, Transport, Wake } from './transport.ts';

export interface RedisTransportDeps extends Omit<ConnectOptions, 'user'> {
  namespace: string;
  /** The session's own user of that Redis; without it, as the URL says. */
  ownUser?: { username: string; password: string } | undefined;
  /** What the session may in Redis has changed: it is to register again. */
  onChanged?: (() => void) | undefined;
  session: string;
  /** Whose session it is; an older edge does not say. */
  owner?: string | undefined;
  boot: string;
  leaseMs: number;
  eventBytes: number;
  eventKeepMs: number;
  graceMs: number;
  bus: Bus;
  /** Where large bodies are had from. */
  fetchBody: FetchBody;
  /** Without it the worker has no recipes, and nothing is woken. */
  wake?: Wake;
  /** Without it the worker runs no MCP servers. */
  ordered?: Ordered | undefined;
}

const ANNOUNCE_MS = 1_000;
/** For what is closed at a stop, after the grace. */
const CLOSE_WITHIN_MS = 3_000;
/** Between two registrations of a session whose user Redis does not know. */
const ASK_AGAIN_MS = 3_000;
/** While it is held; it is told when it is free, and this is for a word that was lost. */
const HELD_ASK_MS = 60_000;

interface Serving extends ServedMember {
  consumer: Consumer;
  /** Stops listening to the gate. */
  leave: () => void;
}

/**
 * Takes tasks from the queues itself, over Redis connections of its own: one for commands, one that hears the
 * control channel, and one blocking pop per member. For workers that the operator trusts with Redis.
 */
export class RedisTransport implements Transport {
  readonly name = 'redis transport';
  readonly kind = 'redis';
  readonly #deps: RedisTransportDeps;
  readonly #at: ConnectOptions;
  readonly #redis: Redis;
  readonly #subscriber: Subscriber;
  readonly #keys: Keys;
  readonly #fetchers: Fetchers;
  readonly #trusted: Trusted;
  readonly #presence: Presence;
  readonly #claims: RedisClaimDeps;
  readonly #running = new RunningClaims();
  #serving: Serving[] = [];
  #leaving = false;
  /** Closed while another process has the session: a copy of the session file, or the one that took its place. */
  readonly #mine = new Switch(true);
  /** Closed while the server holds the session. */
  readonly #free = new Switch(true);
  #askedAt = -Infinity;
  /** There was a reason to ask, too soon after the last: it is done with what is said next. */
  #owesAsking = false;
  #retired = false;
  #announcing: NodeJS.Timeout | undefined;
  #drained: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(deps: RedisTransportDeps) {
    this.#deps = deps;
    this.#keys = createKeys(deps.namespace);
    const user = deps.ownUser && { ...deps.ownUser, onRefused: () => this.#refused() };
    this.#at = { ...deps, user };
    this.#redis = openRedis('commands', this.#at);
    this.#subscriber = createSubscriber(openRedis('subscriber', this.#at), deps.log);
    this.#fetchers = new Fetchers({ redis: this.#redis, prefix: deps.namespace, log: deps.log });
    this.#trusted = new Trusted({ ...deps, redis: this.#redis, keys: this.#keys });
    this.#presence = createPresence({ redis: this.#redis, keys: this.#keys, leaseMs: deps.leaseMs });
    const onHeld = (): void => this.#askAgain();
    this.#claims = { ...deps, redis: this.#redis, keys: this.#keys, running: this.#running, onHeld };
  }

  /** @throws McpctlError `unavailable` or `invalid_config` when this Redis cannot be used. */
  async start(): Promise<void> {
    const { session, boot } = this.#deps;
    // Of a session's own user the edge has looked at that Redis.
    await (this.#deps.ownUser ? untilConnected(this.#redis) : connectAndCheck(this.#redis));
    this.#trusted.start();
    await this.#subscriber.start?.();
    await this.#subscriber.listen(this.#keys.control(session, boot), (heard) => this.#hear(heard));
    if (this.#stopped) return;
    this.#announcing = setInterval(() => void this.#say(), ANNOUNCE_MS);
    // A Redis that came back empty learns at once who is here.
    this.#redis.on('ready', () => void this.#say());
  }

  /** Nothing of it is announced either: the other process says how its members are. */
  yieldSession(): void {
    this.#mine.set(false);
    this.#running.giveBack();
  }

  /** Serves exactly these members from now on; what runs for others goes on to its end. */
  async serve(members: readonly ServedMember[]): Promise<void> {
    const gone = this.#serving.filter((s) => !members.some((m) => isSame(m.member, s.member)));
    const added = members.filter((m) => !this.#serving.some((s) => isSame(m.member, s.member)));
    this.#serving = this.#serving.filter((s) => !gone.includes(s));
    try {
      // One that cannot begin keeps nobody else from it.
      await eachInTurn(
        added,
        (served) => this.#begin(served),
        (missed) => this.#deps.bus.emit('loop.left', { loop: 'serve', ...missed, ended: 0 }),
      );
    } finally {
      await this.announce();
    }
    for (const { consumer, leave } of gone) {
      leave();
      void consumer.drain().then(() => consumer.stop());
    }
  }

  hold(isHeld: boolean): void {
    this.#free.set(!isHeld);
  }

  /** While Redis is away this gives up after a second: what is announced each second catches up. */
  async announce(): Promise<void> {
    await atMost(ANNOUNCE_MS, this.#say());
  }

  isConnected(): boolean {
    return this.#redis.status === 'ready';
  }

  giveBack(llmName: string): void {
    this.#running.giveBackOf(llmName);
  }

  running(llmName: string): number {
    return this.#running.ofLlm(llmName);
  }

  async retire(): Promise<void> {
    this.#retired = true;
    clearInterval(this.#announcing);
    for (const { leave } of this.#serving) leave();
    await Promise.all(this.#serving.map(({ consumer }) => consumer.drain()));
  }

  reopen(): void {
    // Its connections notice by themselves, within three seconds (core/queue/link/connect.ts).
  }

  drain(): Promise<void> {
    return (this.#drained ??= this.#drain());
  }

  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  async #drain(): Promise<void> {
    this.#leaving = true;
    await this.announce();
    await Promise.all(this.#serving.map(({ consumer }) => consumer.drain()));
  }

  async #stop(): Promise<void> {
    await this.#running.leaveWithin(this.#deps.graceMs, this.drain());
    clearInterval(this.#announcing);
    for (const { leave } of this.#serving) leave();
    await this.#subscriber.stop();
    this.#trusted.stop();
    closeRedis(this.#redis);
    await atMost(CLOSE_WITHIN_MS, this.#closeConsumers());
  }

  async #closeConsumers(): Promise<void> {
    await Promise.all(this.#serving.map(({ consumer }) => consumer.stop()));
    await this.#fetchers.close();
  }

  /** It is there for a stop before it has begun; one that cannot begin leaves no connection behind. */
  async #begin(served: ServedMember): Promise<void> {
    if (this.#leaving) return;
    const consumer = this.#consumerOf(served);
    const leave = served.gate.onChange(() => void this.announce());
    const serving = { ...served, consumer, leave };
    this.#serving.push(serving);
    try {
      await consumer.start();
    } catch (thrown) {
      this.#serving = this.#serving.filter((other) => other !== serving);
      leave();
      await consumer.stop();
      throw thrown;
    }
  }

  #consumerOf({ member, slots, gate }: ServedMember): Consumer {
    return new Consumer({
      fetchers: this.#fetchers,
      markers: ownMarkers({
        commands: this.#redis,
        blocking: openRedis('blocking', this.#at),
        keys: this.#keys,
      }),
      keys: this.#keys,
      member,
      slots,
      gate: bothOpen(bothOpen(gate, bothOpen(this.#mine, this.#free)), this.#trusted),
      claimant: () => claimantOf(this.#claims, member),
      run: (job) => runJob(this.#claims, { member, gate, job }),
      clock: this.#deps.clock,
      log: this.#deps.log,
    });
  }

  #hear(heard: Heard): void {
    // A cancel that was missed shows in the next beat; that it is free again, only when it asks.
    if (heard.kind === 'resync') return void (this.#free.isOpen() || this.#askAgain());
    const message = parseControl(heard.text);
    if (!message) return;
    if (message.kind === 'cancel') this.#running.lose(message.taskId, message.claimId);
    if (message.kind === 'wake') void this.#wake(message.wakeId);
    if (message.kind === 'again') this.#deps.onChanged?.();
    if (message.kind !== 'server') return;
    const { orderId, order, after, llmId } = message;
    const served = this.#serving.find(({ member }) => member.llmId === llmId);
    if (served) this.#deps.ordered?.({ orderId, order, after, llmName: served.member.name });
  }

  /**
   * Redis does not know the session's user: it was lost with Redis and comes again, or the session has ended. Whoever has
   * left for another transport is not waited for: others decide about what still runs here.
   */
  #refused(): void {
    if (this.#retired) {
      for (const { taskId, claimId } of this.#running.claims()) this.#running.lose(taskId, claimId);
      closeRedis(this.#redis);
      return;
    }
    this.#askAgain();
  }

  #askAgain(): void {
    const now = this.#deps.clock.elapsed();
    this.#owesAsking = now - this.#askedAt < ASK_AGAIN_MS;
    if (this.#owesAsking) return;
    this.#askedAt = now;
    this.#deps.onChanged?.();
  }

  async #wake(llmId: string): Promise<void> {
    const { wake, boot, clock, log } = this.#deps;
    const member = this.#serving.find((served) => served.member.llmId === llmId)?.member;
    if (!wake || !member) return;
    try {
      const wakes = createWakes({ redis: this.#redis, keys: this.#keys });
      await holdWhile({ wakes, clock, log }, { llmId, by: boot }, () => wake(member.name));
    } catch (thrown) {
      log.warn({ llm: member.name, why: messageOf(thrown) }, 'a wake failed for a reason of ours');
    }
  }

  /** Extends the lease, if it is this process's still. One that is another's is looked at only, until that has let go of it. */
  async #isMine(): Promise<boolean> {
    const { session, boot, log } = this.#deps;
    const isMine = this.#mine.isOpen();
    const lease = await (isMine ? this.#presence.extend(session) : this.#presence.holder(session));
    if (lease && lease.boot !== boot) {
      if (isMine) log.warn('another process has taken this session over; nothing more is taken here');
      this.yieldSession();
      this.#askAgain();
      return false;
    }
    if (!lease && !this.#leaving) await this.#presence.hold(session, boot);
    this.#mine.set(true);
    return true;
  }

  async #say(): Promise<void> {
    if (this.#retired) return;
    const { session, boot, leaseMs, log } = this.#deps;
    try {
      if (!(await this.#isMine())) return;
      const isHeldLong = !this.#free.isOpen() && this.#deps.clock.elapsed() - this.#askedAt > HELD_ASK_MS;
      if (this.#owesAsking || isHeldLong) this.#askAgain();
      const announcing = this.#serving.map(({ member, slots, gate }) => {
        const running = this.#running.ofLlm(member.name);
        const isQuiet = this.#leaving || !this.#free.isOpen();
        const state = isQuiet ? 'draining' : announcedStateOf(gate.state);
        const misconfigured = gate.trouble ?? undefined;
        const condition = { slots: slots.size, running, state, misconfigured, restsMs: gate.restsMs };
        const announcement = { sessionId: session, boot, ...condition };
        return announce({ redis: this.#redis, keys: this.#keys, leaseMs }, { ...member, announcement });
      });
      await Promise.all(announcing);
    } catch (thrown) {
      log.debug({ why: messageOf(thrown) }, 'presence could not be announced');
    }
  }
}

function isSame(a: Member, b: Member): boolean {
  return a.llmId === b.llmId && a.poolKey === b.poolKey;
}
