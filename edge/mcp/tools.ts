import { can, type Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { aliasOf, hasTool } from '../../core/mcp/bindings.ts';
import { shownTool } from '../../core/mcp/tools.ts';
import type { BoundServer, McpProject, ToolOf } from '../../core/registry/mcp/servers.ts';
import type { EdgeDeps } from '../deps.ts';
import { createHash } from 'node:crypto';

/** More would flood a model, and clients drop them. */
const MOST_SHOWN = 128;

type Deps = Pick<EdgeDeps, 'registry'>;

/** @throws McpctlError `project_not_found`, also where an actor may not see it. */
export async function projectFor({ registry }: Deps, actor: Actor, name: string): Promise<McpProject> {
  const project = await registry.mcp.project(name);
  if (!project || !can(actor, 'view', { resource: 'project', target: project }))
    throw new McpctlError('project_not_found');
  return project;
}

/**
 * Whether an actor may call a project's server: it is theirs, or they are granted it; or they are granted the project, and
 * its owner has lent it one of theirs.
 */
function mayRun(actor: Actor, project: McpProject, server: BoundServer): boolean {
  const { ownerId } = server;
  if (can(actor, 'run', { resource: 'server', target: { ownerId, name: server.server } })) return true;
  return ownerId === project.ownerId && can(actor, 'run', { resource: 'project', target: project });
}

const serversFor = (actor: Actor, project: McpProject): readonly BoundServer[] =>
  project.servers.filter((server) => mayRun(actor, project, server));

/**
 * What the tools of a project are called: one answer for lists and for calls. Of two that would be called alike the one that
 * was there first has the name.
 */
function named<Tool extends ToolOf>(
  project: McpProject,
  servers: readonly BoundServer[],
  tools: readonly Tool[],
): Map<string, { server: BoundServer; tool: Tool }> {
  const byName = new Map<string, { server: BoundServer; tool: Tool }>();
  for (const server of servers) {
    for (const tool of tools) {
      if (tool.serverId !== server.id || !hasTool(server, tool.name)) continue;
      const name = exposedName({ project: project.name, alias: aliasOf(server), tool: tool.name });
      if (!byName.has(name) && byName.size < MOST_SHOWN) byName.set(name, { server, tool });
    }
  }
  return byName;
}

/** The tools of a project as this actor may call them, by their names there. No worker is asked. */
export async function listTools({ registry }: Deps, actor: Actor, project: McpProject): Promise<object[]> {
  const servers = serversFor(actor, project);
  const tools = await registry.mcp.tools(servers.map(({ id }) => id));
  return [...named(project, servers, tools)]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { tool }]) => shownTool(tool.tool, name));
}

/** What a name stands for; undefined where there is none, or none for this actor. */
export async function toolNamed(
  { registry }: Deps,
  { actor, project, name }: { actor: Actor; project: McpProject; name: string },
): Promise<{ server: BoundServer; tool: string } | undefined> {
  const servers = serversFor(actor, project);
  const tools = await registry.mcp.toolNames(servers.map(({ id }) => id));
  const entry = named(project, servers, tools).get(name);
  return entry && { server: entry.server, tool: entry.tool.name };
}

/** What every provider of models takes for the name of a tool, with what clients put before it. */
const MOST = 64;
/** However long the project's name is, so much is left of what a tool is called. */
const LEAST = 24;
const TAIL = 6;

/**
 * What a project's tool is called to its clients: `alias__tool`, other characters than `A-Z a-z 0-9 _ -` being `_`. One that is
 * too long for what Claude Code puts before it is cut, and told apart by a hash. It is looked up and never taken apart.
 * @internal tests look for two that are alike
 */
export function exposedName({
  project,
  alias,
  tool,
}: {
  project: string;
  alias: string;
  tool: string;
}): string {
  const name = `${alias}__${tool}`.replace(/[^A-Za-z0-9_-]/g, '_');
  const most = Math.max(LEAST, MOST - `mcp__${project}__`.length);
  if (name.length <= most) return name;
  const tail = createHash('sha256').update(`${alias}\n${tool}`).digest('hex').slice(0, TAIL);
  return `${name.slice(0, most - TAIL - 1)}_${tail}`;
}
