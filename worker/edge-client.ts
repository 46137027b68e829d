import { McpctlError, messageOf } from '../core/errors.ts';

export interface EdgeAnswer {
  status: number;
  /** The body as JSON; undefined when it is none. */
  json: unknown;
}

const ANSWER_WITHIN_MS = 15_000;
const MOST_BYTES = 4 * 1024 * 1024;

/** Calls of the worker to the edge it publishes to. @throws McpctlError `server_unreachable`. */
export function createEdgeClient({ mcpdUrl, token }: { mcpdUrl: string; token: string }) {
  const base = mcpdUrl.replace(/\/+$/, '');
  return async (path: string, body: unknown): Promise<EdgeAnswer> => {
    try {
      const answer = await fetch(`${base}/api/v1/llms/${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
        redirect: 'error',
      });
      const text = (await answer.text()).slice(0, MOST_BYTES);
      return { status: answer.status, json: asJson(text) };
    } catch (thrown) {
      throw new McpctlError(
        'server_unreachable',
        `The edge at ${base} cannot be reached: ${messageOf(thrown)}.`,
      );
    }
  };
}

export type EdgeClient = ReturnType<typeof createEdgeClient>;

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a proxy's page, say; the status is what counts
  }
}
