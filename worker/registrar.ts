import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { apiErrorSchema } from '../core/api-error.ts';
import { McpctlError, messageOf } from '../core/errors.ts';
import type { Capabilities } from '../core/llm.ts';
import { uuidSchema } from '../core/names.ts';
import { PROTOCOL, registeredSchema, type Registered } from '../core/protocol.ts';
import { createEdgeClient, type EdgeClient } from './edge-client.ts';
import type { LlmProvider } from './providers/provider.ts';

export type { CompletionOptions, CompletionResult, LlmProvider } from './providers/provider.ts';

/** One llm to publish. */
export interface RegistrarPublishedProvider {
  provider: LlmProvider;
  type: string;
  model: string;
  tier?: string;
  poolName?: string;
  maxConcurrency?: number;
  capabilities?: Capabilities;
  /** The same text for llms of one backend: they share one count of slots. Means nothing to anybody else. */
  slotGroup?: string;
  /** What the row begins with; without it the backend is asked, if there is a `wake` recipe. */
  status?: 'active' | 'hibernating' | 'inactive';
  /** Its presence makes an unavailable backend `hibernating` rather than `active`. */
  wake?: unknown;
}

export interface RegistrarLog {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

export interface RegistrarOptions {
  mcpdUrl: string;
  token: string;
  publishedProviders: readonly RegistrarPublishedProvider[];
  /** Where the sticky session id is kept, so that a restarted worker finds its rows again. */
  sessionFilePath: string;
  log: RegistrarLog;
  /** Default 30 s; a third of the session's lease. */
  heartbeatIntervalMs?: number;
  /** Random per process when not given: tells a restarted worker from a copied session file. */
  instanceId?: string;
  versions?: { worker: string; bullmq: string };
  /** What this worker can take its tasks by. */
  transports?: readonly string[];
  /** After each registration, also one that a lost session made necessary. */
  onRegistered?: (registered: Registered) => void;
}

const HEARTBEAT_MS = 30_000;
const PROBE_MS = 3_000;

/**
 * Publishes llms of this machine at an edge and keeps them published: registers, beats, registers again when
 * the edge has forgotten the session, and says goodbye.
 */
export class VirtualLlmRegistrar {
  readonly #options: RegistrarOptions;
  readonly #edge: EdgeClient;
  readonly #instanceId: string;
  #offers: readonly RegistrarPublishedProvider[];
  /** Registrations go one after the other, so that the last one said is the one that stands. */
  #last: Promise<unknown> = Promise.resolve();
  #sessionId: string | null;
  #beats: NodeJS.Timeout | undefined;
  #beating = false;
  #goodbye: Promise<unknown> | undefined;

  constructor(options: RegistrarOptions) {
    this.#options = options;
    this.#offers = options.publishedProviders;
    this.#edge = createEdgeClient(options);
    this.#instanceId = options.instanceId ?? randomUUID();
    this.#sessionId = readSession(options.sessionFilePath);
  }

  /** The session's id; null before the first registration ever made here. */
  getSessionId(): string | null {
    return this.#sessionId;
  }

