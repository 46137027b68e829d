import type { Actor } from '../../../core/access.ts';
import { messageOf } from '../../../core/errors.ts';
import { SUBSCRIBED_MS, type ResourceAt } from '../../../core/queue/live/mcp/subscriptions.ts';
import type { McpProject } from '../../../core/registry/mcp/servers.ts';
import type { EdgeDeps } from '../../deps.ts';
import { serversOfUris } from '../offers.ts';
import { projectFor, serversFor } from '../tools.ts';

/** Three times may fail before what a stream hears of lapses. */
const RENEW_MS = SUBSCRIBED_MS / 4;
/** Between two tellings of one stream: each asks the registry what its reader may hear of. */
const EVERY_MS = 1_000;

export interface StreamResourcesOptions {
  /** Under which what it hears of is kept. */
  streamId: string;
  project: McpProject;
  /** Who reads it, as they are granted now. */
  actor: () => Actor;
  /** There is something to tell. Must not throw. */
  wake: () => void;
}

type Deps = Pick<EdgeDeps, 'registry' | 'clock' | 'log'> & {
  queue: Pick<EdgeDeps['queue'], 'subscriptions' | 'resourceNews'>;
};

/**
 * The resources that one open stream hears of: what its client asked for at whatever edge, said again for as long as the stream is open. What
 * its reader may not read when it changes is not told.
 */
export class StreamResources {
  readonly #deps: Deps;
  readonly #at: StreamResourcesOptions;
  /** By server. */
  #heard = new Map<string, Set<string>>();
  readonly #listening = new Map<string, Promise<() => void>>();
  readonly #pending = new Set<string>();
  readonly #renewing: NodeJS.Timeout;
  #waking: NodeJS.Timeout | undefined;
  #nextAt = 0;
  #leave: () => void = () => undefined;
  #isClosed = false;
  #loading: Promise<void> = Promise.resolve();

  constructor(deps: Deps, options: StreamResourcesOptions) {
    this.#deps = deps;
    this.#at = options;
    this.#renewing = setInterval(() => void this.#renew(), RENEW_MS).unref();
  }

  /** From now on it is told of what was asked for, and of what is asked for later. @throws McpctlError `unavailable`. */
  async begin(): Promise<void> {
    const { subscriptions } = this.#deps.queue;
    const leave = await subscriptions.listenStream(this.#at.streamId, (isMissed) => {
      this.#loading = this.#loading.then(() => this.#load(isMissed ? 'missed' : 'all'));
    });
    if (this.#isClosed) return leave();
    this.#leave = leave;
    await this.#load('all');
  }

  /** Those that are others now, and that its reader may read. None while the registry is away: they are told later. */
  async take(): Promise<string[]> {
    const now = this.#deps.clock.elapsed();
    if (this.#pending.size === 0) return [];
    if (now < this.#nextAt) {
      this.#wakeIn(this.#nextAt - now);
      return [];
    }
    this.#nextAt = now + EVERY_MS;
    const uris = [...this.#pending];
    this.#pending.clear();
    try {
      const mayRead = await this.#readable(uris);
      return uris.filter((uri) => mayRead.has(uri));
    } catch (thrown) {
      this.#deps.log.debug({ why: messageOf(thrown) }, 'a resource that changed is told later');
      for (const uri of uris) this.#pending.add(uri);
      this.#wakeIn(EVERY_MS);
      return [];
    }
  }

  /** @param isForEver its client cannot come back to it. */
  close({ isForEver }: { isForEver: boolean }): void {
    this.#isClosed = true;
    clearInterval(this.#renewing);
    clearTimeout(this.#waking);
    this.#leave();
    for (const leaving of this.#listening.values()) void leaving.then((leave) => leave(), nothing);
    if (isForEver)
      for (const at of this.#all()) void this.#deps.queue.subscriptions.drop(this.#of(at)).catch(nothing);
  }

  #all(): ResourceAt[] {
    return [...this.#heard].flatMap(([server, uris]) => [...uris].map((uri) => ({ server, uri })));
  }

  #of = (at: ResourceAt) => ({ userId: this.#at.actor().userId, streamId: this.#at.streamId, ...at });

  /**
   * @param what is there: `all` that there is; `all` unless it is nothing, as Redis may have been lost; or what is left in a Redis that
   *   may have been lost or gone back in time: then what was heard of is heard of still, and said again.
   */
  async #load(what: 'all' | 'all or lost' | 'missed'): Promise<void> {
    const { log, queue } = this.#deps;
    if (this.#isClosed) return;
    try {
      const { userId } = this.#at.actor();
      const all = await queue.subscriptions.of({ userId, streamId: this.#at.streamId });
      if (what === 'all or lost' && all.length === 0) return;
      const heard = new Map<string, Set<string>>();
      for (const { server, uri } of what === 'missed' ? [...this.#all(), ...all] : all)
        heard.set(server, (heard.get(server) ?? new Set()).add(uri));
      this.#heard = heard;
      if (what === 'missed') void this.#say();
      await this.#follow();
    } catch (thrown) {
      log.debug({ why: messageOf(thrown) }, 'of which resources a stream hears could not be looked up');
    }
  }

  /** Listens to the servers of what it hears of, and to no others. */
  async #follow(): Promise<void> {
    for (const [server, leaving] of this.#listening)
      if (!this.#heard.has(server)) {
        this.#listening.delete(server);
        void leaving.then((leave) => leave(), nothing);
      }
    for (const server of this.#heard.keys()) {
      if (this.#isClosed || this.#listening.has(server)) continue;
      const listening = this.#deps.queue.resourceNews.listen(server, (uris) => this.#hear(server, uris));
      this.#listening.set(server, listening);
      await listening.catch(() => this.#listening.delete(server)); // the next look asks again
    }
  }

  #hear(server: string, uris: readonly string[] | null): void {
    const heard = this.#heard.get(server);
    if (!heard) return;
    for (const uri of uris ?? heard) if (heard.has(uri)) this.#pending.add(uri);
    if (this.#pending.size > 0) this.#wakeIn(Math.max(0, this.#nextAt - this.#deps.clock.elapsed()));
  }

  async #readable(uris: readonly string[]): Promise<ReadonlySet<string>> {
    const actor = this.#at.actor();
    const project = await projectFor(this.#deps, actor, this.#at.project.name);
    if (project.id !== this.#at.project.id) return new Set();
    const viewer = { actor, project };
    const servers = await serversOfUris(this.#deps, { viewer, servers: serversFor(viewer) }, uris);
    return new Set(uris.filter((uri) => this.#hears({ server: servers.get(uri)?.server ?? '', uri })));
  }

  #hears = ({ server, uri }: ResourceAt): boolean => this.#heard.get(server)?.has(uri) === true;

  /** What was given up at another edge meanwhile is not said again. */
  async #renew(): Promise<void> {
    await this.#load('all or lost');
    await this.#say();
  }

  /** Never throws. */
  async #say(): Promise<void> {
    const { queue, log } = this.#deps;
    for (const at of this.#all())
      try {
        // It may have been given up while those before it were said.
        if (!this.#isClosed && this.#hears(at)) await queue.subscriptions.keep(this.#of(at));
      } catch (thrown) {
        log.debug({ why: messageOf(thrown) }, 'that a stream hears of a resource could not be said again');
      }
  }

  #wakeIn(ms: number): void {
    this.#waking ??= setTimeout(() => {
      this.#waking = undefined;
      this.#at.wake();
    }, ms).unref();
  }
}

const nothing = (): undefined => undefined;
