import { messageOf } from '../../core/errors.ts';
import { connectAndCheck, openRedis, type ConnectOptions, type Redis } from '../../core/queue/connect.ts';
import { Consumer, type TakenJob } from '../../core/queue/consumer.ts';
import { parseControl } from '../../core/queue/control.ts';
import { createKeys, type Keys } from '../../core/queue/keys.ts';
import { announce, createPresence, type Announcement } from '../../core/queue/presence.ts';
import { createSubscriber, type Heard, type Subscriber } from '../../core/queue/subscriber.ts';
import type { Presence } from '../../core/presence.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import { pause } from '../../core/runtime/clock.ts';
import { execute, type ExecuteDeps, type Member, type Running } from '../execute.ts';
import { Rest } from '../rest.ts';
import type { Slots } from '../slots.ts';
import type { ServedMember, Transport } from './transport.ts';

export interface RedisTransportDeps extends ConnectOptions {
  namespace: string;
  session: string;
  boot: string;
  leaseMs: number;
  eventBytes: number;
  eventKeepMs: number;
  graceMs: number;
  bus: Bus;
}

const ANNOUNCE_MS = 1_000;
/** Cut from the grace, so that what is aborted can still be handed back in time. */
const HAND_BACK_MS = 3_000;

interface Serving {
  member: Member;
  slots: Slots;
  rest: Rest;
  consumer: Consumer;
}

/**
 * Takes tasks from the queues itself, over Redis connections of its own: one for commands, one that hears the
 * control channel, and one blocking pop per member. For workers that the operator trusts with Redis.
 */
export class RedisTransport implements Transport {
  readonly name = 'redis transport';
  readonly #deps: RedisTransportDeps;
  readonly #redis: Redis;
  readonly #subscriber: Subscriber;
  readonly #keys: Keys;
  readonly #presence: Presence;
  readonly #execute: ExecuteDeps;
  readonly #running = new Map<string, Running>();
  #serving: Serving[] = [];
  #state: Announcement['state'] = 'serving';
  #announcing: NodeJS.Timeout | undefined;
  #stopped: Promise<void> | undefined;

  constructor(deps: RedisTransportDeps) {
    this.#deps = deps;
    this.#keys = createKeys(deps.namespace);
    this.#redis = openRedis('commands', deps);
    this.#subscriber = createSubscriber(openRedis('subscriber', deps), deps.log);
    this.#presence = createPresence({ redis: this.#redis, keys: this.#keys, leaseMs: deps.leaseMs });
    this.#execute = { ...deps, redis: this.#redis, keys: this.#keys };
  }

  /** @throws McpctlError `unavailable` or `invalid_config` when this Redis cannot be used. */
  async start(): Promise<void> {
    const { session, boot } = this.#deps;
    await connectAndCheck(this.#redis);
    await this.#subscriber.start?.();
    await this.#subscriber.listen(this.#keys.control(session, boot), (heard) => this.#hear(heard));
    this.#announcing = setInterval(() => void this.#announce(), ANNOUNCE_MS);
    // A Redis that came back empty learns at once who is here.
    this.#redis.on('ready', () => void this.#announce());
  }

  /** Serves exactly these members from now on; what runs for others goes on to its end. */
  async serve(members: readonly ServedMember[]): Promise<void> {
    const gone = this.#serving.filter((s) => !members.some((m) => isSame(m.member, s.member)));
    const added = members.filter((m) => !this.#serving.some((s) => isSame(m.member, s.member)));
    this.#serving = this.#serving.filter((s) => !gone.includes(s));
    for (const { member, slots } of added) {
      const rest = new Rest({ ...this.#deps, llm: member.name, isAvailable: member.isAvailable });
      const consumer = this.#consumerOf(member, { slots, rest });
      await consumer.start();
      this.#serving.push({ member, slots, rest, consumer });
    }
    await this.#announce();
    for (const { consumer, rest } of gone) {
      rest.end();
      void consumer.drain().then(() => consumer.stop());
    }
  }

  /** Takes nothing new, lets what runs finish within the grace, hands the rest back. */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  async #stop(): Promise<void> {
    this.#state = 'draining';
    // While Redis is away it waits for ever; then nobody takes from us anyway.
    await Promise.race([this.#announce(), pause(ANNOUNCE_MS)]);
    for (const { rest } of this.#serving) rest.end();
    const consumers = this.#serving.map((s) => s.consumer);
    const drained = new AbortController();
    const draining = Promise.all(consumers.map((c) => c.drain())).then(() => drained.abort());
    await pause(Math.max(0, this.#deps.graceMs - HAND_BACK_MS), drained.signal);
    for (const running of this.#running.values()) running.stop('shutdown');
    await Promise.race([draining, pause(HAND_BACK_MS, drained.signal)]);
    clearInterval(this.#announcing);
    await this.#subscriber.stop();
    this.#redis.disconnect();
    await Promise.all(consumers.map((c) => c.stop()));
  }

  #consumerOf(member: Member, { slots, rest }: { slots: Slots; rest: Rest }): Consumer {
    return new Consumer({
      commands: this.#redis,
      blocking: openRedis('blocking', this.#deps),
      keys: this.#keys,
      member,
      slots,
      gate: rest,
      run: (job) => this.#run(member, { job, rest }),
      clock: this.#deps.clock,
      log: this.#deps.log,
    });
  }

  async #run(member: Member, { job, rest }: { job: TakenJob; rest: Rest }): Promise<void> {
    // The task came back while a run of it still goes on here. If that one has lost its claim, its next beat ends
    // it; if it has not, this job is an old one, and finds the task taken or over.
    await this.#running.get(job.taskId)?.ended;
    const started = (running: Running): (() => void) => {
      this.#running.set(job.taskId, running);
      return () => this.#running.delete(job.taskId);
    };
    await execute(this.#execute, { member, job, rest, started });
  }

  #hear(heard: Heard): void {
    if (heard.kind === 'resync') return; // a cancel that was missed shows in the next beat
    const message = parseControl(heard.text);
    if (message?.kind !== 'cancel') return;
    const running = this.#running.get(message.taskId);
    if (running?.claimId === message.claimId) running.stop('lost');
  }

  async #announce(): Promise<void> {
    const { session, boot, leaseMs, log } = this.#deps;
    const running = (llmId: string): number =>
      [...this.#running.values()].filter((r) => r.llmId === llmId).length;
    try {
      const said = this.#serving.map(({ member, slots, rest }) => {
        const announcement = {
          sessionId: session,
          boot,
          slots: slots.size,
          running: running(member.llmId),
          state: this.#state === 'serving' && rest.isDown() ? ('down' as const) : this.#state,
        };
        return announce({ redis: this.#redis, keys: this.#keys, leaseMs }, { ...member, announcement });
      });
      await Promise.all(said);
      if (!(await this.#presence.extend(session)) && this.#state === 'serving')
        await this.#presence.hold(session, boot);
    } catch (thrown) {
      log.debug({ why: messageOf(thrown) }, 'presence could not be announced');
    }
  }
}

function isSame(a: Member, b: Member): boolean {
  return a.llmId === b.llmId && a.poolKey === b.poolKey;
}
