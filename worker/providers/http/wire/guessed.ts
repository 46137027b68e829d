import type { Endpoints } from '../url.ts';
import type { Answer, Exchange } from './exchange.ts';

/** What says that a path is there, whatever it says to what was asked of it. A page is there for every path. */
const isThere = ({ status, contentType }: Answer): boolean =>
  ((status >= 200 && status < 300) || [400, 413, 415, 422, 429].includes(status)) &&
  !/html/i.test(contentType);

const isAbsent = ({ status }: Answer): boolean => status === 404 || status === 405;

/**
 * `/v1` where nobody has said so is a guess, and what was written is asked where that is not there: Databricks'
 * `/serving-endpoints`, GitHub's `/inference` and Open WebUI's `/api` have none (QuantumNous/new-api#853,
 * maximhq/bifrost#4785). A path that was found as it was written is called so from then on; once one is there by the guess,
 * no other is looked for.
 */
export function asWritten(exchange: Exchange, { guessed }: Pick<Endpoints, 'guessed'>): Exchange {
  if (guessed === null) return exchange;
  const written = new Set<string>();
  let isRight = false;
  return async (call) => {
    const { url } = call;
    if (!url.pathname.startsWith(`${guessed}/`)) return exchange(call);
    const plain = new URL(url);
    plain.pathname = guessed.replace(/\/v1$/, '') + url.pathname.slice(guessed.length);
    if (written.has(plain.pathname)) return exchange({ ...call, url: plain });
    const answer = await exchange(call);
    isRight ||= isThere(answer);
    if (isRight || !isAbsent(answer)) return answer;
    const other = await exchange({ ...call, url: plain }).catch(() => undefined);
    if (!other || !isThere(other)) {
      other?.close('now');
      return answer;
    }
    written.add(plain.pathname);
    answer.close('now');
    return other;
  };
}
