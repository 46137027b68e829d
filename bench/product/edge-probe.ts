import type { Product } from './product.ts';

/** What the edge says of its event loop since it was asked last: the longest wait, milliseconds; NaN when it says none. */
export async function loopDelayMs({ url, token }: Product): Promise<number> {
  try {
    const answer = await fetch(`${url}/metrics`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(5_000),
    });
    const seconds = /^nodejs_eventloop_lag_max_seconds ([\d.e+-]+)$/m.exec(await answer.text())?.[1];
    return seconds === undefined ? Number.NaN : Number(seconds) * 1_000;
  } catch {
    return Number.NaN; // it restarts
  }
}
