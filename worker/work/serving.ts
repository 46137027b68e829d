import { McpctlError, messageOf } from '../../core/errors.ts';
import type { Registered } from '../../core/member/protocol.ts';
import type { RedisPlace } from '../../core/queue/link/where.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { EdgeClient } from '../edge-client.ts';
import type { RedisTransport } from '../transports/redis.ts';
import { fetchFromEdge } from './resting-body.ts';
import { SseTransport } from '../transports/sse.ts';
import type { Ordered, ServedMember, Transport, Wake } from '../transports/transport.ts';

export interface ServingDeps {
  edge: EdgeClient;
  /** Where its Redis is, and what takes tasks from it; null where the worker has no REDIS_URL. */
  redis: { place: RedisPlace; Transport: typeof RedisTransport } | null;
  boot: string;
  leaseMs: number;
  eventBytes: number;
  eventKeepMs: number;
  graceMs: number;
  bus: Bus;
  clock: Clock;
  log: Log;
  wake?: Wake;
  ordered?: Ordered | undefined;
  /** The edge has forgotten the session, or what it may in Redis has changed. */
  onGone: () => void;
}

/**
 * Serves by the transport that the edge answered last, and goes over to another one when a later registration says so:
 * the former takes nothing more, and what it runs goes on to its end.
 */
export class Serving {
  readonly #deps: ServingDeps;
  #current: { transport: Transport; as: string } | undefined;
  readonly #former = new Set<Promise<void>>();
  readonly #formerTransports = new Set<Transport>();
  /** Registrations take effect one after the other. */
  #last: Promise<void> = Promise.resolve();
  /** One that is being started, which may take as long as it may wait for what it connects to. */
  #starting: Transport | undefined;
  /** How often it was halted: a registration that was heard before does not take effect after it. */
  #halts = 0;
  #stopped = false;

  constructor(deps: ServingDeps) {
    this.#deps = deps;
  }

  get transport(): Transport | undefined {
    return this.#current?.transport;
  }

  /** @throws McpctlError when the transport cannot be used, e.g. `unavailable` because Redis is away. */
  serve(registered: Registered, members: readonly ServedMember[]): Promise<void> {
    const halts = this.#halts;
    const serving = this.#last.then(() => this.#serve(registered, { members, halts }));
    this.#last = serving.catch(() => undefined); // told to whoever asked for it
    return serving;
  }

  /** The machine slept: what is open may be dead. */
  reopen(): void {
    this.transport?.reopen();
  }

  /** What runs for this llm is handed back. */
  giveBack(llmName: string): void {
    for (const transport of this.#all) transport.giveBack(llmName);
  }

  get #all(): Transport[] {
    return [...this.#formerTransports, ...(this.transport ? [this.transport] : [])];
  }

  running(llmName: string): number {
    return this.#all.reduce((sum, transport) => sum + transport.running(llmName), 0);
  }

  /** Takes nothing new; resolves when what runs has ended. */
  async drain(): Promise<void> {
    await this.#last;
    await Promise.all([this.transport?.drain() ?? Promise.resolve(), ...this.#former]);
  }

  /**
   * The edge will not have this worker: nothing more is taken, and what runs is broken off at once, as nobody hears how it ends. A later registration serves, once
   * that is closed. It waits for no earlier one: that may wait for a Redis which lets this worker in no more.
   */
  halt(): void {
    this.#halts += 1;
    for (const transport of this.#all) transport.yieldSession();
    const stopped = this.#stopAll([this.#current?.transport, this.#starting]).catch((thrown: unknown) => {
      this.#deps.log.warn({ why: messageOf(thrown) }, 'what was open to the edge could not be closed well');
    });
    this.#current = undefined;
    this.#last = Promise.all([this.#last, stopped]).then(() => undefined);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#stopAll([...this.#all, this.#starting]);
    await this.#last;
  }

  async #stopAll(transports: readonly (Transport | undefined)[]): Promise<void> {
    await Promise.all(transports.map(async (transport) => transport?.stop()));
  }

  async #serve(
    registered: Registered,
    { members, halts }: { members: readonly ServedMember[]; halts: number },
  ): Promise<void> {
    const isOver = (): boolean => this.#stopped || halts !== this.#halts;
    if (isOver()) return;
    const { kind } = registered.transport;
    // Not its address: this worker has its own, and edges may know others.
    const as = JSON.stringify({ ...registered.transport, url: '', session: registered.providerSessionId });
    const isHeld = (registered.hold ?? null) !== null;
    if (this.#current?.as === as) {
      this.#current.transport.hold(isHeld);
      return await this.#current.transport.serve(members);
    }
    const transport = this.#open(registered);
    this.#starting = transport;
    try {
      await transport.start?.();
    } catch (thrown) {
      void transport.stop(); // or it would try to connect for ever, beside the next one
      throw thrown;
    } finally {
      this.#starting = undefined;
    }
    if (isOver()) return await transport.stop();
    const former = this.#current?.transport;
    if (former) {
      this.#deps.log.info(
        { from: former.kind, to: kind },
        'tasks are taken by another transport from now on',
      );
      this.#retire(former);
    }
    this.#current = { transport, as };
    transport.hold(isHeld);
    await transport.serve(members);
  }

  #open({ transport, providerSessionId: session, owner }: Registered): Transport {
    const { redis, onGone, ...deps } = this.#deps;
    switch (transport.kind) {
      case 'sse':
        return new SseTransport({ ...deps, onGone, session });
      case 'redis':
        if (!redis) {
          throw new McpctlError(
            'transport_unavailable',
            'The edge wants this worker to take its tasks over Redis, and it has no REDIS_URL.',
          );
        }
        return new redis.Transport({
          ...deps,
          ...redis.place,
          // In a Cluster the edge's namespace is the hash tag of all keys.
          cluster: redis.place.cluster && { ...redis.place.cluster, tag: transport.namespace },
          session,
          owner,
          namespace: transport.namespace,
          ownUser: ownUserOf(transport),
          onChanged: onGone,
          fetchBody: fetchFromEdge(deps.edge),
        });
    }
  }

  #retire(former: Transport): void {
    this.#formerTransports.add(former);
    const gone = former
      .retire()
      .then(() => former.stop())
      .finally(() => {
        this.#formerTransports.delete(former);
        this.#former.delete(gone);
      });
    this.#former.add(gone);
  }
}

/** An edge of the last release names none: then the worker goes to Redis as its REDIS_URL says. */
function ownUserOf({
  username,
  password,
}: Extract<Registered['transport'], { kind: 'redis' }>): { username: string; password: string } | undefined {
  return username === undefined || password === undefined ? undefined : { username, password };
}
