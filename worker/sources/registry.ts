import { McpctlError } from '../../core/errors.ts';
import { memberBody } from '../../core/translate/member-body.ts';
import { connect } from '../../core/registry/database/connect.ts';
import type { DatabaseTls } from '../../core/registry/database/tls.ts';
import { createServed, type HostedServer, type ServedRow } from '../../core/registry/hosted/served.ts';
import type { SealedKey } from '../../core/registry/hosted/served-keys.ts';
import type { Log } from '../../core/runtime/log.ts';

export { inspectDatabase } from '../../core/registry/database/inspect.ts';

/** A public row, as a hosted worker serves it. */
export type PublicLlm = ServedRow & { url: string };
export type { HostedServer };

/** The public llms of the registry. This is the only file of a worker that reads Postgres, and it writes nothing. */
export interface RegistrySource {
  /**
   * The rows, when they have changed since the last answer, or were never read; else undefined: one small question.
   * At most so many rows, by name, and behind them those again in pools that they left; `more` says that there are others.
   * @throws McpctlError `unavailable` within two seconds; the next call asks again.
   */
  changed(): Promise<{ llms: PublicLlm[]; servers: HostedServer[]; more: boolean } | undefined>;
  /** The key of a public llm that refers to a secret, as it was when the rows were read last. */
  sealedKey(llmId: string): SealedKey | undefined;
  /** What an MCP server has of a secret at that place, `env.TOKEN`, as it was when the rows were read last. */
  sealedFor(llmId: string, place: string): SealedKey | undefined;
  /** The request of a task, as its member gets it: a large one is not in Redis. @throws McpctlError `unavailable`. */
  bodyOf(taskId: string): Promise<string>;
  close(): Promise<void>;
}

/** Of all hosted workers; one of them runs no more than `MOST_HERE` of worker/hosted/room.ts. */
const MOST_SERVERS = 500;

export function openRegistrySource(
  options: DatabaseTls & { schema: string; most: number; log: Log },
): RegistrySource {
  const connection = connect({ ...options, poolSize: 1 });
  const served = createServed(connection);
  let seen: string | undefined;
  let sealed: ReadonlyMap<string, SealedKey> = new Map();
  let sealedOfServers: ReadonlyMap<string, SealedKey> = new Map();
  return {
    async changed() {
      // Asked before the rows are read: what changes in between is seen the next time.
      const mark = await served.mark();
      if (mark === seen) return undefined;
      const rows = await served.llms(options.most + 1);
      const former = await served.former(options.most);
      const referring = rows.filter(({ apiKeyRef }) => apiKeyRef !== null && 'secretRef' in apiKeyRef);
      sealed = await served.keys(referring.map(({ id }) => id));
      const servers = await served.servers(MOST_SERVERS);
      sealedOfServers = await served.serverKeys(servers.map(({ id }) => id));
      seen = mark;
      return {
        llms: [...rows.slice(0, options.most), ...former].flatMap(({ url, ...row }) =>
          url === null ? [] : [{ ...row, url }],
        ),
        servers,
        more: rows.length > options.most,
      };
    },
    sealedKey: (llmId) => sealed.get(llmId),
    sealedFor: (llmId, place) => sealedOfServers.get(`${llmId} ${place}`),
    async bodyOf(taskId) {
      const body = await memberBody({ tasks: served }, taskId);
      if (body === null) throw new McpctlError('task_not_found');
      return body;
    },
    close: () => connection.close(),
  };
}

export type { SealedKey };
