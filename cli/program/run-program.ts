import { CommanderError } from 'commander';
import { createContext, type ContextDeps } from '../who/context.ts';
import { shortHelp } from './help.ts';
import { createProgram } from './program.ts';

/** Commands that resources bring options to, or that tell of those. */
const ofResources: ReadonlySet<string> = new Set(['create', 'help', '__complete']);

/** What `mcpctl args…` does. */
export async function runProgram(deps: Omit<ContextDeps, 'globals'>, args: readonly string[]): Promise<void> {
  if (args.length === 0) return void deps.terminal.stdout.write(shortHelp);
  const entries = args.some((arg) => ofResources.has(arg))
    ? (await import('../../core/resources/catalogue.ts')).ownCatalogue()
    : [];
  const program = createProgram(deps, entries);
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.code === 'commander.missingArgument') {
      const { choicesAfter } = await import('./choices.ts');
      const ctx = createContext({ ...deps, globals: () => program.opts() });
      deps.terminal.stderr.write(await choicesAfter(ctx, program, args));
    }
    throw thrown;
  }
}
