import type { Knex } from 'knex';
import { McpctlError } from '../../../errors.ts';
import { storableJsonText } from '../../../text/storable.ts';
import type { RegistryLimits } from '../../names/limits.ts';

/** A message that a thread begins with, made elsewhere. */
export interface ImportedMessage {
  role: 'user' | 'assistant' | 'tool';
  content: string;
  parts: string | null;
  toolCalls: readonly { id: string; name: string; arguments: string }[] | null;
  toolCallId: string | null;
}

interface WeighedMessage extends ImportedMessage {
  /** What it weighs in its thread. */
  bytes: number;
}

interface ImportedTurn {
  n: number;
  /** Else later turns are not told of it. */
  isAnswered: boolean;
  messages: readonly WeighedMessage[];
  bytes: number;
}

/** What one statement carries at most, but for a turn that has more alone: between two of them others have the event loop. */
const [MOST_MESSAGES, MOST_BYTES] = [500, 262_144];

/**
 * What becomes of messages, one turn for each answer and one for what is not answered, in the batches that they are kept in.
 * @internal
 */
export function* importBatches(messages: readonly WeighedMessage[]): Generator<ImportedTurn[]> {
  let [batch, count, bytes]: [ImportedTurn[], number, number] = [[], 0, 0];
  let n = 0;
  for (const turn of turnsOf(messages)) {
    const turnBytes = together(turn);
    if (batch.length > 0 && (count + turn.length > MOST_MESSAGES || bytes + turnBytes > MOST_BYTES)) {
      yield batch;
      [batch, count, bytes] = [[], 0, 0];
    }
    n += 1;
    batch.push({ n, isAnswered: turn.at(-1)?.role === 'assistant', messages: turn, bytes: turnBytes });
    count += turn.length;
    bytes += turnBytes;
  }
  if (batch.length > 0) yield batch;
}

function* turnsOf(messages: readonly WeighedMessage[]): Generator<WeighedMessage[]> {
  let turn: WeighedMessage[] = [];
  for (const message of messages) {
    turn.push(message);
    if (message.role !== 'assistant') continue;
    yield turn;
    turn = [];
  }
  if (turn.length > 0) yield turn;
}

const together = (messages: readonly WeighedMessage[]): number =>
  messages.reduce((sum, { bytes }) => sum + bytes, 0);

const bytesOf = ({ parts, content, toolCalls }: ImportedMessage): number =>
  Buffer.byteLength(parts ?? content) + (toolCalls ? Buffer.byteLength(JSON.stringify(toolCalls)) : 0);

/** One text for any number of rows: what a builder makes of thousands of values takes ten times as long. */
const batchSql = `
  with turns as (
    insert into chat_turns (id, thread_id, n, owner_id, status, in_context, request_hash, ended_at, body_dropped)
      select gen_random_uuid(), :threadId, n, :ownerId, case when answered then 'completed' else 'cancelled' end, answered, '', now(), true
      from json_to_recordset(cast(:turns as json)) as said (n int, answered boolean)
    returning id, n
  )
  insert into chat_messages (id, thread_id, turn_id, turn_index, role, status, content, parts, tool_calls, tool_call_id, bytes)
    select gen_random_uuid(), :threadId, turns.id, said.turn_index, said.role, 'complete', said.content, said.parts, said.tool_calls,
      said.tool_call_id, said.bytes
    from json_to_recordset(cast(:messages as json)) as said (n int, turn_index int, role text, content text, parts jsonb, tool_calls jsonb,
      tool_call_id text, bytes int) join turns on turns.n = said.n`;

/** What a thread begins with, weighed: each message, and all of them together. */
interface WeighedMessages {
  messages: readonly WeighedMessage[];
  bytes: number;
}

/** @throws McpctlError `thread_full`: what was said elsewhere has the room of what is said here. */
export function needRoomFor(
  imported: readonly ImportedMessage[],
  { maxThreadMessages, maxThreadBytes }: Pick<RegistryLimits, 'maxThreadMessages' | 'maxThreadBytes'>,
): WeighedMessages {
  const messages = imported.map((message) => ({ ...message, bytes: bytesOf(message) }));
  const bytes = together(messages);
  if (messages.length > maxThreadMessages)
    throw new McpctlError(
      'thread_full',
      `The thread would have ${messages.length} messages, and at most ${maxThreadMessages} (MCPCTL_MAX_THREAD_MESSAGES). Leave out the oldest.`,
    );
  if (bytes > maxThreadBytes)
    throw new McpctlError(
      'thread_full',
      `The thread would hold ${bytes} bytes, and at most ${maxThreadBytes} (MCPCTL_MAX_THREAD_BYTES). Leave out the oldest.`,
    );
  return { messages, bytes };
}

/** Into a thread that was just made. */
export async function importMessages(
  trx: Knex.Transaction,
  { id: threadId, ownerId }: { id: string; ownerId: string },
  { messages, bytes: weighedBytes }: WeighedMessages,
): Promise<void> {
  let [turns, turnIndex] = [0, 0];
  for (const batch of importBatches(messages)) {
    const rows = batch.flatMap(({ n, messages: itsMessages }) =>
      itsMessages.map((message) => ({
        ...{ n, turn_index: turnIndex++, role: message.role, content: message.content },
        parts: message.parts === null ? null : (JSON.parse(message.parts) as unknown),
        ...{ tool_calls: message.toolCalls, tool_call_id: message.toolCallId, bytes: message.bytes },
      })),
    );
    await trx.raw(batchSql, {
      ...{ threadId, ownerId, messages: storableJsonText(rows) },
      turns: JSON.stringify(batch.map(({ n, isAnswered }) => ({ n, answered: isAnswered }))),
    });
    turns += batch.length;
  }
  await trx('chatThreads')
    .where({ id: threadId })
    .update({ nextTurn: turns + 1, nextMessage: turnIndex, weighedTo: turnIndex, weighedBytes });
}
