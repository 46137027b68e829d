import { Command } from '@commander-js/extra-typings';
import type { SeenVersion } from '../../net/secrets.ts';
import type { Column } from '../../say/table.ts';
import type { Context } from '../../who/context.ts';
import { objectFormatOption, type ObjectFormat } from '../../say/formats.ts';

export interface SecretVersionsOptions {
  name: string;
  output: ObjectFormat;
}

export function makeSecretVersions(
  ctx: Context,
  run: (options: SecretVersionsOptions) => Promise<void> = (o) => runSecretVersions(ctx, o),
) {
  return new Command('versions')
    .description(
      'List the versions of a secret that are kept: when, by whom, which keys. None of their values.',
    )
    .argument('<name>', 'which secret')
    .addOption(objectFormatOption())
    .addHelpText('before', 'Examples:\n  mcpctl secret versions openai\n')
    .action((name, options) => run({ name, ...options }));
}

async function runSecretVersions(ctx: Context, { name, output }: SecretVersionsOptions): Promise<void> {
  const [client, { printObject }, { instantsFor }, { tableLines }] = await Promise.all([
    ctx.client(),
    import('../../say/print.ts'),
    import('../../say/columns.ts'),
    import('../../say/table.ts'),
  ]);
  const items = await client.secrets.versions(name);
  const instant = instantsFor({ clock: ctx.clock, tty: ctx.terminal.tty.stdout });
  const columns: Column<SeenVersion>[] = [
    { head: 'VERSION', of: ({ version, current }) => `${version}${current ? ' (current)' : ''}` },
    { head: 'KEYS', of: ({ keys }) => keys.map((key) => key.name).join(',') },
    { head: 'KEPT UNDER', of: ({ kid }) => kid },
    { head: 'BY', of: ({ createdBy }) => createdBy },
    { head: 'CREATED', of: ({ createdAt }) => instant(createdAt) },
  ];
  const lines = (): string[] => tableLines(items, columns, { headers: true, paint: ctx.out.paint });
  await printObject(ctx.out, output, { object: { secret: name, items }, lines });
}
