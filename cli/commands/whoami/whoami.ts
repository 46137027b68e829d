import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { objectFormatOption, type ObjectFormat } from '../../say/formats.ts';

export interface WhoamiOptions {
  output: ObjectFormat;
}

export function makeWhoami(
  ctx: Context,
  run: (options: WhoamiOptions) => Promise<void> = (o) => runWhoami(ctx, o),
) {
  return new Command('whoami')
    .summary('which server, which user, and where that was said')
    .description(
      'Say which server is used and who you are there, and where the server and the token were said. Never the token.',
    )
    .addOption(objectFormatOption())
    .addHelpText('before', 'Examples:\n  mcpctl whoami\n  mcpctl whoami --context work -o json\n')
    .action((options) => run(options));
}

async function runWhoami(ctx: Context, { output }: WhoamiOptions): Promise<void> {
  const { authenticated } = await import('../../who/target.ts');
  const target = authenticated(await ctx.target());
  const { key: user, view } = await (await ctx.clientFor(target)).whoami();
  const { server, from, tokenFrom } = target;
  const object = {
    server,
    serverFrom: from,
    user,
    binding: view.binding ?? null,
    token: view.token ?? null,
    expiresAt: view.expiresAt ?? null,
    tokenFrom,
  };
  const [{ printObject }, { factLines }] = await Promise.all([
    import('../../say/print.ts'),
    import('../../say/table.ts'),
  ]);
  const lines = (): string[] =>
    factLines([
      ['Server', server],
      ['Said by', from],
      ['User', user],
      ['Binding', view.binding],
      ['Token', view.token],
      ['Ends', view.expiresAt === null ? 'never' : view.expiresAt],
      ['Kept in', tokenFrom],
    ]);
  await printObject(ctx.out, output, { object, lines });
}
