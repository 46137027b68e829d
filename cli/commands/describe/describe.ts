import { Command, Option } from '@commander-js/extra-typings';
import { countOf } from '../../input/arguments.ts';
import type { Context } from '../../who/context.ts';
import { objectFormatOption } from '../../say/formats.ts';
import type { DescribeOptions } from './run-describe.ts';

export function makeDescribe(ctx: Context, run?: (options: DescribeOptions) => Promise<void>) {
  return new Command('describe')
    .summary('show everything about an llm, a pool, a task …')
    .description(
      'Show everything about an llm and the pool it is in, about a pool, a task, a token, a project, an agent or a prompt.',
    )
    .argument('<type>', 'llm, pool, task, token, project, prompt …, or type/name')
    .argument('[name...]', 'which ones')
    .option('--effective', 'of an agent: what it would be told, and of what that is made', false)
    .option('--personality <name>', 'with --effective: as this personality; none: as none')
    .option('--show-values', 'of a secret: its values, for who may reveal them')
    .addOption(
      new Option('--turn <n>', 'of a thread: of what that turn was made, and who had it').argParser(countOf),
    )
    .addOption(objectFormatOption())
    .addHelpText(
      'before',
      `Examples:
  mcpctl describe llm tiny-chat
  mcpctl describe pool/tiny-chat
  mcpctl describe agent reviewer --effective --personality grumpy
  mcpctl describe thread 019a6f3e-0000-7000-8000-000000000000 --turn 3
  mcpctl describe task 019a6f3e-0000-7000-8000-000000000000 -o yaml
`,
    )
    .action(async (type, names, { output, effective, personality, showValues, turn }) => {
      const shown = showValues === true && { showValues };
      const options = { args: [type, ...names], output, effective, personality, turn, ...shown };
      if (run) return run(options);
      const { runDescribe } = await import('./run-describe.ts');
      return runDescribe(ctx, options);
    });
}
