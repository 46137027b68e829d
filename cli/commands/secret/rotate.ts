import { Command } from '@commander-js/extra-typings';
import { McpctlError } from '../../../core/errors.ts';
import {
  fromEnvOption,
  fromFileOption,
  fromStdinOption,
  readValues,
  type ValueSources,
} from '../../input/values.ts';
import type { Context } from '../../who/context.ts';

export interface SecretRotateOptions extends ValueSources {
  name: string;
}

export function makeSecretRotate(
  ctx: Context,
  run: (options: SecretRotateOptions) => Promise<void> = (o) => runSecretRotate(ctx, o),
) {
  return new Command('rotate')
    .description(
      'Give keys of a secret new values, as its next version; the other keys are kept. What uses it has the new ones within seconds, and answers that run go on.',
    )
    .argument('<name>', 'which secret')
    .addOption(fromFileOption())
    .addOption(fromEnvOption())
    .addOption(fromStdinOption())
    .addHelpText('before', 'Examples:\n  mcpctl secret rotate openai --from-stdin OPENAI_KEY < new.txt\n')
    .action((name, options) => run({ name, ...options }));
}

async function runSecretRotate(ctx: Context, { name, ...sources }: SecretRotateOptions): Promise<void> {
  const values = await readValues(ctx, sources);
  if (Object.keys(values).length === 0)
    throw new McpctlError(
      'usage',
      'Say which key has a new value: --from-stdin KEY, --from-file or --from-env.',
    );
  const { before, now } = await (await ctx.client()).secrets.rotate(name, values);
  const how = before.version === now.version ? 'unchanged' : 'rotated';
  ctx.out.line(`secret/${name} ${how} (version ${now.version})`);
}
