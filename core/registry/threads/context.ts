import type { Knex } from 'knex';
import { z } from 'zod';
import { toolCallSchema } from '../../agent/assemble.ts';
import { CUT_BELOW, type Budget } from '../../agent/budget.ts';
import { isReady, type KeptMessage, type ReadyMessage } from '../../agent/history.ts';
import { McpctlError } from '../../errors.ts';
import { orNothing } from '../../newer-words.ts';
import type { Connection } from '../database/connect.ts';
import { unended } from './rows.ts';

/** What a turn is composed from, but for what was said. */
export interface ThreadContext {
  revision: number;
  /** The number that the next turn will have. */
  nextTurn: number;
  /** The index that its next message will have. */
  nextMessage: number;
  /** False while a turn is answered: what it says is not there yet, and its end moves no revision on. */
  isSettled: boolean;
  /** The first turn that requests tell of, and how many before it are left out. */
  from: number;
  leftOut: number;
  measured: Budget['measured'];
  /** How many tokens its backend has read of the last prompt, where it has cut it silently. */
  cutAt: number | null;
}

/** Of a thread that is yet to begin. */
export const nothingSaid: ThreadContext = {
  ...{ revision: 1, nextTurn: 1, nextMessage: 0, isSettled: true },
  ...{ from: 1, leftOut: 0, measured: null, cutAt: null },
};

/** A message as a request is composed of it, of the turn `n`. */
export type ContextMessage = (KeptMessage | ReadyMessage) & { n: number };

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
  /** Behind the index of its last message. */
  end: number;
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
  nextMessage: z.number(),
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
  select t.revision, t.next_turn, t.next_message, t.context_from as "from", t.left_out, m.prompt_tokens, k.request_bytes as prompt_bytes, c.cut_at,
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

/** Messages of a page: the first is small, as most rooms are; none is larger than what is read without keeping others waiting. */
const [FIRST_PAGE, LARGEST_PAGE] = [128, 3_000];

/** SQL: what was thought before a message goes back to the model, by the `extras` of the agent. */
const isTold = `case (select thoughts from told) when 'always' then true when 'never' then false
  else m.n = cast(:open as int) and m.tool_calls is not null end`;

/**
 * A page of messages as one text, a line each: a row for each of thousands would cost more to take apart than all that follows. One of
 * words alone is on its line as it is sent, as JSON and in the bytes of `JSON.stringify`: nobody takes it apart. Messages are read by
 * their index, which the thread has them by, and each asks for its turn by that one's id: whatever Postgres knows of the tables, and
 * of a thread that was just imported it knows nothing, it goes through no turn twice. Where it is aligned, it begins with
 * the first message of the turn that has the one at its beginning. `offset 0` keeps Postgres from asking for a turn anew wherever its number is used.
 */
const pageSql = `
  with told as (
    select coalesce(a.extras ->> 'reasoning', 'loop') as thoughts
      from chat_threads t join agents a on a.id = t.agent_id where t.id = :threadId
  ), first as (
    select q.n, (select min(turn_index) from chat_messages where turn_id = q.id) as "index"
      from chat_messages m join chat_turns q on q.id = m.turn_id
      where m.thread_id = :threadId and m.turn_index = cast(:begin as int) and :isAligned
  )
  select (select n from first) as first, coalesce((select "index" from first), cast(:begin as int)) as begin,
    (select string_agg(case
        when parts is null and tool_calls is null and tool_call_id is null and thought is null
            and (role = 'user' or role = 'assistant' and content <> '')
          then n || ':' || octet_length(content) || '{"role":"' || role || '","content":' || to_json(content) || '}'
        else n || json_build_array(role, content, parts::text, tool_calls, tool_call_id,
          thought, case when thought is not null then reasoning_field end)::text end, E'\\n')
      from (select m.*, case when ${isTold} then m.reasoning end as thought from (
          select m.*, (select q.n from chat_turns q where q.id = m.turn_id and q.n >= :from and q.n < :to
              and (q.in_context or q.n = cast(:open as int)) and q.id is distinct from cast(:without as uuid)) as n
            from chat_messages m where m.thread_id = :threadId
              and m.turn_index >= coalesce((select "index" from first), cast(:begin as int)) and m.turn_index < :end
            order by m.turn_index offset 0) m where m.n is not null) ordered) as texts`;

const pageSchema = z.object({
  first: z.number().nullable(),
  begin: z.number(),
  texts: z.string().nullable(),
});
const text = z.string().nullable();
const oddSchema = z.tuple([
  z.enum(['user', 'assistant', 'tool']).catch('user'),
  ...[z.string(), text, orNothing(z.array(toolCallSchema)), text, text, text],
] as const);

