import type { McpProject } from '../../../core/registry/mcp/servers.ts';
import { beginSession } from './begin-session.ts';
import type { OwnTool } from './own-tool.ts';
import { readPage } from './read-page.ts';
import { readPrompts } from './read-prompts.ts';

const ownTools: readonly OwnTool[] = [beginSession, readPrompts, readPage];

/** The gateway's own tools that a project has, by their names. */
export const ownToolsOf = (project: McpProject): ReadonlyMap<string, OwnTool> =>
  new Map(ownTools.filter((tool) => tool.isIn(project)).map((tool) => [tool.name, tool]));
