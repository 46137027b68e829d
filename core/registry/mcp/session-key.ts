import type { Knex } from 'knex';
import { McpctlError } from '../../errors.ts';

/** Each message of a session asks for it, and it changes where an operator takes it out, which ends all sessions. */
const BELIEVED_MS = 1_000;

/** What session ids are signed with, as it was read last. What could not be read is asked for again. */
export function believedSessionKey(db: Knex): () => Promise<string> {
  let reading: Promise<string> | undefined;
  let readAt = -Infinity;
  return () => {
    if (reading && performance.now() - readAt < BELIEVED_MS) return reading;
    readAt = performance.now();
    const asked = (reading = sessionKey(db));
    asked.catch(() => {
      if (reading === asked) reading = undefined;
    });
    return asked;
  };
}

/** Made with the first session. */
async function sessionKey(db: Knex): Promise<string> {
  const read = () => db('mcpSessionKeys').first<{ key: string } | undefined>('key');
  const row = await read();
  if (row) return row.key;
  await db.raw('insert into mcp_session_keys default values on conflict do nothing');
  const made = await read();
  if (!made) throw new McpctlError('internal');
  return made.key;
}
