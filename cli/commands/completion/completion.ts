import { Argument, Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';

const shells = ['bash', 'zsh', 'fish'] as const;

export interface CompletionOptions {
  shell: (typeof shells)[number];
}

export function makeCompletion(
  ctx: Context,
  run: (options: CompletionOptions) => Promise<void> = (o) => runCompletion(ctx, o),
) {
  return new Command('completion')
    .summary('completion for your shell')
    .description(
      'Print what your shell needs to complete commands, options, and the names of llms, pools, tasks, tokens and contexts that are there.',
    )
    .addArgument(new Argument('<shell>', 'yours').choices(shells))
    .addHelpText(
      'before',
      `Examples:
  source <(mcpctl completion bash)        in ~/.bashrc
  source <(mcpctl completion zsh)         in ~/.zshrc
  mcpctl completion fish > ~/.config/fish/completions/mcpctl.fish
`,
    )
    .action((shell) => run({ shell }));
}

async function runCompletion(ctx: Context, { shell }: CompletionOptions): Promise<void> {
  const { scripts } = await import('../../complete/scripts.ts');
  ctx.out.data(scripts[shell]);
}

/** What the scripts run at Tab. Whatever goes wrong, it says nothing: nobody could read it there. */
export function makeComplete(ctx: Context) {
  const command = new Command('__complete').argument('<shell>').argument('[words...]');
  return command.action(async (shell, words) => {
    const root = command.parent;
    if (!root) return;
    try {
      const { candidatesFor } = await import('../../complete/candidates.ts');
      for (const line of await candidatesFor(ctx, root, { shell, words })) ctx.out.line(line);
    } catch {
      return; // no server, no token, a damaged file: there is nothing to offer
    }
  });
}
