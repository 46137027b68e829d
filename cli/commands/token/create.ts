import { Command, Option } from '@commander-js/extra-typings';
import { collect, countOf } from '../../input/arguments.ts';
import type { Context } from '../../who/context.ts';
import { objectFormatOption, type ObjectFormat } from '../../say/formats.ts';
import { cell } from '../../say/text.ts';

export interface TokenCreateOptions {
  name: string;
  user?: string | undefined;
  binding?: 'admin' | 'user' | undefined;
  pool?: string[] | undefined;
  expiresInDays?: number | undefined;
  output: ObjectFormat;
}

export function makeTokenCreate(
  ctx: Context,
  run: (options: TokenCreateOptions) => Promise<void> = (o) => runTokenCreate(ctx, o),
) {
  return new Command('create')
    .description('Make a token and print it. It is shown this once; the server keeps only its hash.')
    .argument('<name>', 'what to call it, like the machine it is for')
    .option('--user <name>', 'for this user, who is made if new (admins only)')
    .addOption(
      new Option('--binding <binding>', 'what a new user may do (admins only)').choices([
        'admin',
        'user',
      ] as const),
    )
    .addOption(new Option('--pool <key>', 'good for this pool only; may be given again').argParser(collect))
    .addOption(new Option('--expires-in-days <n>', 'no longer good after that').argParser(countOf))
    .addOption(objectFormatOption())
    .addHelpText(
      'before',
      `Examples:
  mcpctl token create laptop > token.txt
  mcpctl token create ci --user robot --binding user --pool tiny-chat --expires-in-days 30
`,
    )
    .action((name, options) => run({ name, ...options }));
}

async function runTokenCreate(ctx: Context, options: TokenCreateOptions): Promise<void> {
  const { pool, output, ...body } = options;
  const [{ printObject }, client] = await Promise.all([import('../../say/print.ts'), ctx.client()]);
  const made = await client.tokens.create({ ...body, pools: pool });
  const until = made.view.expiresAt ? `, good until ${made.view.expiresAt}` : '';
  ctx.out.note(
    `Token ${made.view.name ?? options.name} for ${made.view.user ?? 'you'}${until}. It is not shown again.`,
  );
  const shown = { object: { resource: 'token', ...made.raw }, lines: () => [cell(made.view.token)] };
  await printObject(ctx.out, output, shown);
}
