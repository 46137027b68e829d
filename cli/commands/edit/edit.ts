import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import type { EditOptions } from './run-edit.ts';

export function makeEdit(ctx: Context, run?: (options: EditOptions) => Promise<void>) {
  return new Command('edit')
    .summary('change an llm, a project, a prompt … in your editor')
    .description(
      'Open a public llm, a project, an agent or a prompt in your editor ($VISUAL, else $EDITOR, else vi), and write what you save. An empty or unchanged document changes nothing.',
    )
    .argument('<type>', 'llm, project, prompt …, or type/name')
    .argument('[name]', 'which one')
    .option('--show-values', 'of a secret: with its values, for who may reveal them', false)
    .addHelpText(
      'before',
      `Examples:
  mcpctl edit prompt tone
  mcpctl edit llm qwen-big
  mcpctl edit project/support
  mcpctl edit secret openai --show-values
`,
    )
    .action(async (type, name, { showValues }) => {
      const options = { args: name === undefined ? [type] : [type, name], showValues };
      if (run) return run(options);
      const { runEdit } = await import('./run-edit.ts');
      return runEdit(ctx, options);
    });
}
