import { parseArgs } from 'node:util';
import { McpctlError, messageOf } from '../core/errors.ts';
import { nearest } from '../core/runtime/nearest.ts';

const commands = ['run', 'status', 'pause', 'resume', 'drain', 'version', 'help'] as const;
export type WorkerCommand = (typeof commands)[number];

export const usage = `mcplocal: publishes the LLMs of this machine and serves their tasks

Usage:
  mcplocal run       publish what config.json marks "publish": true, and serve it until Ctrl-C
  mcplocal status    what the worker of this home is connected to, and what each llm does (-o json)
  mcplocal pause     take no more tasks; what runs goes on, and everything stays published
  mcplocal resume    take tasks again
  mcplocal drain     take no more tasks, finish what runs, and leave
  mcplocal version   print the version
  mcplocal help      print this

  mcplocal mcp add PACKAGE@VERSION [-- ARGUMENTS]
                     install that MCP server from npm without running anything of it, show how it would be started,
                     and enter it in config.json  (--name NAME, --program PROGRAM, --integrity SUM, --env NAME=VALUE,
                     --secret NAME=FILE/KEY, --yes)
  mcplocal mcp list  the MCP servers of config.json, and how they are (-o json)
  mcplocal mcp remove NAME
                     take one out of config.json
  mcplocal mcp logs NAME
                     what one printed last beside its messages
  mcplocal mcp connect PROJECT
                     serve that project's tools over stdin and stdout, for a client that starts its servers

Files, in $MCPCTL_HOME (~/.mcpctl):
  config.json        { "providers": [{ "name", "type", "model", "url"?, "publish": true, … }] }
  credentials        { "mcpdUrl", "token" }; made by "mcpctl login"

It needs nothing but the way to the edge's HTTP(S) port: through a proxy with HTTPS_PROXY, with another
certificate authority in MCPCTL_CA_FILE. With REDIS_URL it takes its tasks from Redis itself, where the edge agrees.
See docs/worker.md.
`;

/** @throws McpctlError `usage` naming the nearest command. */
export function readArguments(argv: readonly string[]): { command: WorkerCommand; json: boolean } {
  try {
    const { positionals, values } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
        output: { type: 'string', short: 'o' },
      },
    });
    if (values.help) return { command: 'help', json: false };
    if (values.version) return { command: 'version', json: false };
    if (values.output !== undefined && values.output !== 'json')
      throw new McpctlError('usage', 'The only other output is json: -o json.');
    const [word = 'help', ...more] = positionals;
    const command = commands.find((c) => c === word);
    if (command && more.length === 0) return { command: command, json: values.output === 'json' };
    const near = nearest(word, commands, 1)[0];
    throw new McpctlError(
      'usage',
      `'${word}' is not a command.${near ? ` Did you mean ${near}?` : ' See mcplocal help.'}`,
    );
  } catch (thrown) {
    if (thrown instanceof McpctlError) throw thrown;
    throw new McpctlError('usage', `${messageOf(thrown)}. See mcplocal help.`);
  }
}
