import { randomUUID } from 'node:crypto';
import type { Response } from 'express';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { closeRedis, connectAndCheck, openRedis, type Redis } from '../../core/queue/link/connect.ts';
import { parseControl, sendControl } from '../../core/queue/live/control.ts';
import { Fetchers } from '../../core/queue/jobs/fetchers.ts';
import { Trusted } from '../../core/queue/live/generation.ts';
import { MarkerMux } from '../../core/queue/jobs/marker-mux.ts';
import { announceAll } from '../../core/queue/live/presence.ts';
import type { Heard } from '../../core/queue/link/subscriber.ts';
import { createWakes } from '../../core/queue/live/wake.ts';
import { redisPlaceOf } from '../../core/queue/link/where.ts';
import { atMost, pause } from '../../core/runtime/clock.ts';
import { eachInTurn } from '../../core/runtime/each-in-turn.ts';
import type { Service } from '../../core/runtime/process/service.ts';
import type { Speaker } from '../believed/session-speakers.ts';
import { findClaims, type SaidClaim } from './adopt.ts';
import { Sight } from './sight.ts';
import { ControlStream } from './control-stream.ts';
import { createLosses } from './losses.ts';
import type { Carried, RelayDeps, RelayOptions } from './relay-deps.ts';
import { Rests } from './rests.ts';
import { RelaySession } from './session.ts';

/** A worker that asks for its control stream. */
export interface StreamCall {
  session: string;
  /** The caller: the session must be theirs, and the stream ends with their token. */
  speaker: Speaker;
  /** What it says it runs; undefined when it says nothing of it. */
  running: readonly SaidClaim[] | undefined;
  /** It gets large requests by calls of its own. */
  fetches: boolean;
  res: Response;
}

const TICK_MS = 1_000;
const ANNOUNCE_MS = 2_500;
/** How long an edge that lets go of a session may take to say what its worker runs. */
const HAND_OVER_MS = 500;
/** What is being looked at while it stops; a Redis that is away is not waited for longer. */
const LAST_LOOKS_MS = 1_000;
/** After `moving`: how long sessions may take to find another edge. */
const MOVE_MS = 5_000;

/**
 * Takes tasks on behalf of workers that have nothing but HTTP: each one's control stream is the way down, their
 * answers come up over any edge. Over two Redis connections of its own, however many workers there are.
 */
export class Relay implements Service {
  readonly name = 'relay';
  /** Waits for a Redis that is away. */
  readonly commands: Redis;
  readonly #deps: RelayDeps;
  readonly #mux: MarkerMux;
  readonly #trusted: Trusted;
  readonly #sessions = new Map<string, RelaySession>();
  /** Of which messages may have been lost. */
  readonly #missed = new WeakSet<RelaySession>();
  readonly #stopped = new AbortController();
  #ticks: Promise<unknown> = Promise.resolve();

  constructor(options: RelayOptions) {
    const { config, queue, clock, log } = options;
    const { keys } = queue;
    const connect = { ...redisPlaceOf(config), clock, log };
    this.commands = openRedis('commands', connect);
    const blocking = openRedis('blocking', connect);
    this.#mux = new MarkerMux({ commands: this.commands, blocking, keys, id: randomUUID(), clock, log });
    this.#trusted = new Trusted({ redis: this.commands, keys, clock, log });
    this.#deps = {
      ...options,
      commands: this.commands,
      keys,
      rests: new Rests(clock),
      fetchers: new Fetchers({ redis: this.commands, prefix: keys.namespace, log }),
      markers: this.#mux.markers,
      wakes: createWakes({ redis: this.commands, keys }),
      trusted: this.#trusted,
      sight: new Sight({
        ...options,
        steps: queue.steps,
        onReady: (listener) => this.commands.on('ready', listener),
      }),
      losses: createLosses(options),
    };
    options.stopping.addEventListener('abort', () => void this.#move(), { once: true });
  }

  /** Sessions whose stream is here. */
  get size(): number {
    return this.#sessions.size;
  }

