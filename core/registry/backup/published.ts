import { MCP_TYPE } from '../../mcp/names.ts';

/** What says of a row that a worker publishes it: such a row comes with its worker again, and a copy of it would be in its way. */
export const publishedIn: Readonly<Record<string, string>> = {
  agent: 'select 1 from agent_publishers p where p.agent_id = agents.id',
  // The member of a hosted MCP server comes with that.
  llm: `select 1 where llms.kind = 'virtual' or llms.type = '${MCP_TYPE}'`,
  prompt: 'select 1 from published_prompts p where p.prompt_id = prompts.id',
};
