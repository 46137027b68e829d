import { randomUUID } from 'node:crypto';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { PROTOCOL, type PublishedAgent, type Registered } from '../../core/member/protocol.ts';
import { pause, systemClock } from '../../core/runtime/clock.ts';
import { Backoff } from '../backoff.ts';
import { createEdgeClient, type EdgeClient } from '../edge-client.ts';
import { warmUp, wireOffer, type RegistrarPublishedProvider } from './offer.ts';
import { createOwnService, type OwnService } from './own-service.ts';
import { readRefusal, readRegistered } from './registered.ts';
import { keepSession, readSession } from './session-file.ts';

export type { PublishedAgent } from '../../core/member/protocol.ts';
export type { RegistrarPublishedProvider } from './offer.ts';
export type { CompletionOptions, CompletionResult, LlmProvider } from '../providers/provider.ts';

export interface RegistrarLog {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

export interface RegistrarOptions {
  mcpdUrl: string;
  token: string;
  publishedProviders: readonly RegistrarPublishedProvider[];
  /** Agents over these llms, or over others that the user may run: published with them, all or nothing. */
  publishedAgents?: readonly PublishedAgent[];
  /** Where the sticky session id is kept, so that a restarted worker finds its rows again. */
  sessionFilePath: string;
  log: RegistrarLog;
  /** Default 30 s; a third of the session's lease. */
  heartbeatIntervalMs?: number;
  /** Random per process when not given: tells a restarted worker from a copied session file. */
  instanceId?: string;
  versions?: { worker: string; bullmq: string };
  /** What people call this machine. */
  host?: string;
  /** What this worker can take its tasks by; only sse when not given. */
  transports?: readonly string[];
  /** The way to the edge, e.g. through a proxy. */
  edge?: EdgeClient;
  /**
   * After each registration, also one that a lost session made necessary: whoever gives this serves the tasks.
   * Without it the registrar serves them itself, over the sse transport.
   */
  onRegistered?: (registered: Registered) => void;
  /**
   * The edge will not have this worker (401, 403), with what it said: whoever serves the tasks stops. The registrar asks
   * again now and then, as the token may be given more; `onRegistered` tells when it works.
   */
  onRefused?: (why: string) => void;
  /** Another process has the session, and is there: whoever serves the tasks lets go of them. `onRegistered` tells when not. */
  onTaken?: () => void;
}

const HEARTBEAT_MS = 30_000;
const GOODBYE_WITHIN_MS = 5_000;
/** A revoked token stays revoked; a bound one may be let into a pool again. */
const REFUSED_AGAIN_MS = 300_000;

/**
 * Publishes llms of this machine at an edge and keeps them published: registers, beats, registers again when
 * the edge has forgotten the session, and says goodbye.
 */
export class VirtualLlmRegistrar {
  readonly #options: RegistrarOptions;
  readonly #edge: EdgeClient;
  readonly #instanceId: string;
  readonly #backoff = new Backoff(systemClock);
  readonly #own: OwnService | undefined;
  #offers: readonly RegistrarPublishedProvider[];
  /** Registrations go one after the other, so that the last one said is the one that stands. */
  #last: Promise<unknown> = Promise.resolve();
  #sessionId: string | null;
  #beats: NodeJS.Timeout | undefined;
  #beating = false;
  #again: Promise<void> | undefined;
  /** To register again, since the last registration began. */
  #isAsked = false;
  #stopping = new AbortController();
  #lastWhy: string | undefined;
  /** What the edge said when it would have this worker no more; undefined while it does. */
  #refusal: string | undefined;
  #goodbye: Promise<unknown> | undefined;
  /** An edge of a release that knows no agents has left them out: another may be there by the next beat. */
  #lacksAgents = false;
  #warned: ReadonlySet<string> = new Set();

  constructor(options: RegistrarOptions) {
    this.#options = options;
    this.#offers = options.publishedProviders;
    this.#instanceId = options.instanceId ?? randomUUID();
    this.#edge = options.edge ?? createEdgeClient({ ...options, instance: this.#instanceId });
    this.#sessionId = readSession(options.sessionFilePath);
    if (options.onRegistered) return;
    const onGone = (): void => this.registerAgain();
    this.#own = createOwnService({ edge: this.#edge, boot: this.#instanceId, log: options.log, onGone });
  }

  /** The session's id; null before the first registration ever made here. */
  getSessionId(): string | null {
    return this.#sessionId;
  }