  async start(): Promise<void> {
    await connectAndCheck(this.commands);
    this.#trusted.start();
    await this.#mux.start();
    this.#ticks = Promise.all([
      this.#every(TICK_MS, (session) => this.#look(session)),
      this.#everyAnnouncement(),
    ]);
  }

  /** What runs goes on: another edge takes the sessions over. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    for (const session of [...this.#sessions.values()]) session.letGo();
    const looked = Promise.all([this.#mux.stop(), this.#ticks]);
    await atMost(LAST_LOOKS_MS, looked);
    this.#trusted.stop();
    closeRedis(this.commands); // what still waits for a Redis that is away fails
    await looked;
    await this.#deps.fetchers.close();
  }

  /**
   * Opens the control stream of a session, and takes tasks for it until the stream ends.
   * @throws McpctlError `session_not_found` (unknown, somebody else's, left, or registered by another process since),
   *   `session_in_use`, `shutting_down`, `unavailable`.
   */
  async open(call: StreamCall): Promise<void> {
    if (this.#deps.stopping.aborted) throw new McpctlError('shutting_down', undefined, { retryAfterS: 1 });
    const carried = await this.#admit(call);
    const { session: id, boot, nonce } = carried;
    const stream = new ControlStream(call.res);
    const changed = (): void => void this.#announceOf([session]).catch(() => undefined); // the next tick says it
    const session: RelaySession = new RelaySession(this.#deps, { carried, stream, changed });
    const { subscriber, keys } = this.#deps.queue;
    const deaf = await subscriber.listen(keys.control(id, boot), (heard) => this.#hear(session, heard));
    const release = this.#deps.authority.hold({
      tokenId: call.speaker.tokenId,
      end: (why) => void session.end(why.message),
    });
    session.gone.addEventListener('abort', () => {
      deaf();
      release();
      if (this.#sessions.get(id) === session) this.#sessions.delete(id);
    });
    const before = this.#sessions.get(id);
    this.#sessions.set(id, session);
    let others = false;
    try {
      session.prepare(await this.#deps.registry.llms.bySession(id)); // what is handed over takes its slots
      await this.#deps.presence.holdFor(id, { boot, nonce });
      const message = { kind: 'stream', nonce } as const;
      const heard = await sendControl({ redis: this.commands, keys }, { session: id, boot, message });
      // Besides us: the edge that has an older stream says what the worker runs.
      others = heard > 1;
    } catch (thrown) {
      session.letGo();
      throw thrown;
    }
    stream.onClose(() => void session.lose());
    await stream.hello();
    const claims = before?.claims.refs() ?? [];
    before?.letGo();
    if (others && !before) await pause(HAND_OVER_MS, session.handedOver);
    await this.#begin(session, { running: call.running, claims });
  }

  /** May this process have the session? @throws as `open`. */
  async #admit({ session: id, speaker, fetches }: StreamCall): Promise<Carried> {
    const { registry, presence, heartbeats } = this.#deps;
    const row = await registry.sessions.byId(id);
    if (!row || row.ownerId !== speaker.userId || row.leftAt !== null)
      throw new McpctlError('session_not_found');
    const registered = row.instanceId ?? id;
    const boot = speaker.instance ?? registered;
    const holder = (await presence.sessions([id])).live.get(id);
    if (holder && holder.boot !== boot && (await presence.isConnected(id, holder)))
      throw new McpctlError('session_in_use');
    if (boot !== registered) throw new McpctlError('session_not_found');
    // Rows that were given up meanwhile are what they were again.
    await heartbeats.beat({ providerSessionId: id }, speaker);
    return { session: id, boot, nonce: randomUUID(), beats: row.workerVersion !== null, fetches };
  }

  /** What it runs is taken over before it is given more. */
  async #begin(
    session: RelaySession,
    { running, claims }: Pick<StreamCall, 'running'> & { claims: readonly SaidClaim[] },
  ): Promise<void> {
    const { log } = this.#deps;
    try {
      await session.adopt(claims);
      await session.adopt(running ?? (await findClaims(this.#deps, session.carried)));
      await session.serve();
      await this.#announceOf([session]);
    } catch (thrown) {
      // The worker opens it again, and by then Redis or Postgres may be back.
      log.warn({ session: session.carried.session, why: messageOf(thrown) }, 'a stream could not be served');
      session.stream.close();
    }
  }

  #hear(session: RelaySession, heard: Heard): void {
    if (heard.kind === 'resync') {
      this.#missed.add(session);
      return void this.#look(session);
    }
    const message = parseControl(heard.text);
    if (!message) return;
    if (message.kind !== 'stream') return session.hear(message);
    if (message.nonce !== session.carried.nonce) void this.#handOver(session, message.nonce);
  }

  /** Another stream has the session: its edge learns what the worker runs. */
  async #handOver(session: RelaySession, nonce: string): Promise<void> {
    const { session: id, boot } = session.carried;
    const claims = session.claims.refs();
    session.letGo();
    const { commands: redis, keys, log } = this.#deps;
    try {
      await sendControl({ redis, keys }, { session: id, boot, message: { kind: 'held', nonce, claims } });
    } catch (thrown) {
      log.debug({ session: id, why: messageOf(thrown) }, 'what a session runs could not be handed over');
    }
  }

  async #move(): Promise<void> {
    for (const session of this.#sessions.values()) session.move();
    await pause(MOVE_MS, this.#stopped.signal);
    for (const session of [...this.#sessions.values()]) session.letGo();
  }

  async #every(ms: number, work: (session: RelaySession) => Promise<void>): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await pause(ms, signal);
      await Promise.all([...this.#sessions.values()].map(work));
    }
  }

  async #look(session: RelaySession): Promise<void> {
    try {
      await session.look();
      if (this.#missed.delete(session)) await this.#catchUp(session);
    } catch (thrown) {
      this.#deps.log.debug({ why: messageOf(thrown) }, 'claims could not be looked at');
    }
  }

  /**
   * Its rows are read again. How its members are its worker says on each stream that it opens: of one that we take for idle
   * that may be news. The stream of now stays open until then.
   */
  async #catchUp(session: RelaySession): Promise<void> {
    try {
      await session.serve();
      await this.#announceOf([session]);
    } catch (thrown) {
      this.#missed.add(session);
      throw thrown;
    }
    if (session.isIdle && session.carried.beats) void session.stream.moving();
  }

  async #everyAnnouncement(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await pause(ANNOUNCE_MS, signal);
      try {
        await this.#announce();
      } catch (thrown) {
        this.#deps.log.debug({ why: messageOf(thrown) }, 'presence could not be announced');
      }
    }
  }

  async #announce(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    if (sessions.length === 0) return;
    const { live } = await this.#deps.presence.sessions(sessions.map(({ carried }) => carried.session));
    try {
      const announce = async (session: RelaySession): Promise<void> => {
        const { session: id, boot, nonce } = session.carried;
        const lease = live.get(id);
        if (lease?.boot === boot && lease.nonce === nonce) return;
        const replaced = lease && (lease.boot !== boot || lease.nonce !== undefined);
        if (replaced) session.letGo();
        else if (session.silentMs > this.#deps.config.leaseMs) session.stream.close();
        else if (session.isOpen) await this.#deps.presence.holdFor(id, { boot, nonce });
      };
      await eachInTurn(sessions, announce, (missed) =>
        this.#deps.bus.emit('loop.left', { loop: 'announce', ...missed, ended: 0 }),
      );
    } finally {
      // What one of them has put in the place of its own lease keeps nobody else from being announced.
      await this.#announceOf(sessions);
    }
  }

  async #announceOf(sessions: readonly RelaySession[]): Promise<void> {
    const { commands: redis, keys, config } = this.#deps;
    const announcements = sessions.flatMap((session) => session.announced());
    await announceAll({ redis, keys, leaseMs: config.leaseMs }, announcements);
  }
}
