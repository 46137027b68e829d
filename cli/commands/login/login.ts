import { Command, Option } from '@commander-js/extra-typings';
import { presets } from '../../../core/access/filter.ts';
import type { Context } from '../../who/context.ts';
import type { LoginOptions } from './run-login.ts';

export function makeLogin(ctx: Context, run?: (options: LoginOptions) => Promise<void>) {
  return new Command('login')
    .summary('remember a server and a token')
    .description(
      'Check a token with the server (--server) and remember both in $MCPCTL_HOME/cli.json as a context (--context gives it a name). The token comes from --token-file, from stdin with --with-token, or is asked for; with --web it is made for this machine once somebody approves that in a browser.',
    )
    .option('--with-token', 'read the token from stdin', false)
    .option(
      '--web',
      'show a code, and get a token of 30 days when somebody types it on the server’s page',
      false,
    )
    .addOption(
      new Option('--preset <preset>', 'with --web: what the token lets through (manage)').choices(presets),
    )
    .addHelpText(
      'before',
      `Examples:
  mcpctl login --server https://mcpctl.example.com
  mcpctl login --server https://mcpctl.example.com --web
  mcpctl login --server http://127.0.0.1:3100 --with-token < token.txt
  mcpctl login --server https://mcpctl.example.com --token-file token.txt --context work
`,
    )
    .action(async (options) => {
      if (run) return run(options);
      const { runLogin } = await import('./run-login.ts');
      return runLogin(ctx, options);
    });
}