  /** Why the edge will not have this worker now; undefined while it does. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /**
   * Registers and begins to beat. With nothing to publish it says so and does nothing.
   * @throws McpctlError whose message begins `HTTP <status>` unless the edge answered 201; `server_unreachable`.
   */
  async start(): Promise<void> {
    if (this.#offers.length + (this.#options.publishedAgents?.length ?? 0) === 0) {
      this.#options.log.info('nothing to publish');
      return;
    }
    this.#stopping = new AbortController();
    const { signal } = this.#stopping;
    await this.#register();
    if (signal.aborted) return void (this.#goodbye = this.#sayGoodbye()); // stopped meanwhile
    clearInterval(this.#beats);
    this.#beats = setInterval(() => void this.#beat(), this.#options.heartbeatIntervalMs ?? HEARTBEAT_MS);
    void warmUp(this.#offers, { stopping: signal, say: (why) => this.#options.log.warn(why) });
  }

  /**
   * Publishes these from now on: registers again, whatever changed (capabilities, status, names).
   * Before `start` it only notes them. @throws as `start`; the next registration sends them all the same.
   */
  async refresh(offers: readonly RegistrarPublishedProvider[]): Promise<void> {
    this.#offers = offers;
    if (this.#beats !== undefined) await this.#register();
  }

  /**
   * The edge has forgotten the session or has news of it, or the machine has slept: registers until it works, beginning at
   * once. Called meanwhile it registers once more after that: the answer under way may have been made before the news.
   * Before `start` it does nothing.
   */
  registerAgain(): void {
    if (this.#beats === undefined) return;
    this.#isAsked = true;
    if (!this.#again) this.#again = this.#untilRegistered().finally(() => (this.#again = undefined));
  }

  /** What was waited for is waited for no longer: the next try is a first one. */
  hurry(): void {
    this.#backoff.reset();
  }

  /** Stops beating and says goodbye, without waiting for the answer: see `left`. */
  stop(): void {
    const started = this.#beats !== undefined;
    clearInterval(this.#beats);
    this.#beats = undefined;
    this.#stopping.abort();
    if (!started) return;
    this.#goodbye = this.#sayGoodbye();
  }

  /** Resolves when the goodbye was heard, or could not be said. */
  async left(): Promise<void> {
    await this.#goodbye;
  }

  async #sayGoodbye(): Promise<void> {
    await this.#own?.stop();
    await this.#last; // a registration that arrived after the goodbye would undo it
    const body = { providerSessionId: this.#sessionId };
    try {
      await this.#edge.post('_provider-goodbye', body, GOODBYE_WITHIN_MS);
    } catch (thrown) {
      this.#options.log.warn(`the edge did not hear the goodbye; the lease will lapse: ${messageOf(thrown)}`);
    }
  }

  #register(): Promise<void> {
    const registering = this.#last.then(() => this.#registerNow());
    this.#last = registering.catch(() => undefined); // told to whoever asked for it
    return registering;
  }

  async #registerNow(): Promise<void> {
    const providers = await Promise.all(this.#offers.map(wireOffer));
    let { status, json } = await this.#send(providers);
    const former = this.#sessionId;
    const refused = former !== null && whySessionRefused(status, json);
    if (refused) {
      this.#options.log.warn(`the session in the session file is ${refused}; publishing as a new one`);
      this.#sessionId = null;
      ({ status, json } = await this.#send(providers));
    }
    if (status < 200 || status > 299) {
      this.#sessionId = former; // what stood in its way may be another thing
      const refused = this.#refused(status, json);
      const isRevoked = readRefusal(json).code === 'session_revoked';
      const advice = isRevoked ? '' : ': run "mcpctl login" on this machine, then start it again';
      if (refused.code === 'unauthenticated') this.#serveNoMore(refused.message, advice);
      if (readRefusal(json).code === 'session_in_use') {
        this.#options.onTaken?.();
        this.#own?.taken();
      }
      throw refused;
    }
    const registered = readRegistered(json, this.#offers);
    this.#keep(registered.providerSessionId);
    this.#lacksAgents = registered.agents.length < (this.#options.publishedAgents?.length ?? 0);
    for (const warning of registered.warnings)
      if (!this.#warned.has(warning)) this.#options.log.warn(warning);
    this.#warned = new Set(registered.warnings);
    this.#refusal = undefined;
    this.#say(undefined);
    this.#options.onRegistered?.(registered);
    this.#own?.registered(registered, this.#offers);
  }

  #send(providers: readonly object[]) {
    const {
      versions,
      host,
      transports = this.#own ? ['sse'] : undefined,
      publishedAgents = [],
    } = this.#options;
    return this.#edge.post('_provider-register', {
      ...(this.#sessionId === null ? {} : { providerSessionId: this.#sessionId }),
      instanceId: this.#instanceId,
      protocol: PROTOCOL,
      ...(versions ? { workerVersion: versions.worker, bullmqVersion: versions.bullmq } : {}),
      ...(host === undefined ? {} : { host }),
      ...(transports ? { transports } : {}),
      ...(this.#edge.instance === this.#instanceId ? { saysInstance: true } : {}),
      ...(transports?.includes('redis') ? { redisUser: true } : {}),
      providers,
      ...(publishedAgents.length === 0 ? {} : { agents: publishedAgents }),
    });
  }

  async #untilRegistered(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted && this.#isAsked) {
      try {
        this.#isAsked = false;
        await this.#register();
        this.#backoff.reset();
        continue;
      } catch (thrown) {
        this.#isAsked = true;
        if (this.#refusal === undefined) this.#say(`${messageOf(thrown)} Trying again.`);
      }
      if (this.#refusal !== undefined) await pause(REFUSED_AGAIN_MS, signal);
      else await this.#backoff.wait(signal);
    }
  }

  async #beat(): Promise<void> {
    if (this.#beating || this.#refusal !== undefined) return;
    this.#beating = true;
    try {
      const { status, json } = await this.#edge.post('_provider-heartbeat', {
        providerSessionId: this.#sessionId,
      });
      // Whether it is the worker or this one call that is not wanted, its registration tells.
      const isRefused = status === 401 || status === 403;
      if (status === 404 || isRefused || whySessionRefused(status, json)) this.registerAgain();
      else if (status < 300 && this.#lacksAgents) this.registerAgain();
      else this.#say(status < 300 ? undefined : `the edge answered a heartbeat with HTTP ${String(status)}`);
    } catch (thrown) {
      this.#say(messageOf(thrown)); // the next beat tries again; the lease outlives two that are missed
    } finally {
      this.#beating = false;
    }
  }

  /** It may not serve here: who serves stops, and one sentence says so. */
  #serveNoMore(why: string, advice: string): void {
    if (this.#refusal === why) return;
    this.#refusal = why;
    this.#lastWhy = `${why} This worker serves nothing until it is let in again${advice}.`;
    this.#options.log.error(this.#lastWhy);
    this.#options.onRefused?.(why);
    void this.#own?.stop();
  }

  /** One line per change, not per attempt; undefined: all is well. */
  #say(why: string | undefined): void {
    if (why === this.#lastWhy || this.#stopping.signal.aborted) return;
    if (why !== undefined) this.#options.log.warn(why);
    else this.#options.log.info('the edge hears this worker again');
    this.#lastWhy = why;
  }

  #keep(id: string): void {
    if (id === this.#sessionId) return;
    this.#sessionId = id;
    const { sessionFilePath, log } = this.#options;
    try {
      keepSession(sessionFilePath, id);
    } catch (thrown) {
      log.warn(
        `the session id could not be kept; a restart will publish as a new session: ${messageOf(thrown)}`,
      );
    }
  }

  /** What the edge said, as a sentence for the log; its code tells whether trying again makes sense. */
  #refused(status: number, json: unknown): McpctlError {
    const { sentence, code: refusalCode } = readRefusal(json);
    const why = sentence === undefined ? '' : `: ${sentence}`;
    const file =
      refusalCode === 'session_in_use' ? ` The file here is ${this.#options.sessionFilePath}.` : '';
    const code = status === 401 || status === 403 ? 'unauthenticated' : 'bad_answer';
    return new McpctlError(code, `HTTP ${String(status)}${why}${file}`);
  }
}

/**
 * Why an edge will not have this session: it is another user's, or, where the worker was published at another edge
 * before, none of this edge's kind. Null when that is not what it said.
 */
function whySessionRefused(status: number, json: unknown): string | null {
  const { sentence, code = 'session_not_found', paths } = readRefusal(json);
  if (status === 404 && code === 'session_not_found') return 'not known here, or another user’s';
  return status === 400 && /session/i.test([sentence, ...paths].join(' ')) ? 'of another edge' : null;
}
