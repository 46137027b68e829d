import { messageOf } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import type { Check, EdgeDeps } from '../deps.ts';

/** A probe is answered within a second, whatever hangs. */
const CHECK_MS = 900;

async function failureOf(check: Check): Promise<string | null> {
  const timeout = new AbortController();
  try {
    return await Promise.race([
      check.run().then(() => null),
      pause(CHECK_MS, timeout.signal).then(() => 'it did not answer in time'),
    ]);
  } catch (thrown) {
    return messageOf(thrown);
  } finally {
    timeout.abort();
  }
}

/** Probes, and whoever else asks, are answered from one look this long: each look is a write. */
const LOOK_KEPT_MS = 500;

/** @returns what each check said, from a look that is at most half a second old. */
export function createChecks({
  checks,
  clock,
}: EdgeDeps): () => Promise<{ name: string; failure: string | null }[]> {
  let look: { at: number; results: Promise<{ name: string; failure: string | null }[]> } | null = null;
  return () => {
    const now = clock.elapsed();
    if (look === null || now - look.at > LOOK_KEPT_MS) {
      const results = checks.map(async (check) => ({ name: check.name, failure: await failureOf(check) }));
      look = { at: now, results: Promise.all(results) };
    }
    return look.results;
  };
}
