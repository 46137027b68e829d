import { Command } from '@commander-js/extra-typings';
import type { SeenKid } from '../../net/secrets.ts';
import type { Column } from '../../say/table.ts';
import type { Context } from '../../who/context.ts';
import { objectFormatOption, type ObjectFormat } from '../../say/formats.ts';

export interface SecretKeysOptions {
  output: ObjectFormat;
}

export function makeSecretKeys(
  ctx: Context,
  run: (options: SecretKeysOptions) => Promise<void> = (o) => runSecretKeys(ctx, o),
) {
  return new Command('keys')
    .description(
      'Show under which keys of the keyring secrets are kept. A key under which no version is kept any more may be taken out of it.',
    )
    .addOption(objectFormatOption())
    .addHelpText('before', 'Examples:\n  mcpctl secret keys\n')
    .action((options) => run(options));
}

const meanings: Readonly<Record<string, string>> = {
  active: 'seals',
  held: 'opens',
  missing: 'is not there: these cannot be opened',
};

const stateOf = ({ state, versions }: SeenKid): string =>
  versions === 0 && state === 'held' ? 'may be taken out' : (meanings[state] ?? state);

async function runSecretKeys(ctx: Context, { output }: SecretKeysOptions): Promise<void> {
  const [client, { printObject }, { tableLines }] = await Promise.all([
    ctx.client(),
    import('../../say/print.ts'),
    import('../../say/table.ts'),
  ]);
  const items = await client.secrets.keyring();
  const columns: Column<SeenKid>[] = [
    { head: 'KEY', of: ({ kid }) => kid },
    { head: 'VERSIONS', of: ({ versions }) => versions },
    { head: 'STATE', of: stateOf },
  ];
  const lines = (): string[] => tableLines(items, columns, { headers: true, paint: ctx.out.paint });
  await printObject(ctx.out, output, { object: { items }, lines });
}