  /**
   * Registers and begins to beat. With nothing to publish it says so and does nothing.
   * @throws McpctlError whose message begins `HTTP <status>` unless the edge answered 201; `server_unreachable`.
   */
  async start(): Promise<void> {
    if (this.#offers.length === 0) {
      this.#options.log.info('nothing to publish');
      return;
    }
    await this.#register();
    clearInterval(this.#beats);
    this.#beats = setInterval(() => void this.#beat(), this.#options.heartbeatIntervalMs ?? HEARTBEAT_MS);
  }

  /**
   * Publishes these from now on: registers again, whatever changed (capabilities, status, names).
   * Before `start` it only notes them. @throws as `start`; the next registration sends them all the same.
   */
  async refresh(offers: readonly RegistrarPublishedProvider[]): Promise<void> {
    this.#offers = offers;
    if (this.#beats !== undefined) await this.#register();
  }

  /** Stops beating and says goodbye, without waiting for the answer: see `left`. */
  stop(): void {
    const started = this.#beats !== undefined;
    clearInterval(this.#beats);
    this.#beats = undefined;
    if (!started || this.#sessionId === null) return;
    this.#goodbye = this.#edge('_provider-goodbye', { providerSessionId: this.#sessionId }).catch(
      (thrown: unknown) => {
        this.#options.log.warn(
          `the edge did not hear the goodbye; the lease will lapse: ${messageOf(thrown)}`,
        );
      },
    );
  }

  /** Resolves when the goodbye was heard, or could not be said. */
  async left(): Promise<void> {
    await this.#goodbye;
  }

  #register(): Promise<void> {
    const registering = this.#last.then(() => this.#registerNow());
    this.#last = registering.catch(() => undefined); // told to whoever asked for it
    return registering;
  }

  async #registerNow(): Promise<void> {
    const { versions, transports, log } = this.#options;
    const { status, json } = await this.#edge('_provider-register', {
      ...(this.#sessionId === null ? {} : { providerSessionId: this.#sessionId }),
      instanceId: this.#instanceId,
      protocol: PROTOCOL,
      ...(versions ? { workerVersion: versions.worker, bullmqVersion: versions.bullmq } : {}),
      ...(transports ? { transports } : {}),
      providers: await Promise.all(this.#offers.map(offerOf)),
    });
    if (status !== 201) throw refused(status, json);
    const registered = registeredSchema.parse(json);
    this.#keepSession(registered.providerSessionId);
    for (const warning of registered.warnings) log.warn(warning);
    this.#options.onRegistered?.(registered);
  }

  async #beat(): Promise<void> {
    if (this.#beating) return;
    this.#beating = true;
    try {
      const { status } = await this.#edge('_provider-heartbeat', { providerSessionId: this.#sessionId });
      if (status === 404 && this.#beats !== undefined) await this.#register();
      else if (status >= 300) this.#options.log.warn(`the edge answered a heartbeat with HTTP ${status}`);
    } catch (thrown) {
      // The next beat tries again; the lease outlives two that are missed.
      this.#options.log.warn(messageOf(thrown));
    } finally {
      this.#beating = false;
    }
  }

  #keepSession(id: string): void {
    if (id === this.#sessionId) return;
    this.#sessionId = id;
    const { sessionFilePath, log } = this.#options;
    try {
      mkdirSync(dirname(sessionFilePath), { recursive: true });
      writeFileSync(sessionFilePath, `${id}\n`, { mode: 0o600 });
    } catch (thrown) {
      log.warn(
        `the session id could not be kept; a restart will publish as a new session: ${messageOf(thrown)}`,
      );
    }
  }
}

async function offerOf(published: RegistrarPublishedProvider) {
  const { provider, type, model, tier, poolName, maxConcurrency, capabilities, slotGroup } = published;
  return {
    name: provider.name,
    type,
    model,
    tier,
    poolName,
    maxConcurrency,
    capabilities,
    slotGroup,
    initialStatus: published.status ?? (await firstStatus(published)),
  };
}

async function firstStatus({
  provider,
  wake,
}: RegistrarPublishedProvider): Promise<'active' | 'hibernating'> {
  if (wake === undefined) return 'active';
  return (await provider.isAvailable(AbortSignal.timeout(PROBE_MS))) ? 'active' : 'hibernating';
}

/** What the edge said, as a sentence for the log; its code tells whether trying again makes sense. */
function refused(status: number, json: unknown): McpctlError {
  const said = apiErrorSchema.safeParse(json);
  const why = said.success ? `: ${said.data.error}` : '';
  const code = status === 401 || status === 403 ? 'unauthenticated' : 'bad_answer';
  return new McpctlError(code, `HTTP ${status}${why}`);
}

/** Null where there is no session yet, or the file holds something else. */
function readSession(path: string): string | null {
  try {
    return uuidSchema.parse(readFileSync(path, 'utf8').trim());
  } catch {
    return null; // the first registration makes one
  }
}
