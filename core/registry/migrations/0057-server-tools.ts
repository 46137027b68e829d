import type { Knex } from 'knex';

/**
 * An agent may be offered its project's tools, and the server runs what it calls (decision 0077). How far a turn is with that, its row says;
 * each call is a row too, which names its task.
 */
const tables = `
  alter table agents add column server_tools boolean not null default false;
  alter table chat_turns add column server_calls text check (server_calls in ('may', 'due', 'open', 'done')),
    add column asks_client boolean not null default false, add column tools_since timestamptz;
  create index chat_turns_calls on chat_turns (thread_id) where status = 'waiting' and server_calls in ('due', 'open');
  create table chat_calls (
    turn_id uuid not null references chat_turns (id) on delete cascade,
    -- The task of the answer that made it.
    round_id uuid not null,
    call_id text not null,
    position int not null,
    name text not null,
    server text,
    -- Its own task; null: it was not run.
    task_id uuid,
    pool_name text,
    -- Null while it runs.
    ended_at timestamptz,
    code text,
    created_at timestamptz not null default now(),
    primary key (turn_id, round_id, call_id)
  );
  create index chat_calls_open on chat_calls (turn_id) where ended_at is null;`;

/** As in migration 0049; an answer that calls tools, in a turn whose calls the server may run, says that they are due. */
const handOver = ({ serves }: { serves: boolean }): string => `
  create or replace function hand_over_answer() returns trigger language plpgsql as $hand$
  declare
    told jsonb := coalesce(new.answer, '{}');
    calls jsonb := case when jsonb_typeof(told -> 'toolCalls') = 'array' then told -> 'toolCalls' end;
    says boolean := coalesce(told ->> 'content', '') <> '' or calls is not null;
    waits boolean;
    again boolean := false;
  begin
    new.answer := null;
    waits := new.status = 'completed' and calls is not null
      and exists (select 1 from chat_turns where id = new.turn_id and waits_for_tools);
    again := new.status = 'error' and not says and told ->> 'reasoning' is null
      and (new.error_code = 'context_length_exceeded' or coalesce(told -> 'tooLong' = 'true', false))
      and exists (select 1 from chat_turns where id = new.turn_id and task_id = new.id and status = 'running' and shrink = 'may');
    update chat_turns set status = case when waits or again then 'waiting' else new.status end,
        error_code = new.error_code, error_message = new.error_message,
        in_context = keeps_context or (new.status in ('completed', 'cancelled') and (says or rounds > 1)),
        ended_at = case when waits or again then null else new.completed_at end,
        shrink = case when again then 'must' else shrink end
        ${serves ? `, server_calls = case when waits and server_calls = 'may' then 'due' else server_calls end` : ''}
      where id = new.turn_id and task_id = new.id and status in ('running', 'waiting');
    if waits then
      update chat_turns set tool_deadline = new.completed_at + interval '24 hours' where id = new.turn_id and status = 'waiting';
    end if;
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
  $hand$;`;

export async function up(db: Knex): Promise<void> {
  await db.raw(`${tables} ${handOver({ serves: true })}`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    ${handOver({ serves: false })}
    drop table if exists chat_calls;
    drop index if exists chat_turns_calls;
    alter table chat_turns drop column if exists server_calls, drop column if exists asks_client, drop column if exists tools_since;
    alter table agents drop column if exists server_tools;`);
}
