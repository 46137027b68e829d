import { createHash } from 'node:crypto';
import { aliasOf } from '../../core/mcp/bindings.ts';
import type { BoundServer, McpProject } from '../../core/registry/mcp/servers.ts';

/** More would flood a model, and clients drop them. */
const MOST_SHOWN = 128;

/** What a server has, by its name there. */
export interface Thing {
  serverId: string;
  name: string;
}

export interface Named<T extends Thing> {
  server: BoundServer;
  thing: T;
}

/**
 * What the things of a project's servers are called there: one answer for lists and for calls. Of two that would be called alike
 * the one that was there first has the name, and has it while it is not let through, too: what a name means never changes.
 */
export const namedIn = <T extends Thing>(
  project: Pick<McpProject, 'name' | 'prefix'>,
  asked: Asked<T>,
): Map<string, Named<T>> => nameAll(project, asked).byName;

interface Asked<T extends Thing> {
  servers: readonly BoundServer[];
  things: readonly T[];
  isLetThrough?: (named: Named<T>) => boolean;
}

/** With those besides whose name was another's before. */
export function nameAll<T extends Thing>(
  { name: projectName, prefix }: Pick<McpProject, 'name' | 'prefix'>,
  { servers, things, isLetThrough = () => true }: Asked<T>,
): { byName: Map<string, Named<T>>; late: T[] } {
  const taken = new Set<string>();
  const late: T[] = [];
  const byName = new Map<string, Named<T>>();
  for (const server of servers) {
    const alias = prefix === 'never' ? null : aliasOf(server);
    for (const thing of things) {
      if (thing.serverId !== server.id) continue;
      const name = exposedName({ project: projectName, alias, name: thing.name });
      if (taken.has(name)) late.push(thing);
      else if (byName.size < MOST_SHOWN && isLetThrough({ server, thing }))
        byName.set(name, { server, thing });
      taken.add(name);
    }
  }
  return { byName, late };
}

/** In the order of their names, whatever was there first: the same list is the same bytes. */
export const inOrder = <T extends Thing>(named: ReadonlyMap<string, Named<T>>): [string, T][] =>
  [...named].map(([name, { thing }]): [string, T] => [name, thing]).sort(([a], [b]) => (a < b ? -1 : 1));

/** What every provider of models takes for the name of a tool, with what clients put before it. */
const MOST = 64;
/** However long the project's name is, so much is left of what a tool is called. */
const LEAST = 24;
const TAIL = 6;

/**
 * What a project's tool is called to its clients: `alias__tool`, other characters than `A-Z a-z 0-9 _ -` being `_`. One that is
 * too long for what Claude Code puts before it is cut, and told apart by a hash. It is looked up and never taken apart.
 * @param alias null: its server's names stand as they are.
 */
export function exposedName({
  project,
  alias,
  name,
}: {
  project: string;
  alias: string | null;
  name: string;
}): string {
  const whole = (alias === null ? name : `${alias}__${name}`).replace(/[^A-Za-z0-9_-]/g, '_');
  const most = Math.max(LEAST, MOST - `mcp__${project}__`.length);
  if (whole.length <= most) return whole;
  const tail = createHash('sha256')
    .update(`${alias ?? ''}\n${name}`)
    .digest('hex')
    .slice(0, TAIL);
  return `${whole.slice(0, most - TAIL - 1)}_${tail}`;
}
