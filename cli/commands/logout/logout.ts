import { Command } from '@commander-js/extra-typings';
import { McpctlError } from '../../../core/errors.ts';
import type { Context } from '../../who/context.ts';

export function makeLogout(ctx: Context, run: () => Promise<void> = () => runLogout(ctx)) {
  return new Command('logout')
    .summary('forget a server and its token')
    .description(
      'Forget the current context, or that of --context, and its token. The token itself stays good: see "mcpctl token revoke".',
    )
    .addHelpText('before', 'Examples:\n  mcpctl logout\n  mcpctl logout --context work\n')
    .action(() => run());
}

async function runLogout(ctx: Context): Promise<void> {
  const { contextNamed, readContexts, withoutContext, writeContexts } =
    await import('../../who/contexts-file.ts');
  const home = await ctx.home();
  const kept = await readContexts(home);
  const name = ctx.globals().context ?? kept.current;
  if (name === null)
    throw new McpctlError(
      'usage',
      `You are not logged in: no context is the current one. (A token in MCPCTL_TOKEN or ${home.credentials} is not this command's.)`,
    );
  const { server } = contextNamed(kept, name, home);
  writeContexts(home, withoutContext(kept, name, home));
  ctx.out.note(`Logged out of ${server}: context ${name} and its token are forgotten here.`);
  ctx.out.note('The token still works elsewhere; "mcpctl token revoke" ends it.');
}
