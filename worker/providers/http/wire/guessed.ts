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
  /** Guessed paths that are there as they were written. */
  const written = new Set<string>();
  let isRight = false;
  const plain = (url: URL): URL => {
    const asIs = new URL(url);
    asIs.pathname = guessed.replace(/\/v1$/, '') + url.pathname.slice(guessed.length);
    return asIs;
  };
  const find: Exchange = async (call) => {
    const answer = await exchange(call);
    isRight ||= isThere(answer);
    if (isRight || !isAbsent(answer)) return answer;
    const other = await exchange({ ...call, url: plain(call.url) }).catch(() => undefined);
    if (!other || !isThere(other)) {
      other?.close('now');
      return answer;
    }
    written.add(call.url.pathname);
    answer.close('now');
    return other;
  };
  return (call) => {
    const { pathname } = call.url;
    if (written.has(pathname)) return exchange({ ...call, url: plain(call.url) });
    // Every call comes by here, and nearly all of them once that is settled.
    return isRight || !pathname.startsWith(`${guessed}/`) ? exchange(call) : find(call);
  };
}
