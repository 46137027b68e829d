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
  /** The path to which `/v1` was put though nothing was said of it; null where it is as it was written. */
  guessed: string | null;
}

/** How addresses are written, of which protocol they are. `anthropic`: its SDKs put `/v1` behind whatever they are given. */
export type Written = 'openai' | 'anthropic' | 'ollama';

/** @param type of a provider, as its owner wrote it. */
export const writtenAs = (type: string): Written =>
  type === 'anthropic' || type === 'ollama' ? type : 'openai';

/** The path of an operation at the end of what was written; chat's before that of completions, which ends it. */
const writtenOut =
  /\/(chat\/completions|completions|embeddings|responses|messages(?:\/count_tokens)?|(?<=\/v\d[^/]*\/)models)(\/?)$/;
/** Ollama's own, and its documents' `http://…/api`. */
const ollamaOwn = /\/api(\/(chat|generate|embed|embeddings|tags|show|ps|version))?\/*$/;

const hasVersion: Record<Written, RegExp> = {
  openai: /\/v\d[^/]*(\/|$)/,
  ollama: /\/v\d[^/]*(\/|$)/,
  // A gateway's own version is not the protocol's: `…/v1/<account>/<gateway>/anthropic` (Cloudflare).
  anthropic: /\/v\d[^/]*$/,
};

/**
 * The addresses under a base URL as people write it: with or without `/v1`, with a slash at the end, or with the path
 * of an operation pasted along. `/v1` is put between only where nothing else was said: what is written out down to an
 * operation is called as it was written, to the last slash, as are an `api-version` (Azure) and a path that already names a
 * version (`/openai/v1`, `/v1beta/openai`).
 */
export function endpointsAt(url: string, as: Written = 'openai'): Endpoints {
  const base = new URL(url);
  const written = as === 'ollama' ? base.pathname.replace(ollamaOwn, '') : base.pathname;
  const [whole = '', operation = ''] = writtenOut.exec(written) ?? [];
  const stem = (whole === '' ? written : written.slice(0, -whole.length)).replace(/\/+$/, '');
  const isSaid = whole !== '' || base.searchParams.has('api-version') || hasVersion[as].test(stem);
  const path = isSaid ? stem : `${stem}/v1`;
  const urlAt = (pathname: string): URL => {
    const endpoint = new URL(base);
    endpoint.pathname = pathname;
    return endpoint;
  };
  const root = path.replace(/\/v\d[^/]*(\/.*)?$/, '');
  // Some frameworks know a path with its slash alone.
  const at = (suffix: string): URL => urlAt(suffix === `/${operation}` ? written : path + suffix);
  return {
    of: (one) => at(paths[one]),
    models: at('/models'),
    countTokens: at(`${paths.messages}/count_tokens`),
    at,
    beside: (suffix) => urlAt(root + suffix),
    guessed: isSaid ? null : path,
  };
}
