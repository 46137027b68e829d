import type { Wake } from '../sources/config-schema.ts';
import { runCommand, type Environment } from './command.ts';
import { callHttp } from './http.ts';

/**
 * Carries a recipe out, once. It comes from this machine's own config.json; nothing that a server says becomes part
 * of it. @param signal aborts at the recipe's limit, and when the worker stops.
 * @returns why it did not work, as a sentence without address, header or body; null when it did.
 */
export async function carryOut(
  wake: Wake,
  { signal, environment }: { signal: AbortSignal; environment: Environment },
): Promise<string | null> {
  switch (wake.type) {
    case 'http':
      return await callHttp(wake, signal);
    case 'command':
      return await runCommand(wake, { signal, environment });
  }
}
