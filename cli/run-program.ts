import type { ContextDeps } from './context.ts';
import { shortHelp } from './help.ts';
import { createProgram } from './program.ts';

/** What `mcpctl args…` does. */
export async function runProgram(deps: Omit<ContextDeps, 'globals'>, args: readonly string[]): Promise<void> {
  if (args.length === 0) deps.terminal.stdout.write(shortHelp);
  else await createProgram(deps).parseAsync(args, { from: 'user' });
}
