import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import type { Home } from '../../core/runtime/files/home.ts';
import { didYouMean, nearest } from '../../core/runtime/nearest.ts';
import type { ReadTemplates } from '../../core/runtime/files/template-files.ts';
import { oneLine, shellWord } from '../../core/runtime/plain.ts';
import { agree } from '../face/face.ts';
import { askWorker, askLogs } from '../local/client.ts';
import { columns } from '../local/columns.ts';
import { poolOfServer } from '../../core/mcp/names.ts';
import type { McpServerEntry } from '../sources/config-schema.ts';
import type { AddArguments, McpArguments } from './arguments.ts';
import { changeServers, configuredServers } from './config-file.ts';
import { install, type Installed } from './install.ts';
import { contentsOf, forget, unusedFolders } from './prune.ts';
import { wantedBy, type Wanted } from './wanted.ts';

export interface McpCommandDeps {
  home: Home;
  /** This process's own. */
  environment: Readonly<Record<string, string | undefined>>;
  print: (text: string) => void;
  /** Where somebody can be asked: a terminal. */
  terminal: { input: NodeJS.ReadableStream; output: NodeJS.WritableStream } | null;
  /** Milliseconds since 1970. */
  now: number;
  /** Those of this release: nothing that a server says is run here. */
  templates: () => Promise<ReadTemplates>;
}

/** `mcplocal mcp add | list | remove | prune | logs`. @throws McpctlError. */
export async function runMcpCommand(
  asked: Exclude<McpArguments, { command: 'connect' | 'help' }>,
  deps: McpCommandDeps,
): Promise<void> {
  switch (asked.command) {
    case 'add':
      return await add(asked, deps);
    case 'list':
      return await list(asked.json, deps);
    case 'remove':
      return await remove(asked.name, deps);
    case 'prune':
      return await prune(asked.dryRun, deps);
    case 'logs':
      named(asked.name, deps);
      return deps.print(await askLogs(deps.home.socket, asked.name));
  }
}

/** Nothing of the package has run before this command has said what would be, and somebody has agreed. */
async function add(asked: AddArguments, deps: McpCommandDeps): Promise<void> {
  const { home, environment, print, now } = deps;
  const { name, yes } = asked;
  if (configuredServers(home.config).some((server) => server.name === name))
    throw new McpctlError(
      'name_taken',
      `config.json has a server '${name}'. Say --name OTHER, or "mcplocal mcp remove ${name}" first.`,
    );
  if (!yes && !deps.terminal)
    throw new McpctlError('usage', 'Nobody can be asked here whether it may be run: say --yes.');
  const wanted = await wantedBy(asked, deps.templates);
  const { spec, integrity, args, env, healthCheck } = wanted;
  const root = join(home.root, 'mcp');
  const installed = await install(spec, { root, environment, integrity, now });
  try {
    const program = programOf(installed, wanted);
    const entry = {
      name,
      command: 'node',
      args: [program, ...args],
      ...(env.length > 0 && { env }),
      ...(healthCheck && { healthCheck }),
    };
    print(summary({ wanted, installed, entry }));
    if (!yes && !(await agreed(deps, `Add it as '${name}' to ${home.config}?`)))
      throw new McpctlError('usage', 'Nothing was added.');
    changeServers(home.config, (servers) => [...servers, entry]);
  } catch (thrown) {
    await forgetUnused(deps);
    throw thrown;
  }
  print(
    `Added. Start "mcplocal run" anew, or the "npm start" that runs it: then it runs '${name}' and publishes its tools.\n`,
  );
}

function programOf({ programs }: Installed, { program, spec }: Wanted): string {
  const names = [...programs.keys()];
  const only = names.length === 1 ? names[0] : undefined;
  const chosen = program ?? only ?? spec.name.split('/').at(-1) ?? '';
  const path = programs.get(chosen);
  if (path !== undefined) return path;
  throw new McpctlError(
    'usage',
    names.length === 0
      ? `${spec.name} has no program that could be a server.`
      : `Say which program of it: --program ${names.join(' | ')}.`,
  );
}

function summary(of: {
  wanted: Wanted;
  installed: Installed;
  entry: { command: string; args: readonly string[] };
}): string {
  const { spec, env } = of.wanted;
  const { integrity, needs } = of.installed;
  const line = [of.entry.command, ...of.entry.args].map(shellWord).join(' ');
  const variables = env.map((variable) =>
    'value' in variable
      ? variable.name
      : `${variable.name} (secret ${variable.valueFrom.secretRef.name}/${variable.valueFrom.secretRef.key})`,
  );
  return [
    `${spec.name} ${spec.version}, and ${String(needs)} packages that it needs; no script of any was run.`,
    `Its sum is ${integrity}.`,
    'It would be started as',
    `  ${oneLine(line)}`,
    ...(variables.length > 0 ? [`with ${oneLine(variables.join(', '))}`] : []),
    'as you, with what you may read and write on this machine.',
    '',
  ].join('\n');
}

