import { parseArgs } from 'node:util';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { nearest } from '../../core/runtime/nearest.ts';
import type { PackageSpec } from '../../core/mcp/hosted/package.ts';
import { packageSpec, serverNameOf } from './package-spec.ts';

/** A package as it is named, or a template of this release and what it is to be told. */
type What =
  { spec: PackageSpec; template: null } | { template: string; params: Readonly<Record<string, string>> };

export interface AddArguments {
  command: 'add';
  what: What;
  /** In config.json. */
  name: string;
  /** Which of its programs; undefined: the one that it has. */
  program: string | undefined;
  integrity: string | undefined;
  /** Of the program, after `--`. */
  args: readonly string[];
  env: readonly Variable[];
  yes: boolean;
}

export type Variable =
  { name: string; value: string } | { name: string; valueFrom: { secretRef: { name: string; key: string } } };

/** `mcplocal mcp …`, understood. */
export type McpArguments =
  | AddArguments
  | { command: 'list'; json: boolean }
  | { command: 'remove'; name: string }
  | { command: 'logs'; name: string }
  | { command: 'prune'; dryRun: boolean }
  | { command: 'connect'; project: string }
  | { command: 'help' };

const commands = ['add', 'list', 'remove', 'prune', 'logs', 'connect'] as const;

/** @param argv what follows `mcplocal mcp`. @throws McpctlError `usage`. */
export function readMcpArguments(argv: readonly string[]): McpArguments {
  const [word = 'help', ...rest] = argv;
  const own = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
  if (word === 'help' || own.some((part) => part === '--help' || part === '-h')) return { command: 'help' };
  const command = commands.find((name) => name === word);
  if (!command) {
    const near = nearest(word, commands, 1)[0];
    const hint = near ? `Did you mean ${near}?` : `There are: ${commands.join(', ')}.`;
    throw new McpctlError('usage', `'mcp ${word}' is not a command. ${hint}`);
  }
  try {
    return argumentsOf(command, rest);
  } catch (thrown) {
    if (thrown instanceof McpctlError) throw thrown;
    throw new McpctlError('usage', `${messageOf(thrown)}. See mcplocal help.`);
  }
}

function argumentsOf(command: (typeof commands)[number], argv: readonly string[]): McpArguments {
  switch (command) {
    case 'add':
      return addArguments(argv);
    case 'list': {
      const { values } = parseArgs({ args: [...argv], options: { output: { type: 'string', short: 'o' } } });
      if (values.output !== undefined && values.output !== 'json')
        throw new McpctlError('usage', 'The only other output is json: -o json.');
      return { command, json: values.output === 'json' };
    }
    case 'remove':
    case 'logs':
      return { command, name: only(argv, `mcplocal mcp ${command} NAME`) };
    case 'prune': {
      const { values } = parseArgs({
        args: [...argv],
        options: { 'dry-run': { type: 'boolean', default: false } },
      });
      return { command, dryRun: values['dry-run'] };
    }
    case 'connect':
      return { command, project: only(argv, 'mcplocal mcp connect PROJECT') };
  }
}

function addArguments(argv: readonly string[]): AddArguments {
  const at = argv.indexOf('--');
  const [own, args] = at < 0 ? [argv, []] : [argv.slice(0, at), argv.slice(at + 1)];
  const { positionals, values } = parseArgs({
    args: [...own],
    allowPositionals: true,
    options: {
      name: { type: 'string' },
      program: { type: 'string' },
      integrity: { type: 'string' },
      template: { type: 'string' },
      param: { type: 'string', multiple: true, default: [] },
      env: { type: 'string', multiple: true, default: [] },
      secret: { type: 'string', multiple: true, default: [] },
      yes: { type: 'boolean', short: 'y', default: false },
    },
  });
  const { program, integrity, yes, template } = values;
  const env = [...values.env.map(plainVariable), ...values.secret.map(secretVariable)];
  const more = { command: 'add', program, integrity, args, env, yes } as const;
  if (template !== undefined) {
    if (positionals.length + args.length > 0 || program !== undefined || integrity !== undefined)
      throw new McpctlError(
        'usage',
        'A template says which package, which program and which arguments: say --param NAME=VALUE.',
      );
    const params = Object.fromEntries(values.param.map(paramIn));
    return { ...more, what: { template, params }, name: values.name ?? template };
  }
  if (values.param.length > 0) throw new McpctlError('usage', '--param goes with --template.');
  const spec = packageSpec(only(positionals, 'mcplocal mcp add PACKAGE@VERSION [-- ARGUMENTS]'));
  return { ...more, what: { spec, template: null }, name: values.name ?? serverNameOf(spec) };
}

function paramIn(text: string): [name: string, value: string] {
  const at = text.indexOf('=');
  if (at < 1) throw new McpctlError('usage', 'Write --param NAME=VALUE.');
  return [text.slice(0, at), text.slice(at + 1)];
}

function only(positionals: readonly string[], usage: string): string {
  const [one, ...more] = positionals;
  if (one === undefined || more.length > 0) throw new McpctlError('usage', `Write: ${usage}.`);
  return one;
}

function plainVariable(text: string): Variable {
  const at = text.indexOf('=');
  if (at < 1) throw new McpctlError('usage', 'Write --env NAME=VALUE; for what nobody may see --secret.');
  return { name: text.slice(0, at), value: text.slice(at + 1) };
}

/** A value that nobody may see is not in a command line, which others of this machine can read. */
function secretVariable(text: string): Variable {
  const [, name = '', secret = '', key = ''] = /^([^=]+)=([^/]+)\/(.+)$/.exec(text) ?? [];
  if (name === '')
    throw new McpctlError(
      'usage',
      'Write --secret NAME=FILE/KEY, of a file in the folder secrets of the home.',
    );
  return { name, valueFrom: { secretRef: { name: secret, key } } };
}
