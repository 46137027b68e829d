import { Command } from '@commander-js/extra-typings';
import { McpctlError } from '../../../core/errors.ts';
import type { Context } from '../../who/context.ts';

export interface SetContextOptions {
  name: string;
}

export function makeSetContext(
  ctx: Context,
  run: (options: SetContextOptions) => Promise<void> = (o) => runSetContext(ctx, o),
) {
  return new Command('set-context')
    .summary('make or change a context, without asking the server')
    .description(
      'Make a context of --server and --token-file, or give one that is there another token, without asking the server ("mcpctl login" asks it). A token stays with the server it was stored for: a new server needs a new token.',
    )
    .argument('<name>', 'what to call it')
    .addHelpText(
      'before',
      `Examples:
  mcpctl config set-context work --server https://mcpctl.example.com --token-file token.txt
  mcpctl config set-context work --token-file new-token.txt
`,
    )
    .action((name) => run({ name }));
}

async function runSetContext(ctx: Context, { name }: SetContextOptions): Promise<void> {
  const { readContexts, writeContexts } = await import('../../who/contexts-file.ts');
  const { serverUrl, tokenIn } = await import('../../who/target.ts');
  const { server: asked, tokenFile } = ctx.globals();
  const home = await ctx.home();
  const kept = await readContexts(home);
  const before = Object.hasOwn(kept.contexts, name) ? kept.contexts[name] : undefined;
  const server = asked === undefined ? before?.server : serverUrl(asked, '--server');
  const same = before !== undefined && server === serverUrl(before.server, name);
  const token = tokenFile === undefined ? (same ? before.token : undefined) : await tokenIn(tokenFile);
  if (server === undefined || token === undefined || (asked === undefined && tokenFile === undefined))
    throw new McpctlError(
      'usage',
      before
        ? `What is to change in ${name}? Say --token-file, with --server too for another server.`
        : `A new context needs both --server and --token-file. "mcpctl login --server URL --context ${name}" asks for the token.`,
    );
  writeContexts(home, { ...kept, contexts: { ...kept.contexts, [name]: { server, token } } });
  ctx.out.note(`Context ${name} is ${before ? 'changed' : 'made'}: ${server}.`);
}
