import type { Reply } from '../provider.ts';

/** What a backend's own words must not carry off its machine: its key, and where it is. */
interface Private {
  key: string | undefined;
  url: URL;
}

/** Shorter values in an address are no secrets, and would be found in ordinary words. */
const SECRET_LENGTH = 8;

/** A refusal of the backend may quote its key or its address. The rest of it goes to the caller as it is. */
export function scrubbed<R extends Reply>(reply: R, { key, url }: Private): R {
  if (reply.kind !== 'failed' || reply.body === undefined) return reply;
  const keys = [...url.searchParams.values()].filter((value) => value.length >= SECRET_LENGTH);
  if (key !== undefined && key !== '') keys.push(key);
  let { body } = reply;
  for (const secret of keys) body = body.replaceAll(secret, '[key]');
  body = body.replaceAll(url.origin, '[address]');
  // A host without a port may be an ordinary word.
  if (url.port !== '') body = body.replaceAll(url.host, '[address]');
  return { ...reply, body };
}
