import type { Knex } from 'knex';
import { z } from 'zod';
import { toolCallSchema } from '../../agent/assemble.ts';
import { CUT_BELOW, type Budget } from '../../agent/budget.ts';
import type { KeptMessage } from '../../agent/history.ts';
import { McpctlError } from '../../errors.ts';
import { orNothing } from '../../newer-words.ts';
import type { Connection } from '../database/connect.ts';
import { unended } from './rows.ts';

/** What a turn is composed from, but for what was said. */
export interface ThreadContext {
  revision: number;
  /** The number that the next turn will have. */
  nextTurn: number;
  /** False while a turn is answered: what it says is not there yet, and its end moves no revision on. */
  isSettled: boolean;
  /** The first turn that requests tell of, and how many before it are left out. */
  from: number;
  leftOut: number;
  measured: Budget['measured'];
  /** How many tokens its backend has read of the last prompt, where it has cut it silently. */
  cutAt: number | null;
}

/** A message as a request is composed of it, of the turn `n`. */
export interface ContextMessage extends KeptMessage {
  n: number;
}

/** What was said before a turn, as far as there is room for it. */
export interface History {
  messages: ContextMessage[];
  /** False: it is more than there is room for, and what is older was not read. */
  isAll: boolean;
}

/** What is read of a thread. */
interface Reading {
  threadId: string;
  /** The first turn that is wanted, and the one behind the last. */
  from: number;
  to: number;
  /** One that is to be told of no more. */
  without?: string | undefined;
  /** One that goes on: what was thought before it called tools is told with it. */
  open?: number | undefined;
  /** Bytes that there is room for; null: all of it. */
  room: number | null;
}

export interface ThreadContexts {
  /** @throws McpctlError `thread_not_found`. */
  context(id: string, ownerId: string): Promise<ThreadContext>;
  /** What later turns are told of: the newest, page by page, until it is more than there is room for. */
  history(reading: Reading): Promise<History>;
  /** How many turns before that one later ones would be told of. */
  toldBefore(threadId: string, n: number): Promise<number>;
}

const contextSchema = z.object({
  revision: z.number(),
  nextTurn: z.number(),
  isSettled: z.boolean(),
  from: z.number(),
  leftOut: z.number(),
  promptTokens: z.coerce.number().nullable(),
  promptBytes: z.coerce.number().nullable(),
  cutAt: z.coerce.number().nullable(),
});

/** The last answer whose prompt was measured is among so many messages, or is of long ago. */
const MEASURED_WITHIN = 64;

/** SQL: the backend has read so much less than it was sent that it must have left some out: that says nothing of how long tokens are. */
const isCut = `coalesce((usage ->> 'promptTokens')::float8 < ${CUT_BELOW} * (made ->> 'expected')::float8, false)`;
const answers = `chat_messages where thread_id = t.id and turn_index >= t.next_message - ${MEASURED_WITHIN} and role = 'assistant'
  and status = 'complete' and (usage ->> 'promptTokens')::float8 > 0`;

const contextSql = `
  select t.revision, t.next_turn, t.context_from as "from", t.left_out, m.prompt_tokens, k.request_bytes as prompt_bytes, c.cut_at,
    not exists (select 1 from (${unended('t.id', 'status')}) u where status = 'running') as is_settled
  from chat_threads t
  left join lateral (select usage ->> 'promptTokens' as prompt_tokens, task_id from ${answers} and not ${isCut}
    order by turn_index desc limit 1) m on true
  left join lateral (select case when ${isCut} then usage ->> 'promptTokens' end as cut_at from ${answers}
    order by turn_index desc limit 1) c on true
  left join tasks k on k.id = m.task_id
  where t.id = :id and t.owner_id = :ownerId`;

async function contextOf(db: Knex, id: string, ownerId: string): Promise<ThreadContext> {
  const { rows } = await db.raw<{ rows: unknown[] }>(contextSql, { id, ownerId });
  if (rows.length === 0) throw new McpctlError('thread_not_found');
  const { promptTokens, promptBytes, ...context } = contextSchema.parse(rows[0]);
  const isMeasured = promptTokens !== null && promptBytes !== null;
  return { ...context, measured: isMeasured ? { promptTokens, promptBytes } : null };
}

/** Turns of a page: the first is small, as most rooms are; none is larger than what is read without keeping others waiting. */
const [FIRST_PAGE, LARGEST_PAGE] = [64, 1_000];

/** SQL: what was thought before a message goes back to the model, by the `extras` of the agent. */
const isTold = `case (select thoughts from told) when 'always' then true when 'never' then false
  else page.n = cast(:open as int) and m.tool_calls is not null end`;

/**
 * A page as one JSON text: a row for each of thousands of messages would cost more to take apart than all that follows. What most
 * messages do not have is left out of theirs; they are put together as texts, from what is in order already: as values of JSON, sorted
 * in the aggregate, it takes thrice as long. Turn by turn, whatever Postgres knows of the tables: of a thread that was just imported it
 * knows nothing, and would go through all of it for each turn.
 */
