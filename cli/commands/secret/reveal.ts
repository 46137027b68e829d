import { Command } from '@commander-js/extra-typings';
import { McpctlError } from '../../../core/errors.ts';
import type { Context } from '../../who/context.ts';
import { objectFormatOption, type ObjectFormat } from '../../say/formats.ts';

export interface SecretRevealOptions {
  name: string;
  key?: string | undefined;
  output: ObjectFormat;
}

export function makeSecretReveal(
  ctx: Context,
  run: (options: SecretRevealOptions) => Promise<void> = (o) => runSecretReveal(ctx, o),
) {
  return new Command('reveal')
    .description(
      'Print the values of a secret, or the value of one key alone. That you did is told to who watches over secrets.',
    )
    .argument('<name>', 'which secret')
    .argument('[key]', 'which of its keys')
    .addOption(objectFormatOption())
    .addHelpText(
      'before',
      'Examples:\n  mcpctl secret reveal openai OPENAI_KEY\n  mcpctl secret reveal openai -o json\n',
    )
    .action((name, key, options) => run({ name, key, ...options }));
}

async function runSecretReveal(ctx: Context, { name, key, output }: SecretRevealOptions): Promise<void> {
  const [client, { printObject }] = await Promise.all([ctx.client(), import('../../say/print.ts')]);
  const { version, data } = await client.secrets.reveal(name);
  if (key === undefined) {
    const lines = (): string[] =>
      Object.entries(data).map(([each, value]) => `${each}: ${JSON.stringify(value)}`);
    return printObject(ctx.out, output, { object: { secret: name, version, data }, lines });
  }
  const value = Object.hasOwn(data, key) ? data[key] : undefined;
  if (value === undefined) {
    const there = Object.keys(data).join(', ');
    throw new McpctlError(
      'secret_not_found',
      `The secret '${name}' has no key "${key}"; it has: ${there || 'none'}.`,
    );
  }
  const lines = (): string[] => [];
  if (output === 'text') ctx.out.line(value);
  else
    await printObject(ctx.out, output, { object: { secret: name, version, data: { [key]: value } }, lines });
}
