import { Command } from '@commander-js/extra-typings';
import { McpctlError } from '../../../core/errors.ts';
import type { Context } from '../../who/context.ts';
import { objectFormatOption, type ObjectFormat } from '../../say/formats.ts';
import { cell } from '../../say/text.ts';

export interface VersionOptions {
  client: boolean;
  output: ObjectFormat;
}

export function makeVersion(
  ctx: Context,
  run: (options: VersionOptions) => Promise<void> = (o) => runVersion(ctx, o),
) {
  return new Command('version')
    .summary('versions of this program and of the server')
    .description(
      'Print the version of this program and, when one is known, of the server; warn when they do not fit.',
    )
    .option('--client', 'of this program only', false)
    .addOption(objectFormatOption())
    .addHelpText('before', 'Examples:\n  mcpctl version\n  mcpctl version --client\n')
    .action((options) => run(options));
}

/** A server that is not known or asks who we are leaves its line empty; one that should be there fails the command. */
async function runVersion(ctx: Context, { client: clientOnly, output }: VersionOptions): Promise<void> {
  const server = clientOnly ? null : await serverVersion(ctx);
  const object = { client: ctx.version, ...(clientOnly ? {} : { server: server?.version ?? null }) };
  const lines = (): string[] => [
    `Client:  ${ctx.version}`,
    ...(clientOnly ? [] : [`Server:  ${cell(server?.version)}`]),
  ];
  const { printObject } = await import('../../say/print.ts');
  await printObject(ctx.out, output, { object, lines });
  if (server?.version && skewed(ctx.version, server.version))
    ctx.out.note(
      `Warning: mcpctl ${ctx.version} and the server ${server.version} differ; update the older one.`,
    );
  if (server?.why instanceof McpctlError && server.why.code === 'unauthenticated')
    ctx.out.note(server.why.message);
  else if (server?.why) throw server.why;
}

async function serverVersion(ctx: Context): Promise<{ version: string | undefined; why?: Error }> {
  try {
    return { version: (await (await ctx.client()).whoami()).view.version };
  } catch (thrown) {
    if (thrown instanceof McpctlError) return { version: undefined, why: thrown };
    throw thrown;
  }
}

/** Before 1.0 each minor may break, after it each major. */
function skewed(client: string, server: string): boolean {
  const line = (version: string): string => {
    const [major, minor] = version.split('.');
    return major === '0' ? `0.${minor ?? ''}` : (major ?? '');
  };
  return line(client) !== line(server);
}
