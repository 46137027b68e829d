import { parseArgs } from 'node:util';
import { McpctlError, messageOf } from '../core/errors.ts';
import { nearest } from '../core/runtime/nearest.ts';

const kinds = {
  output: { type: 'string', short: 'o' },
  yes: { type: 'boolean', short: 'y' },
  'no-input': { type: 'boolean' },
  code: { type: 'string' },
  pool: { type: 'string', multiple: true },
  replace: { type: 'boolean' },
  run: { type: 'boolean' },
  force: { type: 'boolean' },
  until: { type: 'string' },
  hours: { type: 'string' },
  system: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  follow: { type: 'boolean', short: 'f' },
} as const;
type OptionName = keyof typeof kinds;

interface CommandForm {
  /** What stands behind its name, as help shows it. */
  form?: string;
  about: string;
  /** How many words may follow it. */
  most?: number;
  options?: readonly OptionName[];
}

const asking = ['yes', 'no-input', 'output'] as const;

/** Every command of `mcplocal`, in the order of help. */
const forms = {
  detect: { about: 'look for model servers on this machine; shares nothing', options: ['output'] },
  init: {
    about: 'choose which of their models to share; writes config.json and sends nothing',
    options: asking,
  },
  join: {
    form: '[URL] --code CODE',
    about: 'make this machine a worker there; without a code somebody approves the one it shows (--pool)',
    most: 1,
    options: [...asking, 'code', 'pool', 'replace', 'run'],
  },
  leave: {
    about: 'end that: credential, what is published with it, and its rows',
    options: [...asking, 'force'],
  },
  run: { about: 'publish what config.json marks "publish": true, and serve it until Ctrl-C' },
  status: {
    about: 'what the worker of this home is connected to, and what each llm does',
    options: ['output'],
  },
  pause: {
    form: '[2h | --until 18:00]',
    about: 'take no more tasks; what runs goes on, and everything stays published',
    most: 1,
    options: ['output', 'until'],
  },
  resume: { about: 'take tasks again', options: ['output'] },
  drain: { about: 'take no more tasks, finish what runs, and leave', options: ['output'] },
  service: {
    form: 'install|uninstall|status|logs',
    about: 'keep it running (--system, --dry-run; logs -f)',
    most: 1,
    options: [...asking, 'system', 'dry-run', 'follow'],
  },
  doctor: { about: 'look at everything that could be wrong, and say what to do', options: ['output'] },
  test: {
    form: '[NAME]',
    about: 'one call to each backend that is shared, then one through the server',
    most: 1,
    options: ['output'],
  },
  usage: {
    about: 'who used this machine in the last 24 hours (--hours), and how much; no prompts',
    options: ['output', 'hours'],
  },
  update: { about: 'say what is newer, and how to get it; changes nothing', options: ['output'] },
  version: { about: 'print the version' },
  help: { about: 'print this' },
} as const satisfies Record<string, CommandForm>;

export type WorkerCommand = keyof typeof forms;
const commands = Object.keys(forms) as WorkerCommand[];

const formOf = (command: WorkerCommand): CommandForm => forms[command];

const lines = commands.map((command) => {
  const { form = '', about } = formOf(command);
  return `  mcplocal ${`${command} ${form}`.trimEnd().padEnd(24)}  ${about}`;
});

