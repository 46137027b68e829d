import { Command, Option } from '@commander-js/extra-typings';
import { McpctlError } from '../../../core/errors.ts';
import type { CatalogueEntry } from '../../../core/resources/catalogue.ts';
import { collect } from '../../input/arguments.ts';
import { pairIn } from '../../input/params.ts';
import type { Context } from '../../who/context.ts';
import { formatOption, type Format } from '../../say/formats.ts';

export interface CreateServerOptions {
  name: string;
  description?: string | undefined;
  fromTemplate?: string | undefined;
  param?: string[] | undefined;
  package?: string | undefined;
  integrity?: string | undefined;
  program?: string | undefined;
  command?: string | undefined;
  arg?: string[] | undefined;
  url?: string | undefined;
  header?: string[] | undefined;
  env?: string[] | undefined;
  limits?: string | undefined;
  output: Format;
}

const another = (flags: string, about: string) =>
  new Option(flags, `${about}; may be given again`).argParser(collect);

export function makeCreateServer(
  ctx: Context,
  entry: CatalogueEntry,
  run: (options: CreateServerOptions) => Promise<void> = (o) => runCreateServer(ctx, entry, o),
) {
  const kinds = ['fromTemplate', 'package', 'command', 'url'];
  const oneOf = (flags: string, about: string, own: string) =>
    new Option(flags, about).conflicts(kinds.filter((kind) => kind !== own));
  return new Command('server')
    .summary('make an MCP server that a hosted worker runs, or keep a name for one of your machine')
    .description(
      'Make an MCP server: of a template, a package of npm or a command, run by a hosted worker, or at a URL that it dials. Without any of these it keeps the name for a server that your own machine publishes ("mcplocal mcp add").',
    )
    .argument('<name>', '1 to 48 of a-z 0-9 -')
    .addOption(oneOf('--from-template <template>', 'a template: "mcpctl get template"', 'fromTemplate'))
    .addOption(another('--param <name=value>', 'what the template is told'))
    .addOption(oneOf('--package <name@version>', 'a package of npm, with --integrity', 'package'))
    .option('--integrity <sum>', 'sha512-… of the package: "npm view NAME@VERSION dist.integrity"')
    .option('--program <name>', 'which program of the package, where it has several')
    .addOption(oneOf('--command <path>', 'a program on the machines of hosted workers', 'command'))
    .addOption(another('--arg <text>', 'an argument of the program, as it is'))
    .addOption(oneOf('--url <url>', 'where it is served, by Streamable HTTP', 'url'))
    .addOption(another('--header <name=value>', 'what each request there carries; as --env'))
    .addOption(
      another('--env <name=value>', 'a variable of its environment: a value, or secret:NAME/KEY of a secret'),
    )
    .option('--limits <json>', 'slots, idleMinutes, memoryMb, startSeconds, callSeconds')
    .option('--description <text>', 'a line for people')
    .addOption(formatOption())
    .addHelpText(
      'before',
      `Examples:
  mcpctl create server docs --from-template filesystem --param folder=/srv/docs
  mcpctl create server search --url https://mcp.example.com/mcp --header authorization=secret:search/BEARER
  mcpctl create server files --description "Files of the build machine"
`,
    )
    .action((name, options) => run({ name, ...options }));
}

const usage = (why: string): McpctlError => new McpctlError('usage', why);

/** `--env NAME=VALUE`, where a value that begins with `secret:` says which of a secret's. */
function valuesIn(flag: string, texts: readonly string[]) {
  return texts.map((text) => {
    const pair = pairIn(text);
    if (!pair) throw usage(`${flag} is written like NAME=VALUE, or NAME=secret:SECRET/KEY.`);
    const [name, value] = pair;
    if (!value.startsWith('secret:')) return { name, value };
    const [, secret = '', key = ''] = /^secret:([^/]+)\/(.+)$/.exec(value) ?? [];
    if (secret === '') throw usage(`A secret is written like ${flag} ${name}=secret:SECRET/KEY.`);
    return { name, valueFrom: { secretRef: { name: secret, key } } };
  });
}

function paramIn(text: string): [string, string] {
  const pair = pairIn(text);
  if (!pair) throw usage('--param is written like NAME=VALUE.');
  return pair;
}

function sourceOf(o: CreateServerOptions): object | undefined {
  const { param = [], arg = [], header = [], fromTemplate, url, command, program, integrity } = o;
  const needs = (isGiven: boolean, flag: string, with_: string): void => {
    if (isGiven) throw usage(`${flag} goes with ${with_}.`);
  };
  needs(param.length > 0 && fromTemplate === undefined, '--param', '--from-template');
  needs(header.length > 0 && url === undefined, '--header', '--url');
  needs(
    arg.length > 0 && command === undefined && o.package === undefined,
    '--arg',
    '--command or --package',
  );
  needs(
    (program ?? integrity) !== undefined && o.package === undefined,
    '--program and --integrity',
    '--package',
  );
  if (fromTemplate !== undefined)
    return { template: fromTemplate, params: Object.fromEntries(param.map(paramIn)) };
  if (url !== undefined) return { url, headers: valuesIn('--header', header) };
  if (command !== undefined) return { command, args: arg };
  if (o.package === undefined) return undefined;
  const at = o.package.lastIndexOf('@');
  if (at < 1) throw usage('--package is written like NAME@VERSION, as @scope/name@1.2.3.');
  const named = { package: o.package.slice(0, at), version: o.package.slice(at + 1) };
  return { ...named, integrity, ...(program !== undefined && { program }), args: arg };
}

function limitsIn(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw usage('--limits must be JSON, as {"slots": 8}.');
  }
}

async function runCreateServer(
  ctx: Context,
  entry: CatalogueEntry,
  options: CreateServerOptions,
): Promise<void> {
  const { name, description, env, limits, output } = options;
  const body = {
    ...{ name, description, source: sourceOf(options), limits: limitsIn(limits) },
    env: env && valuesIn('--env', env),
  };
  const [client, { printMade }] = await Promise.all([ctx.client(), import('./run-create-one.ts')]);
  await printMade(ctx, { entry, made: await client.resources.create(entry, body), output });
}
