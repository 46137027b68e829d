import { messageOf } from '../../core/errors.ts';
import { SmokeFailure } from './failure.ts';

const ANSWER_MS = 15_000;

export interface Answer {
  status: number;
  /** The body as JSON; undefined when it is none. */
  json: unknown;
}

/** Calls of the edge that is tried. @throws SmokeFailure when it does not answer. */
export function createEdge({ url, token }: { url: string; token: string }) {
  const send = async (method: string, path: string, body?: unknown): Promise<Response> => {
    try {
      return await fetch(url + path, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(ANSWER_MS),
        redirect: 'error',
      });
    } catch (thrown) {
      const cause =
        thrown instanceof Error && thrown.cause !== undefined ? messageOf(thrown.cause) : messageOf(thrown);
      throw new SmokeFailure(`${url} does not answer: ${cause}.`);
    }
  };
  return {
    send,
    async call(method: string, path: string, body?: unknown): Promise<Answer> {
      const answer = await send(method, path, body);
      const text = await answer.text();
      try {
        return { status: answer.status, json: JSON.parse(text) as unknown };
      } catch {
        return { status: answer.status, json: undefined }; // no content, or a proxy's page
      }
    },
  };
}
export type Edge = ReturnType<typeof createEdge>;

/** What an edge's refusal says, for a sentence. */
export function saying({ status, json }: Answer): string {
  const error = typeof json === 'object' && json !== null && 'error' in json ? json.error : undefined;
  return typeof error === 'string' ? `HTTP ${String(status)}: ${error}` : `HTTP ${String(status)}.`;
}
