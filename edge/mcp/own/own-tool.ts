import type { McpProject } from '../../../core/registry/mcp/servers.ts';
import type { Asked, McpEdge } from '../asked.ts';
import type { OwnListed } from '../tools.ts';

/** A tool of the gateway itself: no server has it, and its call is no task. */
export interface OwnTool extends OwnListed {
  /** As clients know it. A server's tool that would be called so in a project that has this is not there. */
  name: string;
  isIn(project: McpProject): boolean;
  /** @returns its result. @throws McpctlError what no model can act on. */
  call(deps: McpEdge, asked: Asked, given: unknown): Promise<object>;
}
