import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import type { LoginOptions } from './run-login.ts';

export function makeLogin(ctx: Context, run?: (options: LoginOptions) => Promise<void>) {
  return new Command('login')
    .summary('remember a server and a token')
    .description(
      'Check a token with the server (--server) and remember both in $MCPCTL_HOME/cli.json as a context (--context gives it a name). The token comes from --token-file, from stdin with --with-token, or is asked for.',
    )
    .option('--with-token', 'read the token from stdin', false)
    .addHelpText(
      'before',
      `Examples:
  mcpctl login --server https://mcpctl.example.com
  mcpctl login --server http://127.0.0.1:3100 --with-token < token.txt
  mcpctl login --server https://mcpctl.example.com --token-file token.txt --context work
`,
    )
    .action(async ({ withToken }) => {
      const options = { withToken };
      if (run) return run(options);
      const { runLogin } = await import('./run-login.ts');
      return runLogin(ctx, options);
    });
}
