import {
  isOfTemplate,
  shownPrompt,
  shownResource,
  type Listed,
  type OfferKind,
} from '../../core/mcp/offers.ts';
import { storableText } from '../../core/text/storable.ts';
import type { NameOf } from '../../core/registry/mcp/offers.ts';
import type { BoundServer } from '../../core/registry/mcp/servers.ts';
import { inOrder, namedIn } from './names.ts';
import type { Listing } from './paged.ts';
import { letThrough, serversFor, type McpDeps, type Viewer } from './tools.ts';

const askedOf = <Kind extends OfferKind>(
  { project }: Viewer,
  { servers, kind }: { servers: readonly BoundServer[]; kind: Kind },
) => ({ projectId: project.id, serverIds: servers.map(({ id }) => id), kind });

/** The prompts of a project's servers, by their names there. No worker is asked. */
export async function listPrompts({ registry }: McpDeps, viewer: Viewer): Promise<Listed[]> {
  const servers = serversFor(viewer);
  const things = await registry.mcp.offers(askedOf(viewer, { servers, kind: 'prompt' }));
  const named = namedIn(viewer.project, { servers, things, isLetThrough: letThrough(viewer.project) });
  return inOrder(named).map(([name, { offer, state }]) => shownPrompt(offer, { name, state }));
}

/** What a prompt's name stands for; undefined where there is none for this actor. */
export async function promptNamed(
  { registry }: McpDeps,
  viewer: Viewer,
  name: string,
): Promise<{ server: BoundServer; prompt: string } | undefined> {
  const servers = serversFor(viewer);
  const things = await registry.mcp.offerNames(askedOf(viewer, { servers, kind: 'prompt' }));
  const named = namedIn(viewer.project, { servers, things, isLetThrough: letThrough(viewer.project) });
  const prompt = named.get(name);
  return prompt && { server: prompt.server, prompt: prompt.thing.name };
}

/**
 * Of each URI, or template of some, whose it is: of two servers that offer the same one the first that was bound has it, and has it
 * while it is not let through, too.
 */
function byUri<T extends NameOf>(servers: readonly BoundServer[], things: readonly T[]) {
  const owned = new Map<string, { server: BoundServer; thing: T }>();
  for (const server of servers)
    for (const thing of things)
      if (thing.serverId === server.id && !owned.has(thing.name)) owned.set(thing.name, { server, thing });
  return owned;
}

/**
 * The resources of a project's servers, or the templates of theirs. A URI is where something is, and stays as it is. Only what is shown is
 * read whole: of all servers they are many.
 */
export async function listResources(
  { registry }: McpDeps,
  viewer: Viewer,
  kind: 'resource' | 'template',
): Promise<Listing> {
  const servers = serversFor(viewer);
  const asked = askedOf(viewer, { servers, kind });
  const owned = byUri(servers, await registry.mcp.offerNames(asked));
  const keys = [...owned]
    .filter(([, one]) => letThrough(viewer.project)(one))
    .map(([uri]) => uri)
    .sort((a, b) => (a < b ? -1 : 1));
  return {
    keys,
    async show(names) {
      const offers = await registry.mcp.offers({ ...asked, names });
      const byName = new Map(
        offers
          .filter(({ name, serverId }) => owned.get(name)?.server.id === serverId)
          .map((one) => [one.name, one]),
      );
      return names.flatMap((name) => {
        const one = byName.get(name);
        return one ? [shownResource(one.offer, one.state)] : [];
      });
    },
  };
}

interface Asking {
  viewer: Viewer;
  servers: readonly BoundServer[];
}

/**
 * Of some servers of a project the one whose each URI is: the first that lists it, else the first with a template that makes it. One that is
 * nobody's, or that nobody has approved, is not among them. What a template makes is approved with it, whether it is listed besides or not.
 */
export async function serversOfUris(
  { registry }: McpDeps,
  { viewer, servers }: Asking,
  uris: readonly string[],
): Promise<ReadonlyMap<string, BoundServer>> {
  const isLet = letThrough(viewer.project);
  const asked = askedOf(viewer, { servers, kind: 'resource' });
  const listedOnes = await registry.mcp.offerNames({ ...asked, names: uris.map(storableText) });
  const resources = byUri(servers, listedOnes);
  const owners = new Map<string, BoundServer>();
  for (const uri of uris) {
    const resource = resources.get(uri);
    if (resource && isLet(resource)) owners.set(uri, resource.server);
  }
  if (uris.every((uri) => owners.has(uri))) return owners;
  const templates = await registry.mcp.offerNames(askedOf(viewer, { servers, kind: 'template' }));
  const approved = [...byUri(servers, templates)].filter(([, one]) => isLet(one));
  for (const uri of uris) {
    if (owners.has(uri)) continue;
    const resource = resources.get(uri);
    const made = approved.find(
      ([name, { server }]) =>
        (name === uri || isOfTemplate(name, uri)) && (!resource || server.id === resource.server.id),
    );
    if (made) owners.set(uri, made[1].server);
  }
  return owners;
}

/** As `serversOfUris`, of one; undefined: it is not there. */
export const serverOfUri = async (
  deps: McpDeps,
  asking: Asking,
  uri: string,
): Promise<BoundServer | undefined> => (await serversOfUris(deps, asking, [uri])).get(uri);
