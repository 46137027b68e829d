import { z } from 'zod';

/** The name of an MCP server, and the alias under which a project has it. */
export const serverNameSchema = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$/,
    'a name of a server is 1 to 48 of a-z 0-9 - and begins and ends with a letter or digit',
  );

/** Where a server's calls wait: the pool that its worker is the member of. Llms and servers share one space of names. */
const POOL = 'mcp.';
export const poolOfServer = (name: string): string => `${POOL}${name}`;

/** Of which server a pool is; null: of none. */
export const serverOfPool = (poolKey: string): string | null =>
  poolKey.startsWith(POOL) ? poolKey.slice(POOL.length) : null;

/** The type of its member's row among the llms. */
export const MCP_TYPE = 'mcp';
