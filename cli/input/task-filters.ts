/** Which tasks, where nothing else than tasks is meant. */
export const taskFilters: readonly (readonly [flags: string, about: string])[] = [
  ['--owner <user>', 'that this user asked for'],
  ['--member <llm>', 'that ended with this llm'],
  ['--session <id>', 'that ended with this session of a worker'],
  ['--source <door>', 'that came by infer, v1, async, agent, batch or mcp'],
  ['--code <code>', 'that ended with this error'],
  ['--id-prefix <id>', 'whose id begins so'],
];

/** And with those that go with other things, too, by the names of the API's parameters. */
export const filtersOfTasks: readonly string[] = [
  ...['status', 'pool', 'llm', 'since', 'until'],
  ...['owner', 'member', 'session', 'source', 'code', 'idPrefix'],
];

/** Of tasks and of events alike. */
export const whenFilters: readonly (readonly [flags: string, about: string])[] = [
  ['--since <instant>', 'from 2026-11-29T12:00:00Z on'],
  ['--until <instant>', 'before this instant'],
];
