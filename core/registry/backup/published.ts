/** What says of a row that a worker publishes it: such a row comes with its worker again, and a copy of it would be in its way. */
export const publishedIn: Readonly<Record<string, string>> = {
  agent: 'select 1 from agent_publishers p where p.agent_id = agents.id',
  prompt: 'select 1 from published_prompts p where p.prompt_id = prompts.id',
};
