import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { shownInLine } from '../core/names.ts';
import { messageOf } from '../core/errors.ts';
import type { AgentOffer, Registered } from '../core/member/protocol.ts';
import { anySignal } from '../core/runtime/any-signal.ts';
import type { Bus } from '../core/runtime/bus.ts';
import type { Clock } from '../core/runtime/clock.ts';
import type { Log } from '../core/runtime/log.ts';
import { redisPlaceOf } from '../core/queue/link/where.ts';
import { ownPackage } from '../core/runtime/files/own-package.ts';
import { composeServices } from '../core/runtime/process/service.ts';
import type { Settings } from '../core/runtime/settings/settings.ts';
import { createBackends, type Backends, type WatchOwner } from './backends/backends.ts';
import { Backoff, persist } from './backoff.ts';
import { createEdgeClient } from './edge-client.ts';
import type { LocalAction, LocalStatus } from './local/protocol.ts';
import { createLocalServer } from './local/server.ts';
import { TimedPause } from './local/timed-pause.ts';
import type { Network } from '../core/runtime/network/network.ts';
import { membersOf, offersOf, reasonOf, type Opened } from './backends/open-providers.ts';
import { VirtualLlmRegistrar } from './registration/registrar.ts';
import { Serving, type ServingDeps } from './work/serving.ts';
import type { McpServers } from './mcp/open-servers.ts';
import type { ToldTools } from './mcp/told/told-tools.ts';
import { watchSleep } from './sleep.ts';
import type { GroupGuard } from './children/guard.ts';
import type { Environment } from './wake/command.ts';
import type { Credentials } from './sources/credentials.ts';
import type { RedisTransport } from './transports/redis.ts';

export interface PublishedDeps {
  config: Settings<
    | 'optionalRedisUrl'
    | 'redisTlsVerify'
    | 'redisNodes'
    | 'redisSentinels'
    | 'redisSentinelName'
    | 'redisCa'
    | 'namespace'
    | 'graceMs'
    | 'leaseMs'
    | 'heartbeatMs'
    | 'eventBytes'
    | 'eventKeepMs'
  >;
  credentials: Credentials;
  /** Null where there is no REDIS_URL. */
  RedisTransport: typeof RedisTransport | null;
  opened: readonly Opened[];
  /** What config.json publishes of them. */
  agents: readonly AgentOffer[];
  /** Null where there are none: then nothing of it is loaded. */
  mcp: { servers: McpServers; ToldTools: typeof ToldTools } | null;
  network: Network;
  /** What a command of a recipe may see of the worker's environment. */
  environment: Environment;
  /** Null where the owner of this machine has not said when it is theirs: then nothing of it is loaded. */
  watchOwner: WatchOwner | null;
  /** Ends what this worker runs when it is killed. */
  guard: GroupGuard;
  sessionFilePath: string;
  socketPath: string;
  bus: Bus;
  clock: Clock;
  log: Log;
}

/** A worker that serves what its config.json publishes. */
export interface PublishedWorker {
  /** Resolves when its owner has told it to drain, and nothing runs any more. */
  drained: Promise<void>;
  /** Takes nothing new, finishes or hands back within the grace, says goodbye. */
  stop(): Promise<void>;
}

export function startPublished(deps: PublishedDeps): PublishedWorker {
  const worker = new Published(deps);
  worker.start();
  return worker;
}

function redisOf({ config, RedisTransport: Transport }: PublishedDeps): ServingDeps['redis'] {
  const { optionalRedisUrl: redisUrl } = config;
  if (redisUrl === undefined || !Transport) return null;
  return { place: redisPlaceOf({ ...config, redisUrl }), Transport };
}

const MOST_NAMED = 8;

/** `qwen-ada (active), gemma-ada (active)`: how the edge has each, for who looks on. */
function servedLine(rows: Registered['llms']): string {
  const named = rows.slice(0, MOST_NAMED).map(({ name, status }) => `${name} (${status})`);
  const more = rows.length - named.length;
  return [...named, ...(more > 0 ? [`${String(more)} more`] : [])].join(', ') || 'no llms';
}