function messageOf(line: string): ContextMessage {
  const n = Number.parseInt(line, 10);
  const at = line.indexOf('{');
  const colon = line.indexOf(':');
  // Of an odd one the digits end where its list begins.
  if (line.charCodeAt(String(n).length) === COLON)
    return {
      n,
      role: line.startsWith('user', at + ROLE_AT) ? 'user' : 'assistant',
      text: line.slice(at),
      contentBytes: Number.parseInt(line.slice(colon + 1, at), 10),
    };
  const [role, content, parts, toolCalls, toolCallId, thought, field] = oddSchema.parse(
    JSON.parse(line.slice(line.indexOf('['))),
  );
  const message = { n, role, content, parts, toolCalls, toolCallId };
  return thought === null || field === null ? message : { ...message, thought: { field, text: thought } };
}

const COLON = ':'.charCodeAt(0);
const ROLE_AT = '{"role":"'.length;

/** What stands around the content of a message at least, as it is sent. */
const AROUND = '{"role":"user","content":""}'.length;

/** As it is sent it is no less; answers may be sent as one, or not at all. */
function leastBytes(message: ContextMessage): number {
  const around = message.role === 'user' ? AROUND : 0;
  if (isReady(message)) return message.contentBytes + around;
  const { parts, content, thought } = message;
  return Buffer.byteLength(parts ?? content) + Buffer.byteLength(thought?.text ?? '') + around;
}

/** How many messages are read next: as many as the room that is left takes, if they are like those before. */
function nextPage({ left, bytes, messages }: { left: number; bytes: number; messages: number }): number {
  const each = Math.max(1, bytes / Math.max(1, messages));
  return Math.min(LARGEST_PAGE, Math.max(FIRST_PAGE, Math.ceil(left / each)));
}

interface Page {
  /** Where it is aligned, the turn that it begins with: it has all of that one, and of those behind it as far as it goes. */
  first: number | null;
  /** The index that it begins at. */
  begin: number;
  messages: ContextMessage[];
}

async function pageOf(
  db: Knex,
  { threadId, from, to, without, open }: Omit<Reading, 'room' | 'end'>,
  page: { begin: number; end: number; isAligned: boolean },
): Promise<Page> {
  const bindings = { threadId, from, to, ...page, without: without ?? null, open: open ?? null };
  const { rows } = await db.raw<{ rows: unknown[] }>(pageSql, bindings);
  const { texts, ...at } = pageSchema.parse(rows[0]);
  return { ...at, messages: texts === null ? [] : texts.split('\n').map(messageOf) };
}

/** Turns in order: while one was answered, others were said behind it. */
function inOrder(messages: ContextMessage[]): ContextMessage[] {
  const isSorted = messages.every(({ n }, at) => n >= (messages[at - 1]?.n ?? 0));
  return isSorted ? messages : messages.sort((a, b) => a.n - b.n);
}

/** All of a thread: two pages are read at a time. */
async function wholeOf(db: Knex, { end: most, ...of }: Omit<Reading, 'room'>): Promise<ContextMessage[]> {
  const starts: number[] = [];
  for (let begin = 0; begin < most; begin += LARGEST_PAGE) starts.push(begin);
  const pages: ContextMessage[][] = starts.map(() => []);
  const left = [...starts.entries()];
  const lane = async (): Promise<void> => {
    for (let next = left.shift(); next; next = left.shift()) {
      const [at, begin] = next;
      const end = Math.min(most, begin + LARGEST_PAGE);
      pages[at] = (await pageOf(db, of, { begin, end, isAligned: false })).messages;
    }
  };
  await Promise.all([lane(), lane()]);
  return inOrder(pages.flat());
}

async function historyOf(db: Knex, { room, end: last, ...of }: Reading): Promise<History> {
  if (room === null) return { messages: await wholeOf(db, { ...of, end: last }), isAll: true };
  let all: ContextMessage[] = [];
  for (let [end, size] = [last, FIRST_PAGE]; ;) {
    const begin = Math.max(0, end - size);
    const page = await pageOf(db, of, { begin, end, isAligned: begin > 0 });
    all = [...page.messages, ...all];
    const { first } = page;
    if (page.begin === 0 || first === null || first <= of.from)
      return { messages: inOrder(all), isAll: true };
    // Of turns before that one there may be ends alone.
    const messages = inOrder(all.filter(({ n }) => n >= first));
    const bytes = messages.reduce((sum, message) => sum + leastBytes(message), 0);
    if (bytes > room) return { messages, isAll: false };
    end = page.begin;
    size = nextPage({ left: room - bytes, bytes, messages: messages.length });
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
