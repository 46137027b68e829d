import { McpctlError } from '../../../core/errors.ts';
import type { Client } from '../../net/client.ts';
import type { SeenThread } from '../../net/turns.ts';
import { uuidSchema } from '../../../core/names.ts';

/** How many threads the beginning of an id is looked for in. */
const MOST = 200;

/** The thread that is meant; null: a new one. @throws McpctlError `thread_not_found`, `usage`. */
export async function threadMeant(
  client: Client,
  { agent, thread, continue: goesOn }: { agent: string; thread?: string | undefined; continue: boolean },
): Promise<SeenThread | null> {
  if (goesOn) return (await client.turns.threads(agent, 1))[0] ?? null;
  if (thread === undefined) return null;
  if (uuidSchema.safeParse(thread).success) return await client.turns.thread(thread);
  const begins = thread.toLowerCase();
  const threads = (await client.turns.threads(agent, MOST)).filter(({ id }) => id.startsWith(begins));
  const [only, ...others] = threads;
  if (only && others.length === 0) return only;
  if (!only)
    throw new McpctlError(
      'thread_not_found',
      `None of your newest threads with ${agent} begins with "${thread}". See: mcpctl get thread.`,
    );
  throw new McpctlError('usage', `${threads.length} threads begin with "${thread}"; say more of the id.`);
}