const pageSql = `
  with page as (
    select id, n from chat_turns where thread_id = :threadId and n >= :from and n < :before
      and (in_context or n = cast(:open as int))
      and id is distinct from cast(:without as uuid)
    order by n desc limit :turns
  ), told as (
    select coalesce(a.extras ->> 'reasoning', 'loop') as thoughts
      from chat_threads t join agents a on a.id = t.agent_id where t.id = :threadId
  )
  select (select count(*)::int from page) as turns, (select min(n) from page) as first,
    (select '[' || coalesce(string_agg(case
        when parts is null and tool_calls is null and tool_call_id is null and thought is null
          then '[' || n || ',"' || role || '",' || to_json(content) || ']'
        else json_build_array(n, role, content, parts::text, tool_calls, tool_call_id,
          thought, case when thought is not null then reasoning_field end)::text end, ','), '') || ']'
      from (select page.n, m.*, case when ${isTold} then m.reasoning end as thought from page cross join lateral (select * from chat_messages where turn_id = page.id order by turn_index) m
        order by page.n, m.turn_index) ordered) as texts`;

const pageSchema = z.object({ turns: z.number(), first: z.number().nullable(), texts: z.string() });
const text = z.string().nullable();
const head = [z.number(), z.enum(['user', 'assistant', 'tool']).catch('user'), z.string()] as const;
const messagesSchema = z.array(
  z.union([
    z.tuple([...head]),
    z.tuple([...head, text, orNothing(z.array(toolCallSchema)), text, text, text]),
  ]),
);

function messageOf([
  n,
  role,
  content,
  parts = null,
  toolCalls = null,
  toolCallId = null,
  thought = null,
  field = null,
]: z.infer<typeof messagesSchema>[number]): ContextMessage {
  const message = { n, role, content, parts, toolCalls, toolCallId };
  return thought === null || field === null ? message : { ...message, thought: { field, text: thought } };
}

/** What stands around the content of a message at least, as it is sent. */
const AROUND = '{"role":"user","content":""}'.length;

/** As it is sent it is no less. */
const bytesOf = (messages: readonly ContextMessage[]): number =>
  messages.reduce(
    (sum, { parts, content, thought }) =>
      sum + Buffer.byteLength(parts ?? content) + Buffer.byteLength(thought?.text ?? '') + AROUND,
    0,
  );

/** How many turns are read next: as many as the room that is left takes, if they are like those before. */
function nextPage({ left, bytes, turns }: { left: number; bytes: number; turns: number }): number {
  const each = Math.max(1, bytes / Math.max(1, turns));
  return Math.min(LARGEST_PAGE, Math.max(FIRST_PAGE, Math.ceil(left / each)));
}

type Page = z.infer<typeof pageSchema> & { messages: ContextMessage[] };

async function pageOf(
  db: Knex,
  { threadId, without, open }: Pick<Reading, 'threadId' | 'without' | 'open'>,
  { from, before, turns }: { from: number; before: number; turns: number },
): Promise<Page> {
  const bindings = { threadId, from, before, turns, without: without ?? null, open: open ?? null };
  const { rows } = await db.raw<{ rows: unknown[] }>(pageSql, bindings);
  const page = pageSchema.parse(rows[0]);
  return { ...page, messages: messagesSchema.parse(JSON.parse(page.texts)).map(messageOf) };
}

/** All of a thread: where its pages are is known, so that two are read at a time. */
async function wholeOf(db: Knex, { from, to, ...of }: Reading): Promise<ContextMessage[]> {
  const starts: number[] = [];
  for (let start = from; start < to; start += LARGEST_PAGE) starts.push(start);
  const pages: ContextMessage[][] = starts.map(() => []);
  const left = [...starts.entries()];
  const lane = async (): Promise<void> => {
    for (let next = left.shift(); next; next = left.shift()) {
      const [at, start] = next;
      const before = Math.min(to, start + LARGEST_PAGE);
      pages[at] = (await pageOf(db, of, { from: start, before, turns: LARGEST_PAGE })).messages;
    }
  };
  await Promise.all([lane(), lane()]);
  return pages.flat();
}

async function historyOf(db: Knex, reading: Reading): Promise<History> {
  const { from, to, room, ...of } = reading;
  if (room === null) return { messages: await wholeOf(db, reading), isAll: true };
  const pages: ContextMessage[][] = [];
  let [bytes, read, before, turns] = [0, 0, to, FIRST_PAGE];
  for (;;) {
    const page = await pageOf(db, of, { from, before, turns });
    pages.unshift(page.messages);
    bytes += bytesOf(page.messages);
    read += page.turns;
    const { first } = page;
    const isAll = page.turns < turns || first === null;
    if (isAll || bytes > room) return { messages: pages.flat(), isAll };
    before = first;
    turns = nextPage({ left: room - bytes, bytes, turns: read });
  }
}

/** What a turn is told of: a thread is read from its end, and no further than its members have room. */
export const createThreadContexts = ({ db }: Connection): ThreadContexts => ({
  context: (id, ownerId) => contextOf(db, id, ownerId),
  history: (reading) => historyOf(db, reading),
  async toldBefore(threadId, n) {
    const { rows } = await db.raw<{ rows: { count: number }[] }>(
      'select count(*)::int as count from chat_turns where thread_id = :threadId and in_context and n < :n',
      { threadId, n },
    );
    return rows[0]?.count ?? 0;
  },
});
