import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { McpctlError } from '../../../core/errors.ts';
import { nearest } from '../../../core/runtime/nearest.ts';

export interface HelpOptions {
  words: string[];
}

/** commander's own `help` does not say what was meant, and takes one word. */
export function makeHelp(run?: (options: HelpOptions) => Promise<void>) {
  const command = new Command('help');
  return command
    .summary('help for a command, or about a topic')
    .description('Show help for a command, or about a topic: environment, exit-codes.')
    .argument('[words...]', 'a command, or a topic')
    .addHelpText(
      'before',
      'Examples:\n  mcpctl help get\n  mcpctl help task logs\n  mcpctl help exit-codes\n',
    )
    .action(async (words) => {
      if (run) return run({ words });
      const root = command.parent;
      if (root) commandNamed(root, words).outputHelp();
    });
}

/** @throws McpctlError `usage`, with the nearest one. */
function commandNamed(root: CommandUnknownOpts, words: readonly string[]): CommandUnknownOpts {
  let at = root;
  for (const word of words) {
    const child = at.commands.find((each) => [each.name(), ...each.aliases()].includes(word));
    if (!child) throw unknown(at, word);
    at = child;
  }
  return at;
}

function unknown(at: CommandUnknownOpts, word: string): McpctlError {
  const names = at.commands.map((each) => each.name()).filter((name) => !name.startsWith('__'));
  const near = nearest(word, names, 1)[0];
  const hint = near ? `Did you mean ${near}?` : `There are: ${names.join(', ')}.`;
  return new McpctlError(
    'usage',
    names.length === 0
      ? `There is nothing below "${at.name()}".`
      : `There is no help about "${word}". ${hint}`,
  );
}
