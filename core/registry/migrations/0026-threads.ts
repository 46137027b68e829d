import type { Knex } from 'knex';

/**
 * A message of the assistant is written by what ends its task's row, in that very statement: however a row ends, and whoever
 * ends it, the trigger hands the answer over to the thread, and `answer` stands in no row. `waiting` is for turns whose tools
 * the client runs.
 */
const handOver = `
  create or replace function hand_over_answer() returns trigger language plpgsql as $hand$
  declare
    told jsonb := coalesce(new.answer, '{}');
    calls jsonb := case when jsonb_typeof(told -> 'toolCalls') = 'array' then told -> 'toolCalls' end;
    says boolean := coalesce(told ->> 'content', '') <> '' or calls is not null;
  begin
    new.answer := null;
    update chat_turns set status = new.status, error_code = new.error_code, error_message = new.error_message,
        in_context = new.status in ('completed', 'cancelled') and says, ended_at = new.completed_at
      where id = new.turn_id and task_id = new.id and status in ('running', 'waiting');
    update chat_messages set
        status = case new.status when 'completed' then 'complete' else new.status end,
        content = coalesce(told ->> 'content', ''), reasoning = told ->> 'reasoning',
        reasoning_field = told ->> 'reasoningField',
        tool_calls = calls, is_whole = coalesce(told -> 'isWhole' = 'true', new.status <> 'completed'),
        bytes = octet_length(told::text),
        served_by = new.claimed_llm, usage = new.usage, finish_reason = new.finish_reason
      where turn_id = new.turn_id and task_id = new.id and status = 'pending';
    return new;
  end
  $hand$;
  create or replace trigger hand_over_answer before update on tasks for each row
    when (new.turn_id is not null and new.completed_at is not null and old.completed_at is null)
    execute function hand_over_answer();`;

const threads = `
    create table chat_threads (
      id uuid primary key,
      agent_id uuid not null references agents (id) on delete cascade,
      owner_id uuid not null references users (id),
      title text not null default '',
      next_turn int not null default 1,
      next_message int not null default 0,
      revision int not null default 1,
      forked_from uuid,
      forked_at int,
      last_turn_at timestamptz not null default now(),
      created_at timestamptz not null default now()
    );
    create index chat_threads_owner on chat_threads (owner_id, last_turn_at desc, id desc);
    create index chat_threads_agent on chat_threads (agent_id, owner_id, last_turn_at desc, id desc);`;

const turns = `
    create table chat_turns (
      id uuid primary key,
      thread_id uuid not null references chat_threads (id) on delete cascade,
      n int not null,
      owner_id uuid not null,
      token_id uuid,
      status text not null check (status in ('queued', 'running', 'waiting', 'completed', 'error', 'cancelled')),
      in_context boolean not null default false,
      task_id uuid,
      pool_name text,
      request text,
      streaming boolean not null default false,
      client_key text,
      request_hash text not null,
      error_code text,
      error_message text,
      composition jsonb,
      supersedes uuid,
      created_at timestamptz not null default now(),
      ended_at timestamptz,
      unique (thread_id, n)
    );
    -- One that is open at most, whoever believes otherwise.
    create unique index chat_turns_open on chat_turns (thread_id) where status in ('running', 'waiting');
    create unique index chat_turns_key on chat_turns (owner_id, client_key) where client_key is not null;
    create index chat_turns_queued on chat_turns (thread_id, n) where status = 'queued';`;

const messages = `
    create table chat_messages (
      id uuid primary key,
      thread_id uuid not null references chat_threads (id) on delete cascade,
      turn_id uuid not null references chat_turns (id) on delete cascade,
      turn_index int not null,
      role text not null check (role in ('user', 'assistant', 'tool')),
      status text not null check (status in ('pending', 'complete', 'error', 'cancelled')),
      content text not null default '',
      parts jsonb,
      tool_calls jsonb,
      tool_call_id text,
      reasoning text,
      reasoning_field text,
      is_whole boolean not null default true,
      bytes int not null default 0,
      task_id uuid,
      served_by text,
      usage jsonb,
      finish_reason text,
      created_at timestamptz not null default now(),
      unique (thread_id, turn_index) include (bytes)
    );
    create index chat_messages_turn on chat_messages (turn_id, turn_index);
    create unique index chat_messages_result on chat_messages (turn_id, tool_call_id) where role = 'tool';`;

export async function up(db: Knex): Promise<void> {
  await db.raw(`${threads} ${turns} ${messages}
    alter table tasks add column turn_id uuid, add column answer jsonb;
    ${handOver}`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    drop trigger if exists hand_over_answer on tasks;
    drop function if exists hand_over_answer();
    alter table tasks drop column if exists turn_id, drop column if exists answer;
    drop table if exists chat_messages, chat_turns, chat_threads`);
}
