import { sessionUsageSchema } from '../../core/operator/usage.ts';
import { McpctlError } from '../../core/errors.ts';
import { columns } from '../local/columns.ts';
import { readOwnCredentials } from '../sources/credentials.ts';
import { readSession } from '../registration/session-file.ts';
import type { Face } from './face.ts';
import { callServer, understood } from './server-calls.ts';

const MOST_HOURS = 168;

/** Who had tasks run on this machine, and how much. @throws McpctlError `usage`, `worker_not_found`, `server_unreachable`. */
export async function showUsage(face: Face, asked: string | undefined): Promise<void> {
  const hours = Number(asked ?? 24);
  if (!Number.isInteger(hours) || hours < 1 || hours > MOST_HOURS)
    throw new McpctlError('usage', `--hours ${asked ?? ''}: write a number from 1 to ${String(MOST_HOURS)}.`);
  const { credentials } = await readOwnCredentials(face.home);
  const session = readSession(face.home.session);
  if (!credentials || session === null)
    throw new McpctlError('usage', 'This machine has served nothing yet: mcplocal join, then mcplocal run.');
  const path = `/api/v1/sessions/${session}/usage?hours=${String(hours)}`;
  const server = credentials.mcpdUrl.replace(/\/+$/, '');
  const { json } = await callServer(face.network(), server, {
    method: 'GET',
    path,
    token: credentials.token,
  });
  const { items } = understood(sessionUsageSchema, json);
  const rows = columns([
    ['USER', 'TASKS', 'TOKENS', 'MINUTES'],
    ...items.map(({ user, tasks, tokens, minutes }) => [
      user,
      String(tasks),
      String(tokens),
      minutes.toFixed(1),
    ]),
  ]);
  if (items.length === 0) face.say(`Nobody used this machine in the last ${String(hours)} hours.`);
  else for (const row of rows) face.say(row);
  face.answer({ hours, items });
}
