import { isOfTemplate, shownPrompt, shownResource, type Listed } from '../../core/mcp/offers.ts';
import type { BoundServer } from '../../core/registry/mcp/servers.ts';
import { inOrder, namedIn } from './names.ts';
import { serversFor, type McpDeps, type Viewer } from './tools.ts';

/** The prompts of a project's servers, by their names there. No worker is asked. */
export async function listPrompts({ registry }: McpDeps, viewer: Viewer): Promise<Listed[]> {
  const servers = serversFor(viewer);
  const prompts = await registry.mcp.offers(
    servers.map(({ id }) => id),
    'prompt',
  );
  return inOrder(namedIn(viewer.project, { servers, things: prompts })).map(([name, { offer }]) =>
    shownPrompt(offer, name),
  );
}

/** What a prompt's name stands for; undefined where there is none for this actor. */
export async function promptNamed(
  { registry }: McpDeps,
  viewer: Viewer,
  name: string,
): Promise<{ server: BoundServer; prompt: string } | undefined> {
  const servers = serversFor(viewer);
  const prompts = await registry.mcp.offerNames(
    servers.map(({ id }) => id),
    'prompt',
  );
  const prompt = namedIn(viewer.project, { servers, things: prompts }).get(name);
  return prompt && { server: prompt.server, prompt: prompt.thing.name };
}

/**
 * The resources of a project's servers, or the templates of theirs. A URI is where something is, and stays as it is: of two servers
 * that offer the same one the first that was bound has it.
 */
export async function listResources(
  { registry }: McpDeps,
  viewer: Viewer,
  kind: 'resource' | 'template',
): Promise<object[]> {
  const servers = serversFor(viewer);
  const offers = await registry.mcp.offers(
    servers.map(({ id }) => id),
    kind,
  );
  const byUri = new Map<string, object>();
  for (const server of servers)
    for (const { serverId, name, offer } of offers)
      if (serverId === server.id && !byUri.has(name)) byUri.set(name, shownResource(offer));
  return [...byUri].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, resource]) => resource);
}

/** Of some servers the one whose a URI is: the first that lists it, else the first with a template that makes it; undefined: it is nobody's. */
export async function serverOfUri(
  { registry }: McpDeps,
  servers: readonly BoundServer[],
  uri: string,
): Promise<BoundServer | undefined> {
  const ids = servers.map(({ id }) => id);
  const having = (offers: readonly { serverId: string; name: string }[], fits: (name: string) => boolean) =>
    servers.find(({ id }) => offers.some(({ serverId, name }) => serverId === id && fits(name)));
  return (
    having(await registry.mcp.offerNames(ids, 'resource'), (name) => name === uri) ??
    having(await registry.mcp.offerNames(ids, 'template'), (name) => name === uri || isOfTemplate(name, uri))
  );
}