async function agreed({ terminal }: McpCommandDeps, question: string): Promise<boolean> {
  if (!terminal) return false;
  const person = { yes: false, asks: true, stdin: terminal.input, screen: terminal.output };
  return await agree(person, question, false);
}

async function list(json: boolean, { home, print }: McpCommandDeps): Promise<void> {
  const servers = configuredServers(home.config);
  const worker = await askWorker(home.socket, 'status').catch(() => null); // none runs
  const rows = servers.map(({ name, command, args, publish }) => {
    const seen = worker?.llms.find((llm) => llm.name === poolOfServer(name));
    const state = publish ? (seen?.state ?? 'not run') : 'not published';
    const reason = seen?.misconfigured;
    return { name, state, command, args, ...(reason === undefined ? {} : { reason }) };
  });
  if (json) return print(`${JSON.stringify(rows, null, 2)}\n`);
  if (rows.length === 0) return print(`${home.config} names no MCP server. See "mcplocal mcp add".\n`);
  const lines = columns([
    ['NAME', 'STATE', 'STARTED AS'],
    ...rows.map(({ name, state, command, args }) => [
      name,
      state,
      oneLine([command, ...args].map(shellWord).join(' ')),
    ]),
  ]);
  for (const line of lines) print(`${line}\n`);
  for (const { name, reason } of rows) if (reason !== undefined) print(`${name}: ${oneLine(reason)}\n`);
}

async function remove(name: string, deps: McpCommandDeps): Promise<void> {
  named(name, deps);
  const isOther = (server: unknown): boolean => (server as { name?: unknown }).name !== name;
  changeServers(deps.home.config, (servers) => servers.filter(isOther));
  await forgetUnused(deps);
  deps.print(`Removed. A worker that runs keeps '${name}' until it is started anew.\n`);
}

function named(name: string, { home }: McpCommandDeps): McpServerEntry {
  const servers = configuredServers(home.config);
  const server = servers.find((one) => one.name === name);
  if (server) return server;
  const near = nearest(
    name,
    servers.map((one) => one.name),
    2,
  );
  const hint = didYouMean(near) || ' See "mcplocal mcp list".';
  throw new McpctlError('server_not_found', `config.json has no server '${name}'.${hint}`);
}

const rootOf = ({ home }: McpCommandDeps): string => join(home.root, 'mcp');

/** Packages that no server is started from any more; not while a worker runs, which may be running one. */
async function forgetUnused(deps: McpCommandDeps): Promise<void> {
  if (!existsSync(rootOf(deps)) || (await isWorkerThere(deps))) return;
  for (const folder of unusedFolders({ root: rootOf(deps), config: deps.home.config })) forget(folder);
}

/** The same by hand, for what was taken out of config.json there, or while a worker ran. */
async function prune(dryRun: boolean, deps: McpCommandDeps): Promise<void> {
  const { home, print, now } = deps;
  const unused = unusedFolders({ root: rootOf(deps), config: home.config }).map((folder) => ({
    folder,
    ...contentsOf(folder, now),
  }));
  const go = unused.filter(({ isNew }) => !isNew);
  if (go.length > 0 && !dryRun && (await isWorkerThere(deps)))
    throw new McpctlError(
      'usage',
      'A worker runs, and may have started one of them still: end it first. --dry-run shows them.',
    );
  for (const one of unused) {
    if (!one.isNew && !dryRun) forget(one.folder);
    const done = one.isNew ? 'Kept, as it is not an hour old' : dryRun ? 'Would be removed' : 'Removed';
    const what = one.packages.join(', ') || 'packages that it does not name';
    print(`${done}: ${oneLine(what)}, ${megabytes(one.bytes)}, in ${one.folder}\n`);
  }
  const all = megabytes(go.reduce((sum, { bytes }) => sum + bytes, 0));
  print(go.length === 0 ? 'Nothing to remove.\n' : `${String(go.length)}, ${all} in all.\n`);
}

const megabytes = (bytes: number): string => `${(bytes / 1_000_000).toFixed(1)} MB`;

const isWorkerThere = ({ home }: McpCommandDeps): Promise<boolean> =>
  askWorker(home.socket, 'status').then(() => true, isThere);

const isThere = (thrown: unknown): boolean =>
  !(thrown instanceof McpctlError && thrown.code === 'server_unreachable');
