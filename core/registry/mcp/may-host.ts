import { can, type Actor, type Target } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import type { Source } from '../../mcp/hosted/source.ts';
import type { Guarded } from '../../resources/define.ts';
import { server } from '../../resources/mcp/server.ts';
import { secret } from '../../resources/people/secret.ts';

/** Everyone may keep a name for a server of their own machine; that the operator's machines run or dial one is granted. */
const hosted: Guarded = { word: server.word, may: {}, isPrivate: true, reachedBy: [] };

/**
 * What runs on the machine of hosted workers can read what these can: the keys of all secrets, their settings. So a server that is a
 * process, of whatever source, is for who may use and change every secret anyhow (decision 0070). One that is dialled is held to
 * addresses as public llms are.
 * @throws McpctlError `forbidden`
 */
export function needMayHost(actor: Actor, { source, target }: { source: Source; target: Target }): void {
  if (!can(actor, 'create', { resource: hosted, target }))
    throw new McpctlError(
      'forbidden',
      'To have a hosted worker run or dial an MCP server takes create of servers, which your token is not granted. On your own machine: "mcplocal mcp add".',
    );
  if ('url' in source) return;
  if ((['run', 'edit'] as const).every((verb) => can(actor, verb, { resource: secret }))) return;
  throw new McpctlError(
    'forbidden',
    'To have a hosted worker run a program takes run and edit of every secret, as that program can reach what the worker can. On your own machine: "mcplocal mcp add".',
  );
}