class Published implements PublishedWorker {
  readonly drained: Promise<void>;
  readonly #deps: PublishedDeps;
  readonly #registrar: VirtualLlmRegistrar;
  readonly #serving: Serving;
  readonly #backends: Backends;
  readonly #local;
  readonly #backoff: Backoff;
  readonly #tools: ToldTools | null;
  readonly #stopping = new AbortController();
  #leave: () => void = () => undefined;
  #draining = false;
  readonly #pause: TimedPause;
  #publishing: Promise<unknown> | undefined;
  /** What the edge made of what is published. */
  #rows: Registered['llms'] = [];
  /** Breaks off the attempts to serve what an earlier registration said. */
  #superseded = new AbortController();
  #served: Promise<boolean> = Promise.resolve(false);

  constructor(deps: PublishedDeps) {
    this.#deps = deps;
    this.drained = new Promise((resolve) => (this.#leave = resolve));
    const { config, credentials, network, bus, clock, log, opened } = deps;
    this.#pause = new TimedPause({ clock, onOver: () => this.#resume() });
    const boot = randomUUID();
    const edge = createEdgeClient({ ...credentials, instance: boot, network });
    this.#backoff = new Backoff(clock);
    const { optionalRedisUrl: url } = config;
    this.#serving = new Serving({
      ...config,
      edge,
      redis: redisOf(deps),
      boot,
      bus,
      clock,
      log,
      onGone: () => this.#registrar.registerAgain(),
      wake: (llm) => this.#backends.wake(llm),
      ordered: (order) => void this.#tools?.ordered(order),
    });
    this.#tools = deps.mcp && new deps.mcp.ToldTools({ servers: deps.mcp.servers, edge, clock, log });
    const { version, dependencies } = ownPackage();
    this.#registrar = new VirtualLlmRegistrar({
      ...credentials,
      edge,
      publishedProviders: offersOf(opened),
      publishedAgents: deps.agents,
      sessionFilePath: deps.sessionFilePath,
      log,
      heartbeatIntervalMs: config.heartbeatMs,
      instanceId: boot,
      host: credentials.host ?? (shownInLine(hostname()).slice(0, 64) || 'unnamed'),
      versions: { worker: version, bullmq: dependencies['bullmq'] ?? '' },
      transports: url === undefined ? ['sse'] : ['redis', 'sse'],
      onRegistered: (registered) => this.#registered(registered),
      onRefused: () => this.#refused(),
      onTaken: () => this.#serving.transport?.yieldSession(),
    });
    const refresh = (): Promise<void> => this.#registrar.refresh(offersOf(opened));
    this.#backends = createBackends({
      ...deps,
      watchOwner: deps.watchOwner ?? undefined,
      giveBack: (llm) => this.#serving.giveBack(llm),
      refresh,
    });
    const local = createLocalServer({
      path: deps.socketPath,
      status: () => this.#status(),
      act: (action, ms) => this.#act(action, ms),
      printedBy: (server) => deps.mcp?.servers.printedBy(server) ?? null,
      log,
    });
    this.#local = composeServices([local, watchSleep(clock, (ms) => this.#woke(ms))], log);
  }

  start(): void {
    const { clock, log, bus } = this.#deps;
    const attempt = async (): Promise<void> => {
      await this.#backends.first();
      await this.#registrar.refresh(offersOf(this.#deps.opened));
      await this.#registrar.start();
      if (!(await this.#served)) return;
      await this.#backends.start?.();
      bus.emit('service.ready', { service: 'worker' });
      log.info(`serves ${servedLine(this.#rows)}`);
    };
    if (this.#tools) this.#deps.mcp?.servers.begin(this.#tools);
    const publish = async (): Promise<void> => {
      await this.#local.start?.();
      await persist(attempt, { stopping: this.#stopping.signal, clock, log, backoff: this.#backoff });
    };
    this.#publishing = publish().catch((thrown: unknown) => log.error({ err: thrown }, 'publishing ended'));
  }

  async stop(): Promise<void> {
    this.#pause.end();
    this.#stopping.abort();
    this.#superseded.abort();
    // What is being published may wait for what serving is to be broken off.
    await Promise.all([this.#publishing?.then(() => this.#backends.stop()), this.#serving.stop()]);
    this.#registrar.stop();
    await this.#registrar.left();
    this.#tools?.stop();
    await Promise.all([this.#deps.mcp?.servers.stop(), this.#backends.end()]);
    this.#deps.guard.end();
    for (const { gate } of this.#deps.opened) gate.end();
    await this.#local.stop();
  }

  #registered(registered: Registered): void {
    const { clock, log, bus, opened } = this.#deps;
    this.#superseded.abort();
    this.#superseded = new AbortController();
    const stopping = anySignal([this.#stopping.signal, this.#superseded.signal]);
    const serve = (): Promise<void> =>
      this.#serving.serve(
        registered,
        membersOf(opened, registered, (llm) => this.#backends.wake(llm)),
      );
    this.#served = persist(serve, { stopping, clock, log });
    this.#served.catch((thrown: unknown) => log.error({ why: messageOf(thrown) }, 'tasks cannot be taken'));
    this.#rows = registered.llms;
    this.#tools?.registered(registered.providerSessionId);
    const llms = registered.llms.map((llm) => llm.name);
    bus.emit('session.registered', { sessionId: registered.providerSessionId, llms });
  }

  #refused(): void {
    this.#superseded.abort();
    this.#serving.halt();
  }

  /** Nothing that was open before can be trusted, and the edge may have given the session up. */
  #woke(sleptMs: number): void {
    this.#deps.log.info({ sleptS: Math.round(sleptMs / 1_000) }, 'the machine slept; registering again');
    this.#backoff.reset();
    this.#registrar.hurry();
    this.#registrar.registerAgain();
    this.#serving.reopen();
  }

  async #act(action: LocalAction, ms?: number): Promise<void> {
    const { opened, log } = this.#deps;
    log.info({ action, ms }, 'told by the owner of this machine');
    this.#pause.end();
    if (action === 'pause' && ms !== undefined) this.#pause.begin(ms);
    switch (action) {
      case 'pause':
        for (const { gate } of opened) gate.pause();
        return await this.#serving.transport?.announce();
      case 'resume':
        for (const { gate } of opened) gate.resume();
        return await this.#serving.transport?.announce();
      case 'drain':
        if (this.#draining) return;
        this.#draining = true;
        void this.#serving.drain().then(this.#leave, this.#leave);
        return;
    }
  }

  #resume(): void {
    const { log } = this.#deps;
    void this.#act('resume').catch((thrown: unknown) =>
      log.warn({ why: messageOf(thrown) }, 'a pause that is over could not be told'),
    );
  }

  #status(): LocalStatus {
    const { opened, credentials } = this.#deps;
    const transport = this.#serving.transport;
    return {
      pid: process.pid,
      version: ownPackage().version,
      session: this.#registrar.getSessionId(),
      edge: credentials.mcpdUrl,
      transport: transport?.kind ?? null,
      connected: transport?.isConnected() ?? false,
      state: this.#state(),
      ...(this.#pause.until === undefined ? {} : { pausedUntil: this.#pause.until }),
      ...(this.#registrar.refusal === undefined ? {} : { refused: this.#registrar.refusal }),
      llms: opened.map(({ configured: { name, model }, gate, slots, kept }) => ({
        name,
        model,
        state: gate.state,
        ...reasonOf({ gate, kept }),
        ...(kept?.status == null ? {} : { managed: kept.status }),
        ...(gate.trouble === null ? {} : { misconfigured: gate.trouble }),
        running: this.#serving.running(name),
        slots: slots.size,
      })),
    };
  }

  #state(): LocalStatus['state'] {
    if (this.#draining) return 'draining';
    const { opened } = this.#deps;
    if (opened.length > 0 && opened.every(({ gate }) => gate.state === 'paused')) return 'paused';
    if (this.#registrar.refusal !== undefined) return 'idle';
    return this.#serving.transport ? 'serving' : 'starting';
  }
}
