import { Argument, Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import type { ConnectOptions } from './run-connect.ts';

export function makeConnect(ctx: Context, run?: (options: ConnectOptions) => Promise<void>) {
  return new Command('connect')
    .summary('a ready configuration for a client')
    .description(
      'Print what a client needs to call an llm here: the address, the model, and where its token comes from. The token itself is printed only with --with-token.',
    )
    .addArgument(
      new Argument(
        '<client>',
        'openai, openai-python, ai-sdk, langchain, anthropic, claude-code, codex, opencode, continue, open-webui, vscode, zed, librechat, aider, cline, n8n or curl',
      ),
    )
    .argument('[llm]', 'name, pool or alias; without it the one that is there')
    .option('--with-token', 'put the token in: whoever reads the output can call as you', false)
    .addHelpText(
      'before',
      `Examples:
  mcpctl connect openai tiny-chat
  mcpctl connect continue > ~/.continue/config.yaml
  mcpctl connect claude-code qwen3 --with-token > claude.env
`,
    )
    .action(async (client, llm, { withToken }) => {
      const options = { client, llm, withToken };
      if (run) return run(options);
      const { runConnect } = await import('./run-connect.ts');
      return runConnect(ctx, options);
    });
}