export const usage = `mcplocal: publishes the LLMs of this machine and serves their tasks

Usage:
${lines.join('\n')}

  mcplocal mcp add PACKAGE@VERSION [-- ARGUMENTS]
                     install that MCP server from npm without running anything of it, show how it would be started,
                     and enter it in config.json  (--name NAME, --program PROGRAM, --integrity SUM, --env NAME=VALUE,
                     --secret NAME=FILE/KEY, --yes)
  mcplocal mcp add --template NAME [--param NAME=VALUE]
                     the same of a template of this release: package, sum, program and arguments are in that
  mcplocal mcp list  the MCP servers of config.json, and how they are (-o json)
  mcplocal mcp remove NAME
                     take one out of config.json
  mcplocal mcp prune remove installed packages that no server of config.json is started from  (--dry-run)
  mcplocal mcp logs NAME
                     what one printed last beside its messages
  mcplocal mcp connect PROJECT
                     serve that project's tools over stdin and stdout, for a client that starts its servers

-o json prints what programs read; --yes agrees to what is asked, --no-input asks nothing.

Files, in $MCPCTL_HOME (~/.mcpctl):
  config.json        { "providers": [{ "name", "type", "model", "url"?, "publish": true, … }] }
  credentials        { "mcpdUrl", "token" }; made by "mcplocal join", or "mcpctl login"

It needs nothing but the way to the edge's HTTP(S) port: through a proxy with HTTPS_PROXY, with another
certificate authority in MCPCTL_CA_FILE. With REDIS_URL it takes its tasks from Redis itself, where the edge agrees.
See docs/worker.md.
`;

export interface WorkerArguments {
  command: WorkerCommand;
  json: boolean;
  /** What follows the command. */
  words: readonly string[];
  yes: boolean;
  /** False: nothing is asked. */
  input: boolean;
  code?: string;
  pools: readonly string[];
  replace: boolean;
  run: boolean;
  force: boolean;
  /** A time of the day. */
  until?: string;
  hours?: string;
  system: boolean;
  dryRun: boolean;
  follow: boolean;
}

/** @throws McpctlError `usage` naming the nearest command. */
export function readArguments(argv: readonly string[]): WorkerArguments {
  try {
    const { positionals, values } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' }, version: { type: 'boolean' }, ...kinds },
    });
    const { help, version, output, code, pool, until, hours, ...flags } = values;
    if (output !== undefined && output !== 'json')
      throw new McpctlError('usage', 'The only other output is json: -o json.');
    const [word = 'help', ...words] = positionals;
    const command = help ? 'help' : version ? 'version' : commandOf(word, words);
    if (!help && !version) needItsOptions(command, Object.keys(values) as OptionName[]);
    if (command === 'pause' && until !== undefined && words[0] !== undefined)
      throw new McpctlError('usage', `A pause ends once: say ${words[0]}, or --until ${until}.`);
    return {
      ...{
        command,
        words,
        json: output === 'json',
        yes: flags.yes ?? false,
        input: !(flags['no-input'] ?? false),
      },
      ...(code !== undefined && { code }),
      ...(until !== undefined && { until }),
      ...(hours !== undefined && { hours }),
      pools: pool ?? [],
      replace: flags.replace ?? false,
      run: flags.run ?? false,
      force: flags.force ?? false,
      system: flags.system ?? false,
      dryRun: flags['dry-run'] ?? false,
      follow: flags.follow ?? false,
    };
  } catch (thrown) {
    if (thrown instanceof McpctlError) throw thrown;
    throw new McpctlError('usage', `${messageOf(thrown)}. See mcplocal help.`);
  }
}

function commandOf(word: string, words: readonly string[]): WorkerCommand {
  const command = commands.find((c) => c === word);
  const most = (command && formOf(command).most) ?? 0;
  if (command && words.length <= most) return command;
  const near = command ? undefined : nearest(word, commands, 1)[0];
  throw new McpctlError(
    'usage',
    command
      ? `'${[word, ...words].join(' ')}' is not a command: '${words[most] ?? ''}' is too much. See mcplocal help.`
      : `'${word}' is not a command.${near ? ` Did you mean ${near}?` : ' See mcplocal help.'}`,
  );
}

function needItsOptions(command: WorkerCommand, given: readonly OptionName[]): void {
  const { options = [] } = formOf(command);
  const other = given.find((name) => !options.includes(name));
  if (other === undefined) return;
  throw new McpctlError('usage', `mcplocal ${command} has no --${other}. See mcplocal help.`);
}
