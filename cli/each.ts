import type { Context } from './who/context.ts';
import { AlreadySaid, Cancelled, failureOf, type ExitCode } from './exit.ts';

/**
 * Does `work` for each, one after the other; one that fails is said and does not keep the others.
 * @throws AlreadySaid with the exit code of the first failure; Cancelled at once.
 */
export async function eachOf<T>(
  { terminal }: Pick<Context, 'terminal'>,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  let first: ExitCode = 0;
  for (const item of items) {
    try {
      await work(item);
    } catch (thrown) {
      if (thrown instanceof Cancelled) throw thrown;
      const { exitCode, text } = failureOf(thrown);
      terminal.stderr.write(text);
      first ||= exitCode;
    }
  }
  if (first !== 0) throw new AlreadySaid(first);
}
