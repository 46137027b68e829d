import { messageOf } from '../../core/errors.ts';
import { pause, type Clock } from '../../core/runtime/clock.ts';
import { Recent } from '../believed/recent.ts';

/** One thing that must work before this edge takes requests. Rejects when it does not; bounded by itself. */
interface Check {
  name: string;
  run(): Promise<void>;
}

/** Whether this edge can serve. */
export interface Checks {
  each: readonly Check[];
  /** @returns what each said, from a look that is at most half a second old, whoever asked for it. */
  look(): Promise<{ name: string; failure: string | null }[]>;
}

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

export function createChecks(each: readonly Check[], clock: Clock): Checks {
  const looks = new Recent<Awaited<ReturnType<Checks['look']>>>({ clock, keptMs: LOOK_KEPT_MS, most: 1 });
  const lookNow = () =>
    Promise.all(each.map(async (check) => ({ name: check.name, failure: await failureOf(check) })));
  return { each, look: () => looks.recall('') ?? looks.remember('', lookNow()) };
}
