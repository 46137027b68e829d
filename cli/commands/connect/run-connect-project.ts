import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { McpctlError, messageOf } from '../../../core/errors.ts';
import { catalogueEntry } from '../../../core/resources/catalogue.ts';
import { resources } from '../../../core/resources/index.ts';
import { readPlainFile } from '../../../core/runtime/files/plain-file.ts';
import type { Context } from '../../who/context.ts';
import { serverUrl } from '../../who/target.ts';
import type { toolClients } from './wiring.ts';

export interface ConnectProjectOptions {
  project: string;
  client: (typeof toolClients)[number];
  /** Print what the file would hold, and write nothing. */
  print: boolean;
}

/** A program that starts MCP servers which a file in the folder of one's work names. */
interface McpClient {
  /** In that folder. */
  path: string;
  /** What the servers are under. */
  section: string;
  entry: (command: { command: string; args: string[] }) => object;
}

const programs: Readonly<Record<ConnectProjectOptions['client'], McpClient>> = {
  claude: { path: '.mcp.json', section: 'mcpServers', entry: (command) => command },
  cursor: { path: join('.cursor', 'mcp.json'), section: 'mcpServers', entry: (command) => command },
  vscode: {
    path: join('.vscode', 'mcp.json'),
    section: 'servers',
    entry: (command) => ({ type: 'stdio', ...command }),
  },
};

/**
 * Enters a project in the file of a client that starts its servers. There is no key in it: what is started calls as whoever
 * is logged in on that machine, so the file can be shared. @throws McpctlError `usage` where the file is not to be touched, `project_not_found`.
 */
export async function runConnectProject(ctx: Context, asked: ConnectProjectOptions): Promise<void> {
  const kind = programs[asked.client];
  const { key } = await (await ctx.client()).resources.get(catalogueEntry(resources.project), asked.project);
  const server = kind.entry({ command: 'mcplocal', args: ['mcp', 'connect', key] });
  const path = join(ctx.cwd, kind.path);
  const config = asked.print ? {} : configAt(path);
  const text = `${JSON.stringify(withServer(config, { section: kind.section, key, server }), null, 2)}\n`;
  if (asked.print) {
    ctx.out.data(text);
    ctx.out.note(`Goes into ${kind.path} of the folder you work in.`);
  } else {
    await write(path, text);
    ctx.out.note(`Written: ${path}. Its tools are there when ${asked.client} is started anew.`);
  }
  noteProgram(ctx, asked.client);
  await noteAccount(ctx);
}

/** A client starts `mcplocal` by its name, in its own environment. */
function noteProgram({ out, variable }: Context, client: string): void {
  const folders = (variable('PATH') ?? '').split(delimiter).filter((folder) => folder !== '');
  if (!folders.some((folder) => existsSync(join(folder, 'mcplocal'))))
    out.note(
      `Warning: mcplocal is not on your PATH, and ${client} will not find it: install it, or put its whole path in the place of "mcplocal".`,
    );
  const home = variable('MCPCTL_HOME');
  if (home) out.note(`Start ${client} with MCPCTL_HOME=${home}, as this was: the token is in that folder.`);
}

function configAt(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readPlainFile(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new McpctlError('usage', `${path} cannot be read: ${messageOf(thrown)}`);
  }
  const config = objectIn(text);
  if (config) return config;
  throw new McpctlError(
    'usage',
    `${path} is not plain JSON, and is left as it is. Put in what --print shows.`,
  );
}

function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return isObject(json) ? json : undefined;
  } catch {
    return undefined; // with comments, say, which would be lost
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function withServer(
  config: Record<string, unknown>,
  { section, key, server }: { section: string; key: string; server: object },
): object {
  const others = config[section] ?? {};
  if (!isObject(others))
    throw new McpctlError('usage', `"${section}" of that file is no object; it is left as it is.`);
  return { ...config, [section]: { ...others, [key]: server } };
}

async function write(path: string, text: string): Promise<void> {
  const draft = `${path}.${String(process.pid)}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(draft, text, { flag: 'wx' });
    await rename(draft, path);
  } catch (thrown) {
    await rm(draft, { force: true });
    throw new McpctlError('usage', `${path} cannot be written: ${messageOf(thrown)}`);
  }
}

/** What is started has one home, and this command may have been told of another server. */
async function noteAccount(ctx: Context): Promise<void> {
  const [{ server }, { readCredentials }] = await Promise.all([
    ctx.target(),
    import('../../who/contexts-file.ts'),
  ]);
  const own = await readCredentials(await ctx.home()).catch(() => undefined);
  if (own && serverUrl(own.mcpdUrl, 'credentials') === server) return;
  ctx.out.note(
    `Warning: "mcplocal mcp connect" calls the server of the file credentials in the home, ${own ? `which is ${own.mcpdUrl}` : 'and there is none'}. ` +
      `Run "mcpctl login --server ${server}" on this machine.`,
  );
}
