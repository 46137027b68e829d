import { isDeepStrictEqual } from 'node:util';
import { McpctlError, messageOf } from '../../core/errors.ts';
import type { ServerOrder, ServerSays } from '../../core/mcp/process/orders.ts';
import { shownInLine } from '../../core/names.ts';
import { storableSentence } from '../../core/text/storable.ts';
import { usualHealthCheck, type HealthCheck } from '../../core/mcp/server-limits.ts';
import { atMost, pause, type Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { McpServerEntry } from '../sources/config-schema.ts';
import { Crashes } from '../children/crashes.ts';
import { Unresolved } from '../children/environment.ts';
import { memoryOf } from '../children/memory.ts';
import { ChildFailure, type Answered, type ChildOptions, type Peer, type RequestOptions } from './child.ts';
import { introduce, listedBy, type Introduced } from './told/introduced.ts';
import { nothingPrinted, Printed } from './printed.ts';
import { WatchedResources, type ResourcesTold } from './told/watched-resources.ts';

/** What a process, or whatever else speaks for a server, tells of itself. */
export type Heard = Pick<ChildOptions, 'onExit' | 'onListChanged' | 'onUpdated'>;

export interface SupervisedDeps {
  name: string;
  limits: Pick<McpServerEntry, 'startSeconds' | 'callSeconds' | 'idleMinutes' | 'memoryMb'>;
  /** Undefined: as is usual. */
  healthCheck?: HealthCheck | undefined;
  /**
   * Begins it. @param over aborts when it is to end: nothing is waited for then.
   * @throws McpctlError, `Unresolved` where what it needs is not there yet.
   */
  launch: (listeners: Heard, over: AbortSignal) => Promise<Peer>;
  clock: Clock;
  log: Log;
  /** Which of its resources are others now is told so. */
  tellResources: ResourcesTold;
  /** Its tools are known, or are others now. */
  onTools: () => void;
  /** It cannot be started, or can again. */
  onState: () => void;
}

/** `asleep`: it runs when it is called. `failed`: it would not start, and is tried again at a time that is set. */
export type ServerState = ServerSays['state'];

/** How long one is left alone that ends again and again. */
const SELDOM_MS = 5 * 60_000;
/** A caller waits so long for the next try; else it is told why there is none. */
const WAITED_FOR_MS = 5_000;
/** What is not there for it is looked for so often. */
const UNRESOLVED_MS = 30_000;
const LOOK_MS = 5_000;
const LEAVE_LOOK_MS = 250;
/** A start may take longer than whoever ordered it waits. */
const RESTART_SAID_MS = 10_000;
/** Beside when it is tried again. */
const MOST_WHY_CHARS = 450;
const LIST_WITHIN_MS = 30_000;
/** One that says again and again that it has other tools is asked no more often. */
const LIST_EVERY_MS = 1_000;

/**
 * One MCP server of this machine: at most one process of it at a time, begun by who calls it, ended when nobody has for a
 * while, and begun again with growing patience when it ends by itself.
 */
export class Supervised {
  readonly name: string;
  readonly #deps: SupervisedDeps;
  readonly #health: HealthCheck;
  readonly #over = new AbortController();
  #child: Peer | undefined;
  #starting: Promise<Peer> | undefined;
  /** What it was begun with is another by now. */
  #isOutdated = false;
  #introduced: Introduced | null = null;
  #state: ServerState = 'asleep';
  #reason: string | null = null;
  readonly #printed = new Printed();
  #usedAt = 0;
  #pingedAt = 0;
  /** It has said so since it was listed last. */
  #isStale = false;
  #relisting: Promise<void> | undefined;
  readonly #crashes: Crashes;
  readonly #resources: WatchedResources;
  #nextTry = 0;
  #look: NodeJS.Timeout | undefined;
  #stops = new Set<Promise<void>>();

  constructor(deps: SupervisedDeps) {
    this.name = deps.name;
    this.#deps = deps;
    this.#health = deps.healthCheck ?? usualHealthCheck;
    this.#crashes = new Crashes(deps.clock);
    const { name: server, tellResources: say, clock, log } = deps;
    this.#resources = new WatchedResources({ server, say, over: this.#over.signal, clock, log });
  }

  get state(): ServerState {
    return this.#state;
  }

  /** Why it is not there, as a sentence; null while it is. */
  get reason(): string | null {
    return this.#reason;
  }

  get introduced(): Introduced | null {
    return this.#introduced;
  }

  /** What it printed last beside its messages, without its secrets; of the process before, where none runs. */
  get printed(): string {
    return this.#printed.text;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it once, to learn what it has, and looks after it from then on. Never throws. */
  begin(): void {
    this.#look = setInterval(() => this.lookAfter(), LOOK_MS);
    void this.ready(this.#over.signal).catch(() => undefined); // its state says why
  }

  /** The process, started where it is not there; those who wait for it wait for one start. @throws McpctlError `mcp_server_down` why not. */
  async ready(signal: AbortSignal): Promise<Peer> {
    if (this.#over.signal.aborted) throw new McpctlError('mcp_server_down', 'the worker stops');
    this.#usedAt = this.#now;
    if (this.#child && !this.#child.isGone && this.#state === 'ready') return this.#child;
    const waitMs = this.#nextTry - this.#now;
    if (!this.#starting && waitMs > WAITED_FOR_MS)
      throw new McpctlError('mcp_server_down', this.#reason ?? 'it does not start');
    if (!this.#starting && waitMs > 0) await pause(waitMs, signal);
    if (signal.aborted) throw new McpctlError('mcp_server_down', 'nobody waits for it any more');
    this.#starting ??= this.#start().finally(() => (this.#starting = undefined));
    return await unlessAborted(this.#starting, signal);
  }

  /** One request of a caller. @throws ChildFailure */
  async call(
    child: Peer,
    { method, params, ...how }: { method: string; params: object } & Omit<RequestOptions, 'withinMs'>,
  ): Promise<Answered> {
    const asked = { withinMs: this.#deps.limits.callSeconds * 1_000, ...how };
    try {
      return method === 'resources/subscribe' && 'uri' in params
        ? await this.#resources.subscribe(child, { uri: String(params.uri), ...asked })
        : await child.request(method, params, asked);
    } finally {
      this.#usedAt = this.#now;
    }
  }

  /** What it is begun with is another now: one that failed is tried at once, one that runs is begun anew when nobody calls it. */
  renew(): void {
    this.#isOutdated = this.#state === 'ready' || this.#state === 'starting';
    this.#nextTry = 0;
    this.lookAfter();
  }

  /** As whoever may edit it orders, from afar. Never throws. */
  async ordered(order: ServerOrder, after?: string): Promise<ServerSays> {
    if (order === 'restart') await this.#restart();
    else if (after !== undefined) await this.#printed.follow(after, this.#over.signal);
    const printed = order === 'logs' ? this.#printed.since(after ?? null) : nothingPrinted;
    return { state: this.#state, reason: this.#reason, ...printed };
  }

  /** What runs is ended, and its calls say that nobody knows what became of them; it is begun anew, however often it has failed. */
  async #restart(): Promise<void> {
    if (this.#over.signal.aborted) return;
    this.#deps.log.info({ server: this.name }, 'an MCP server is begun anew, as it was ordered');
    await atMost(RESTART_SAID_MS, this.#beginAnew());
  }

  /** A start that is under way is waited for: one of it, ever. Never throws. */
  async #beginAnew(): Promise<void> {
    await this.#starting?.catch(() => undefined);
    this.#nextTry = 0;
    this.#sleep(this.#over.signal.aborted ? 'stopped' : 'asleep');
    await this.ready(this.#over.signal).catch(() => undefined); // its state says why
  }

  /** How many of its callers wait for an answer. */
  get open(): number {
    return this.#child?.open ?? 0;
  }

  /**
   * Ends it when nobody waits for an answer any more, or after so long. Whoever takes calls for it hears of that at the same
   * moment: what was taken meanwhile is answered, too.
   */
  async leave(withinMs: number): Promise<void> {
    const end = this.#now + withinMs;
    do await pause(LEAVE_LOOK_MS);
    while (this.open > 0 && this.#now < end);
    await this.stop();
  }

  async stop(): Promise<void> {
    clearInterval(this.#look);
    this.#over.abort();
    await this.#starting?.catch(() => undefined);
    this.#sleep('stopped');
    await Promise.all(this.#stops);
  }

  get #now(): number {
    return this.#deps.clock.elapsed();
  }

  async #start(): Promise<Peer> {
    // One of it, ever: who ends is waited for.
    await Promise.all(this.#stops);
    const { limits, log } = this.#deps;
    this.#state = 'starting';
    const withinMs = limits.startSeconds * 1_000;
    let child: Peer | undefined;
    this.#isOutdated = false;
    try {
      child = await this.#launch();
      this.#child = child;
      this.#printed.begun(child.printed);
      const how = { withinMs, signal: this.#over.signal };
      const introduced = await introduce(child, how);
      this.#introduced = introduced;
    } catch (thrown) {
      if (child) this.#end(child);
      if (thrown instanceof Unresolved) this.#waitFor(thrown);
      else this.#failed(this.#over.signal.aborted ? 'the worker stops' : messageOf(thrown));
      throw new McpctlError('mcp_server_down', this.#reason ?? 'it does not start', { cause: thrown });
    }
    this.#state = 'ready';
    this.#reason = null;
    this.#crashes.began();
    this.#usedAt = this.#pingedAt = this.#now;
    log.info({ server: this.name, tools: this.#introduced.tools.length }, 'an MCP server runs');
    this.#deps.onTools();
    this.#deps.onState();
    this.#resources.begun(child, this.#introduced.capabilities);
    return child;
  }

  async #launch(): Promise<Peer> {
    const begun: { peer?: Peer } = {};
    const heard: Heard = {
      onExit: (why) => begun.peer && this.#exited(begun.peer, why),
      onListChanged: () => begun.peer && this.#listChanged(begun.peer),
      onUpdated: (uri) => begun.peer && this.#resources.heard(begun.peer, uri),
    };
    begun.peer = await this.#deps.launch(heard, this.#over.signal);
    return begun.peer;
  }

  /** It has ended by itself, while it was not asked to. */
  #exited(child: Peer, why: string): void {
    if (child !== this.#child) return;
    const wasReady = this.#state === 'ready';
    this.#end(child);
    if (wasReady) this.#failed(`it ${why}`);
  }

  #failed(why: string): void {
    if (this.#over.signal.aborted) return;
    const { waitMs: patienceMs, loops } = this.#crashes.failed();
    this.#restFor(loops ? SELDOM_MS : patienceMs, `${loops ? 'crash_loop: ' : ''}${why}`);
  }

  /** It has not crashed: what it lacks may be there any moment. */
  #waitFor({ message }: Unresolved): void {
    if (!this.#over.signal.aborted) this.#restFor(UNRESOLVED_MS, message);
  }

  /** @param how said to people, and in part by the server. */
  #restFor(waitMs: number, how: string): void {
    const why = storableSentence(shownInLine(how), MOST_WHY_CHARS);
    this.#nextTry = this.#now + waitMs;
    this.#state = 'failed';
    const again = `tried again in ${String(Math.max(1, Math.round(waitMs / 1_000)))} s`;
    this.#reason = `${why} (${again})`;
    this.#deps.log.warn({ server: this.name, why, waitMs: Math.round(waitMs) }, 'an MCP server does not run');
    this.#deps.onState();
  }

  /** What time asks for: another try, sleep, an end to one that holds too much or answers nobody. By itself every few seconds. */
  lookAfter(): void {
    const now = this.#now;
    if (this.#state === 'failed' && !this.#starting && now >= this.#nextTry) {
      void this.ready(this.#over.signal).catch(() => undefined); // its state says why
      return;
    }
    const child = this.#child;
    if (this.#state !== 'ready' || !child) return;
    this.#resources.lookAfter();
    const { idleMinutes, memoryMb } = this.#deps.limits;
    if (child.open === 0 && this.#isOutdated) {
      this.#sleep('asleep');
      void this.ready(this.#over.signal).catch(() => undefined); // as above
      return;
    }
    const idleMs = idleMinutes * 60_000;
    const isIdle = child.open === 0 && now - this.#usedAt > idleMs;
    // Who sleeps tells of nothing.
    if (isIdle && !this.#resources.areWanted) return this.#sleep('asleep');
    const bytes = memoryOf(child.pid);
    if (bytes !== null && bytes > memoryMb * 1024 * 1024) {
      this.#end(child);
      return this.#failed(`it used more than ${String(memoryMb)} MiB of memory`);
    }
    if (child.open === 0 && now - this.#pingedAt > this.#health.everySeconds * 1_000) void this.#ping(child);
  }

  async #ping(child: Peer): Promise<void> {
    this.#pingedAt = this.#now;
    try {
      await child.request(
        'ping',
        {},
        { withinMs: this.#health.withinSeconds * 1_000, signal: this.#over.signal },
      );
    } catch (thrown) {
      if (!(thrown instanceof ChildFailure) || thrown.code !== 'timeout' || child !== this.#child) return;
      this.#end(child);
      this.#failed('it no longer answered');
    }
  }

  /** One list at a time: the newest is listed last. */
  #listChanged(child: Peer): void {
    if (child !== this.#child || !this.#introduced) return;
    this.#isStale = true;
    this.#relisting ??= this.#relist().finally(() => (this.#relisting = undefined));
  }

  async #relist(): Promise<void> {
    while (this.#isStale && this.#child && this.#introduced) {
      this.#isStale = false;
      await this.#listAnew(this.#child, this.#introduced);
      if (this.#isStale) await pause(LIST_EVERY_MS, this.#over.signal);
    }
  }

  async #listAnew(child: Peer, introduced: Introduced): Promise<void> {
    try {
      const how = { withinMs: LIST_WITHIN_MS, signal: this.#over.signal };
      const now = { ...introduced, ...(await listedBy(child, introduced.capabilities, how)) };
      if (isDeepStrictEqual(now, introduced)) return; // it said so, and has what it had
      this.#introduced = now;
      this.#deps.onTools();
    } catch (thrown) {
      this.#deps.log.warn(
        { server: this.name, why: messageOf(thrown) },
        'what an MCP server has now could not be listed',
      );
    }
  }

  #sleep(as: 'asleep' | 'stopped'): void {
    const child = this.#child;
    this.#state = as;
    if (child) this.#end(child);
  }

  #end(child: Peer): void {
    if (this.#child === child) this.#child = undefined;
    const stopping = child.stop().finally(() => this.#stops.delete(stopping));
    this.#stops.add(stopping);
  }
}

/** It goes on by itself. @throws McpctlError `mcp_server_down` when nobody waits for it any more. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new McpctlError('mcp_server_down', 'nobody waits for it any more'));
    signal.addEventListener('abort', abort, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
