import { parseArgs } from 'node:util';
import { McpctlError, messageOf } from '../core/errors.ts';
import { nearest } from '../core/runtime/nearest.ts';

const commands = ['run', 'version', 'help'] as const;
export type WorkerCommand = (typeof commands)[number];

export const usage = `mcplocal: publishes the LLMs of this machine and serves their tasks

Usage:
  mcplocal run       publish what config.json marks "publish": true, and serve it until Ctrl-C
  mcplocal version   print the version
  mcplocal help      print this

Files, in $MCPCTL_HOME (~/.mcpctl):
  config.json        { "providers": [{ "name", "type", "model", "url"?, "publish": true, … }] }
  credentials        { "mcpdUrl", "token" }; made by "mcpctl login"

This version takes its tasks over Redis: REDIS_URL must be in the environment.
`;

/** @throws McpctlError `usage` naming the nearest command. */
export function readArguments(argv: readonly string[]): WorkerCommand {
  try {
    const { positionals, values } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' }, version: { type: 'boolean' } },
    });
    if (values.help) return 'help';
    if (values.version) return 'version';
    const [word = 'help', ...more] = positionals;
    const known = commands.find((c) => c === word);
    if (known && more.length === 0) return known;
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
