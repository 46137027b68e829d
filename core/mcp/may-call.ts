import { can, type Actor } from '../access.ts';
import { McpctlError } from '../errors.ts';

/**
 * Whether an actor may call a project's server: it is theirs, or they are granted it; or they are granted the project, and
 * its owner has lent it one of theirs.
 */
export function mayCall(
  actor: Actor,
  {
    project,
    server,
  }: { project: { name: string; ownerId: string }; server: { name: string; ownerId: string } },
): boolean {
  if (can(actor, 'run', { resource: 'server', target: server })) return true;
  return server.ownerId === project.ownerId && can(actor, 'run', { resource: 'project', target: project });
}

/** Also of one that an actor may not call, or see. */
export const noServer = (name: string): McpctlError =>
  new McpctlError('server_not_found', `There is no MCP server named '${name}'. See "mcpctl get server".`);
