import type { Readable } from 'node:stream';
import { McpctlError } from '../../core/errors.ts';
import type { Network } from '../../core/runtime/network/network.ts';

/** One HTTP call of a project's MCP endpoint. */
export interface EndpointCall {
  method: 'GET' | 'POST' | 'DELETE';
  headers: Readonly<Record<string, string>>;
  body?: string | Readable;
  /** Closes the connection at once. */
  signal: AbortSignal;
}

export interface EndpointAnswer {
  status: number;
  /** Lower-case names; of one that came more than once the first. */
  headers: ReadonlyMap<string, string>;
  /** Must be read, or destroyed. */
  body: Readable;
}

/** The MCP endpoints of an edge, called with the token of this home. */
export interface ProjectEndpoint {
  /** @throws McpctlError `server_unreachable`: whether the call arrived is not known. */
  call(project: string, call: EndpointCall): Promise<EndpointAnswer>;
}

export function createProjectEndpoint({
  mcpdUrl,
  token,
  network,
}: {
  mcpdUrl: string;
  token: string;
  network: Network;
}): ProjectEndpoint {
  const base = new URL(`${mcpdUrl.replace(/\/+$/, '')}/mcp/projects/`);
  return {
    async call(project, { method, headers, body, signal }) {
      try {
        const answer = await network.dispatcher.request({
          origin: base.origin,
          path: base.pathname + encodeURIComponent(project),
          method,
          headers: { ...headers, authorization: `Bearer ${token}` },
          body: body ?? null,
          signal,
        });
        answer.body.on('error', () => undefined); // told to whoever reads it
        return { status: answer.statusCode, headers: firstOf(answer.headers), body: answer.body };
      } catch (thrown) {
        throw new McpctlError('server_unreachable', network.trouble(base, thrown), { cause: thrown });
      }
    },
  };
}

function firstOf(headers: Readonly<Record<string, string | string[] | undefined>>): Map<string, string> {
  const first = new Map<string, string>();
  for (const [name, value] of Object.entries(headers)) {
    const text = Array.isArray(value) ? value[0] : value;
    if (text !== undefined) first.set(name.toLowerCase(), text);
  }
  return first;
}
