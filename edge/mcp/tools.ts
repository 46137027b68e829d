import type { Request } from 'express';
import { can, type Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { hasTool } from '../../core/mcp/bindings.ts';
import { mayCall } from '../../core/mcp/may-call.ts';
import { isLetThrough, pinOf } from '../../core/mcp/pinned/pins.ts';
import { headersOf } from '../../core/mcp/param-headers.ts';
import { pagingOf } from '../../core/mcp/pipeline/settings.ts';
import { shownTool, type ServerTool } from '../../core/mcp/tools.ts';
import type { NameOf } from '../../core/registry/mcp/offers.ts';
import type { BoundServer, McpProject } from '../../core/registry/mcp/servers.ts';
import type { EdgeDeps } from '../deps.ts';
import { actorOf } from '../http/context.ts';
import type { Leg } from './legs/leg.ts';
import { before, listed, type Listing } from './paged.ts';
import { inOrder, nameAll, namedIn, type Named } from './names.ts';

export type McpDeps = Pick<EdgeDeps, 'registry'>;

/** For whom a project's things are looked up. */
export interface Viewer {
  actor: Actor;
  project: McpProject;
}

export const viewerOf = ({ req, project }: { req: Request; project: McpProject }): Viewer => ({
  actor: actorOf(req),
  project,
});

/** @throws McpctlError `project_not_found`, also where an actor may not see it. */
export async function projectFor({ registry }: McpDeps, actor: Actor, name: string): Promise<McpProject> {
  const project = await registry.mcp.project(name);
  if (!project || !can(actor, 'view', { resource: 'project', target: project }))
    throw new McpctlError('project_not_found');
  return project;
}

export const serversFor = (viewer: Viewer): readonly BoundServer[] =>
  viewer.project.servers.filter(({ server: name, ownerId }) =>
    mayCall(viewer.actor, { project: viewer.project, server: { name, ownerId } }),
  );

const idsOf = (servers: readonly BoundServer[]): string[] => servers.map(({ id }) => id);

/** Of tools those that their binding has. */
function offered<Tool extends NameOf>(servers: readonly BoundServer[], tools: readonly Tool[]): Tool[] {
  const byId = new Map(servers.map((server) => [server.id, server]));
  return tools.filter((tool) => {
    const server = byId.get(tool.serverId);
    return server !== undefined && hasTool(server, tool.name);
  });
}

/** Whether something of a server is there, as its binding's pin has it: for lists, and for all that is asked of it. */
export const letThrough =
  (project: McpProject) =>
  ({ server, thing }: { server: BoundServer; thing: NameOf }): boolean =>
    isLetThrough(pinOf(server, project), thing.state);

/** By their names in the project, those that its binding lets through: of its policy, and as its pin has it. */
const named = <Tool extends NameOf>(
  project: McpProject,
  servers: readonly BoundServer[],
  tools: readonly Tool[],
): Map<string, Named<Tool>> =>
  namedIn(project, {
    ...{ servers, things: offered(servers, tools) },
    isLetThrough: letThrough(project),
  });

/** The tools of one server that a project has no name for, as another that was there before is called so. */
export async function nameless(
  { registry }: McpDeps,
  at: { project: string; server: string },
): Promise<ReadonlySet<string>> {
  const project = await registry.mcp.project(at.project);
  if (!project) return new Set();
  const { servers } = project;
  const tools = await registry.mcp.toolNames(project.id, idsOf(servers));
  const { late } = nameAll(project, { servers, things: offered(servers, tools) });
  const ids = servers.filter(({ server }) => server === at.server).map(({ id }) => id);
  return new Set(late.filter(({ serverId }) => ids.includes(serverId)).map(({ name }) => name));
}

/** The tools of a project as this actor may call them, by their names there. No worker is asked. */
export async function toolsFor({ registry }: McpDeps, viewer: Viewer) {
  const servers = serversFor(viewer);
  const tools = await registry.mcp.tools(viewer.project.id, idsOf(servers));
  return inOrder(named(viewer.project, servers, tools));
}

/** Of a tool of the gateway itself, what is listed. */
export interface OwnListed {
  name: string;
  about: object;
}

/** The same, as clients of an era are told of them. @param own come before any server's. @param only nothing but that one of them. */
export async function listTools(
  deps: McpDeps,
  viewer: Viewer,
  { era, own, only }: { era: Leg['era']; own: ReadonlyMap<string, OwnListed>; only: string | null },
): Promise<Listing> {
  const ownOnes = [...own.values()].filter(({ name }) => only === null || name === only);
  const about = ownOnes.map(({ name, about: more }): object => ({ name, ...more }));
  if (only !== null) return before(about, listed(new Map()));
  const isPlain = pagingOf(viewer.project.pipeline) === null;
  const shown = (await toolsFor(deps, viewer))
    // Clients of that era drop a tool that wants headers it may not.
    .filter(
      ([name, { tool }]) => !own.has(name) && (era === 'legacy' || headersOf(tool.inputSchema) !== null),
    )
    .map(
      ([name, { tool, state }]) =>
        [name, shownTool(isPlain ? tool : withoutPromise(tool), { name, state })] as const,
    );
  return before(about, listed(new Map(shown)));
}

/** A result in pages has nothing of what is promised by a schema. */
const withoutPromise = ({ outputSchema: _promise, ...tool }: ServerTool): ServerTool => tool;

/** How many tools of each server this actor may call, by the servers' ids. */
export async function countTools({ registry }: McpDeps, viewer: Viewer): Promise<Map<string, number>> {
  const servers = serversFor(viewer);
  const tools = await registry.mcp.toolNames(viewer.project.id, idsOf(servers));
  const counts = new Map<string, number>();
  for (const { server } of named(viewer.project, servers, tools).values())
    counts.set(server.id, (counts.get(server.id) ?? 0) + 1);
  return counts;
}

export interface FoundTool {
  server: BoundServer;
  /** As its server calls it. */
  tool: string;
  /** Undefined where it is gone meanwhile. */
  definition: () => Promise<ServerTool | undefined>;
}

/** What names stand for; undefined for one that stands for nothing, or for nothing for this actor. */
export async function toolsNamed(
  { registry }: McpDeps,
  viewer: Viewer,
): Promise<(name: string) => FoundTool | undefined> {
  const servers = serversFor(viewer);
  const tools = await registry.mcp.toolNames(viewer.project.id, idsOf(servers));
  const entries = named(viewer.project, servers, tools);
  return (name) => {
    const entry = entries.get(name);
    if (!entry) return undefined;
    const { server, thing } = entry;
    return { server, tool: thing.name, definition: () => registry.mcp.tool(server.id, thing.name) };
  };
}

/** As `toolsNamed`. */
export const toolNamed = async (
  deps: McpDeps,
  viewer: Viewer,
  name: string,
): Promise<FoundTool | undefined> => (await toolsNamed(deps, viewer))(name);
