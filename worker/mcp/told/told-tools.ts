import { z } from 'zod';
import { messageOf } from '../../../core/errors.ts';
import { pause, type Clock } from '../../../core/runtime/clock.ts';
import type { Log } from '../../../core/runtime/log.ts';
import { serverOfPool } from '../../../core/mcp/names.ts';
import type { Ordered } from '../../transports/transport.ts';
import type { EdgeClient } from '../../edge-client.ts';
import { wantedResourcesSchema } from '../../../core/mcp/offers.ts';
import type { McpServers, ServersTold } from '../open-servers.ts';

export interface ToldToolsDeps {
  servers: Pick<McpServers, 'opened' | 'report' | 'ordered'>;
  edge: EdgeClient;
  clock: Clock;
  log: Log;
}

const AGAIN_MS = 5_000;
/** An edge of before: it knows of nobody who wants to hear. */
const olderSchema = z.object({ code: z.literal('route_not_found') });

/** Tells the edge what tools this machine's servers have, until it has heard of each: lists are made of that, there. */
export class ToldTools implements ServersTold {
  readonly #deps: ToldToolsDeps;
  readonly #unsaid = new Set<string>();
  readonly #servers = new Set<string>();
  readonly #stopping = new AbortController();
  #session: string | null = null;
  #saying = false;

  constructor(deps: ToldToolsDeps) {
    this.#deps = deps;
  }

  /** The tools of that server are known, or are others now. */
  changed(server: string): void {
    this.#servers.add(server);
    this.#unsaid.add(server);
    this.#kick();
  }

  /** The rows are there: what is known is said again, as they may be new. */
  registered(session: string): void {
    this.#session = session;
    for (const server of this.#servers) this.#unsaid.add(server);
    this.#kick();
  }

  async resources(server: string, updated: readonly string[]): Promise<readonly string[] | null> {
    const { edge, log } = this.#deps;
    if (this.#session === null) return null;
    try {
      const body = { providerSessionId: this.#session, server, updated };
      const { status, json } = await edge.post('_provider-resources', body);
      if (status < 300) return wantedResourcesSchema.parse(json).wanted;
      if (olderSchema.safeParse(json).success) return [];
      // Whatever else it says, of this token, this session or itself, somebody may want to hear still.
      log.debug({ server, status }, 'of which resources somebody hears was not said');
      return null;
    } catch (thrown) {
      log.debug({ server, why: messageOf(thrown) }, 'of which resources somebody hears could not be asked');
      return null;
    }
  }

  /** Never throws: whoever gave the order waits for an answer, and no longer than a few seconds. */
  async ordered({ orderId, llmName, order, after }: Parameters<Ordered>[0]): Promise<void> {
    const { servers, edge, log } = this.#deps;
    const server = serverOfPool(llmName);
    const says = server === null ? null : await servers.ordered(server, order, after);
    if (says === null || this.#session === null) return;
    try {
      const body = { providerSessionId: this.#session, server, orderId, says };
      await edge.post('_provider-said', body);
    } catch (thrown) {
      log.warn({ server, order, why: messageOf(thrown) }, 'what came of an order could not be said');
    }
  }

  stop(): void {
    this.#stopping.abort();
  }

  #kick(): void {
    if (this.#saying || this.#session === null) return;
    this.#saying = true;
    void this.#say().finally(() => (this.#saying = false));
  }

  async #say(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted && this.#unsaid.size > 0) {
      const [server] = this.#unsaid;
      if (server === undefined) return;
      this.#unsaid.delete(server);
      if (await this.#tell(server)) continue;
      this.#unsaid.add(server);
      await pause(AGAIN_MS * (0.5 + this.#deps.clock.random() / 2), signal);
    }
  }

  /** @returns whether there is nothing more to say of it now. */
  async #tell(server: string): Promise<boolean> {
    const { servers, edge, log } = this.#deps;
    const report = servers.report(server);
    if (report === null) return true;
    try {
      const body = { providerSessionId: this.#session, ...report };
      const { status } = await edge.post('_provider-tools', body);
      if (status < 300) return true;
      log.warn({ server, status }, 'the edge does not take what tools an MCP server has');
      // An edge that knows no tools, or knows better: the next registration tells again.
      return status < 500 && status !== 429;
    } catch (thrown) {
      log.debug({ server, why: messageOf(thrown) }, 'what tools an MCP server has could not be told yet');
      return false;
    }
  }
}
