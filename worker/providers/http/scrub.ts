import { wordsOf } from '../../../core/task/error-reason.ts';
import type { Reply } from '../provider.ts';

/** Shorter ones would be found in ordinary words, written in another way. */
const WRITTEN_OTHERWISE = 8;

/** How a secret may be quoted: as it is, in a URL, in a JSON text, in base64. */
function formsOf(secret: string): string[] {
  if (secret.length < WRITTEN_OTHERWISE) return [secret];
  const base64 = Buffer.from(secret).toString('base64');
  const forms = [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    base64,
    base64.replace(/=+$/, ''),
    Buffer.from(secret).toString('base64url'),
  ];
  return [...new Set(forms)];
}

/** What somebody says, with `[key]`, or what is to stand there, wherever it quotes a secret. */
export const withoutSecret = (text: string, secret: string, instead = '[key]'): string =>
  formsOf(secret).reduce((clean, form) => clean.replaceAll(form, instead), text);

/** What a backend's own words must not carry off its machine: its key, and where it is. */
interface Private {
  key: string | undefined;
  url: URL;
}

/** Shorter values in an address are no secrets, and would be found in ordinary words. */
const SECRET_LENGTH = 8;

/** An address by number, or this machine's own name with a port or a scheme: of another part of what stands behind it. */
const addresses =
  /\b(?:https?:\/\/)?(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:]*:[0-9a-f:]*\])(?::\d+)?|\bhttps?:\/\/localhost\b(?::\d+)?|\blocalhost:\d+/gi;

/** A text with key and address taken out. */
export function withoutPrivate(text: string, { key, url }: Private): string {
  const keys = [...url.searchParams.values()].filter((value) => value.length >= SECRET_LENGTH);
  if (key !== undefined && key !== '') keys.push(key);
  const keyless = keys.reduce((clean, secret) => withoutSecret(clean, secret), text);
  const scrubbed = keyless.replaceAll(url.origin, '[address]').replace(addresses, '[address]');
  // A host without a port may be an ordinary word.
  return url.port === '' ? scrubbed : scrubbed.replaceAll(url.host, '[address]');
}

/** What a backend says may quote its key or an address. The rest of it goes to the caller as it is. */
export function scrubbed<R extends Reply>(reply: R, secrets: Private): R {
  if (reply.kind !== 'failed') return reply;
  const clean = (text: string): string => withoutPrivate(text, secrets);
  const { body, message, reason } = reply;
  return {
    ...reply,
    message: clean(message),
    ...(body === undefined ? {} : { body: clean(body) }),
    ...(reason === undefined ? {} : { reason: wordsOf(reason, clean) }),
  };
}
