import { McpctlError } from '../../core/errors.ts';
import type { Placed } from './placed.ts';

/** What a project is called in files, and what it is to be called. */
export interface Rename {
  from: string;
  to: string;
}

/** `a=b` @throws McpctlError `usage` */
export function renameOf(text: string): Rename {
  const [, from, to] = /^([a-z0-9][a-z0-9._-]{0,62})=([a-z0-9][a-z0-9._-]{0,62})$/.exec(text) ?? [];
  if (from !== undefined && to !== undefined && from !== to) return { from, to };
  throw new McpctlError('usage', '--rename is written like --rename old=new, with two names of projects.');
}

/** An agent's name is one in all: its copy gets the new project's in front, in place of the old one's. */
const nameUnder = (name: string, { from, to }: Rename): string =>
  `${to}-${name.startsWith(`${from}-`) ? name.slice(from.length + 1) : name}`;

/**
 * Documents of one project as documents of another: the project itself, what refers to it, and its agents, which get
 * names of their own, with all that refers to those.
 * @returns them, and what is called otherwise, in a line each.
 */
export function renamed(
  placed: readonly Placed[],
  rename: Rename,
): { placed: Placed[]; sentences: string[] } {
  const { from, to } = rename;
  const agents = new Map(
    placed.flatMap(({ fields: { resource, name, project } }): [string, string][] =>
      resource === 'agent' && project === from && typeof name === 'string'
        ? [[name, nameUnder(name, rename)]]
        : [],
    ),
  );
  const agentOf = (name: unknown): unknown => (typeof name === 'string' ? (agents.get(name) ?? name) : name);
  const changed = ({ resource, ...fields }: Record<string, unknown>): Record<string, unknown> => ({
    resource,
    ...fields,
    ...(resource === 'project' && fields['name'] === from && { name: to }),
    ...(resource === 'agent' && fields['project'] === from && { name: agentOf(fields['name']) }),
    ...(resource !== 'project' && fields['project'] === from && { project: to }),
    ...('agent' in fields && { agent: agentOf(fields['agent']) }),
  });
  const sentences = [
    `project/${from} is project/${to}`,
    ...[...agents].map(([old, now]) => `agent/${old} is agent/${now}`),
  ];
  return { placed: placed.map((one) => ({ ...one, fields: changed(one.fields) })), sentences };
}
