import { Argument, Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import type { ConnectOptions } from './run-connect.ts';
import type { ConnectProjectOptions } from './run-connect-project.ts';
import { toolClients } from './wiring.ts';

/** Two things under one word: a first word that is a client asks for an llm; another is a project, where such a client follows. */
export function makeConnect(
  ctx: Context,
  run?: (options: ConnectOptions | ConnectProjectOptions) => Promise<void>,
) {
  return new Command('connect')
    .summary('a ready configuration for a client, of an llm or of the tools of a project')
    .description(
      'Enter a project in the file of a client that uses tools (claude, cursor, vscode), without a key. Or print what a client needs to call an llm here: the address, the model, and where its token comes from. The token itself is printed only with --with-token.',
    )
    .addArgument(
      new Argument(
        '<client>',
        'openai, openai-python, ai-sdk, langchain, anthropic, claude-code, codex, opencode, continue, open-webui, vscode, zed, librechat, aider, cline, n8n or curl',
      ),
    )
    .argument(
      '[llm]',
      'name, pool or alias; without it the one that is there. After the name of a project: claude, cursor or vscode',
    )
    .option('--print', 'of a project: print what the file would hold, and write nothing', false)
    .option('--with-token', 'put the token in: whoever reads the output can call as you', false)
    .addHelpText(
      'before',
      `Examples:
  mcpctl connect demo claude
  mcpctl connect openai tiny-chat
  mcpctl connect continue > ~/.continue/config.yaml
  mcpctl connect claude-code qwen3 --with-token > claude.env
`,
    )
    .action(async (client, llm, { withToken, print }) => {
      const tools = toolClients.find((name) => name === llm);
      if (tools && !Object.hasOwn((await import('./clients.ts')).clients, client)) {
        const options = { project: client, client: tools, print };
        if (run) return run(options);
        const { runConnectProject } = await import('./run-connect-project.ts');
        return runConnectProject(ctx, options);
      }
      const options = { client, llm, withToken };
      if (run) return run(options);
      const { runConnect } = await import('./run-connect.ts');
      return runConnect(ctx, options);
    });
}
