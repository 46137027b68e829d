import { Command, Option } from '@commander-js/extra-typings';
import { countOf } from '../../input/arguments.ts';
import type { Context } from '../../who/context.ts';

export interface SecretRollbackOptions {
  name: string;
  to?: number | undefined;
}

export function makeSecretRollback(
  ctx: Context,
  run: (options: SecretRollbackOptions) => Promise<void> = (o) => runSecretRollback(ctx, o),
) {
  return new Command('rollback')
    .description('Make the values of a former version the current ones, as a version of their own.')
    .argument('<name>', 'which secret')
    .addOption(
      new Option('--to <version>', 'which version; the one before the current if not said').argParser(
        countOf,
      ),
    )
    .addHelpText(
      'before',
      'Examples:\n  mcpctl secret rollback openai\n  mcpctl secret rollback openai --to 3\n',
    )
    .action((name, options) => run({ name, ...options }));
}

async function runSecretRollback(ctx: Context, { name, to }: SecretRollbackOptions): Promise<void> {
  const { version } = await (await ctx.client()).secrets.rollback(name, to);
  ctx.out.line(`secret/${name} rolled back (version ${version})`);
}
