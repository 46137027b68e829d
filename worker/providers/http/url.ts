import type { Operation } from '../../../core/llm.ts';

const paths: Record<Operation, string> = {
  chat: '/chat/completions',
  completions: '/completions',
  embeddings: '/embeddings',
  responses: '/responses',
  messages: '/messages',
};

export interface Endpoints {
  of: (operation: Operation) => URL;
  models: URL;
  countTokens: URL;
  /** Any other path beside these. */
  at: (path: string) => URL;
  /** A path of the backend's own protocol, beside the versioned ones. */
  beside: (path: string) => URL;
}

/**
 * The addresses under a base URL as people write it: with or without `/v1`, with a slash at the end, or with
 * `/chat/completions` pasted along. A path that already names a version (`/openai/v1`, `/v1beta/openai`) stays.
 */
export function endpointsAt(url: string): Endpoints {
  const base = new URL(url);
  let path = base.pathname.replace(/\/+$/, '').replace(/\/chat\/completions$/, '');
  if (!/\/v\d[^/]*(\/|$)/.test(path)) path += '/v1';
  const urlAt = (pathname: string): URL => {
    const endpoint = new URL(base);
    endpoint.pathname = pathname;
    return endpoint;
  };
  const root = path.replace(/\/v\d[^/]*(\/.*)?$/, '');
  const at = (suffix: string): URL => urlAt(path + suffix);
  return {
    of: (operation) => at(paths[operation]),
    models: at('/models'),
    countTokens: at(`${paths.messages}/count_tokens`),
    at,
    beside: (suffix) => urlAt(root + suffix),
  };
}
