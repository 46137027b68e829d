import { Command, Option } from '@commander-js/extra-typings';
import type { CatalogueEntry } from '../../../core/resources/catalogue.ts';
import { collect } from '../../input/arguments.ts';
import {
  fromEnvOption,
  fromFileOption,
  fromStdinOption,
  readValues,
  type ValueSources,
} from '../../input/values.ts';
import type { Context } from '../../who/context.ts';
import { formatOption, type Format } from '../../say/formats.ts';

export interface CreateSecretOptions extends ValueSources {
  name: string;
  description?: string | undefined;
  allowedOrigin?: string[] | undefined;
  output: Format;
}

export function makeCreateSecret(
  ctx: Context,
  entry: CatalogueEntry,
  run: (options: CreateSecretOptions) => Promise<void> = (o) => runCreateSecret(ctx, entry, o),
) {
  return new Command('secret')
    .summary('make a secret')
    .description(
      'Make a secret: named values that are kept encrypted, and used without being shown. They are read from files, variables or stdin, and are no arguments: whoever sees processes would see those.',
    )
    .argument('<name>', '1 to 63 of a-z 0-9 . _ -')
    .addOption(fromFileOption())
    .addOption(fromEnvOption())
    .addOption(fromStdinOption())
    .option('--description <text>', 'a line for people')
    .addOption(
      new Option(
        '--allowed-origin <url>',
        'it is sent there, like https://api.openai.com, and nowhere else; may be given again',
      ).argParser(collect),
    )
    .addOption(formatOption())
    .addHelpText(
      'before',
      `Examples:
  mcpctl create secret openai --from-stdin OPENAI_KEY --allowed-origin https://api.openai.com < key.txt
  mcpctl create secret rack --from-file TOKEN=rack.token --from-env USER_KEY=RACK_KEY
`,
    )
    .action((name, options) => run({ name, ...options }));
}

async function runCreateSecret(
  ctx: Context,
  entry: CatalogueEntry,
  { name, description, allowedOrigin, output, ...sources }: CreateSecretOptions,
): Promise<void> {
  const data = await readValues(ctx, sources);
  const body = { name, description, allowedOrigins: allowedOrigin, data };
  const [client, { printMade }] = await Promise.all([ctx.client(), import('./run-create-one.ts')]);
  await printMade(ctx, { entry, made: await client.resources.create(entry, body), output });
}
