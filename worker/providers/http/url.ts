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

/** The path of an operation at the end of what was written; chat's before that of completions, which ends it. */
const writtenOut = /\/(chat\/completions|completions|embeddings|responses|messages|(?<=\/v\d[^/]*\/)models)$/;

/**
 * The addresses under a base URL as people write it: with or without `/v1`, with a slash at the end, or with the path
 * of an operation pasted along. `/v1` is put between only where nothing else was said: what is written out down to an
 * operation is called as it was written, as are an `api-version` (Azure) and a path that already names a version
 * (`/openai/v1`, `/v1beta/openai`).
 */
export function endpointsAt(url: string): Endpoints {
  const base = new URL(url);
  const written = base.pathname.replace(/\/+$/, '');
  let path = written.replace(writtenOut, '');
  const isSaid = path !== written || base.searchParams.has('api-version');
  if (!isSaid && !/\/v\d[^/]*(\/|$)/.test(path)) path += '/v1';
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
