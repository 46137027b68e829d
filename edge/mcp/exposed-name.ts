import { createHash } from 'node:crypto';

/** What every provider of models takes for the name of a tool, with what clients put before it. */
const MOST = 64;
/** However long the project's name is, so much is left of what a tool is called. */
const LEAST = 24;
const TAIL = 6;

/**
 * What a project's tool is called to its clients: `alias__tool`, other characters than `A-Z a-z 0-9 _ -` being `_`. One that is
 * too long for what Claude Code puts before it is cut, and told apart by a hash. It is looked up and never taken apart.
 */
export function exposedName({
  project,
  alias,
  tool,
}: {
  project: string;
  alias: string;
  tool: string;
}): string {
  const name = `${alias}__${tool}`.replace(/[^A-Za-z0-9_-]/g, '_');
  const most = Math.max(LEAST, MOST - `mcp__${project}__`.length);
  if (name.length <= most) return name;
  const tail = createHash('sha256').update(`${alias}\n${tool}`).digest('hex').slice(0, TAIL);
  return `${name.slice(0, most - TAIL - 1)}_${tail}`;
}
