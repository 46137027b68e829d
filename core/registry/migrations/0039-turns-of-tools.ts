import type { Knex } from 'knex';

/**
 * What personalities are called by has owners (decision 0014): the agent's owner, unless another had entered that name before
 * the personality was there. What an edge of the last release makes meanwhile, the sweep adds.
 */
const names = `
  insert into name_owners (name, owner_id, entered_by, created_at)
    select a.name || ':' || p.name, a.owner_id, a.owner_id, p.created_at
    from personalities p join agents a on a.id = p.agent_id order by 1
    on conflict (name) do update set owner_id = excluded.owner_id, entered_by = excluded.entered_by,
        created_at = excluded.created_at, released_at = null
      where name_owners.owner_id <> excluded.owner_id and name_owners.created_at > excluded.created_at;`;

/** A turn that its maker says waits for results of tools is open until they are there; `rounds` of it have their own tasks. */
const turns = `
  alter table chat_turns add column waits_for_tools boolean not null default false,
    add column rounds int not null default 1, add column tool_deadline timestamptz;
  create index chat_turns_tools on chat_turns (tool_deadline) where status = 'waiting';
  -- Backends may call two calls of two rounds by one id.
  drop index chat_messages_result;
  create unique index chat_messages_result on chat_messages (turn_id, coalesce(task_id, turn_id), tool_call_id) where role = 'tool';`;

/**
 * As in migration 0026; an answer that calls tools leaves its turn open, and what earlier rounds have said is told of
 * though the last one said nothing.
 */
const handOver = (waits: string, wasSaid: string): string => `
  create or replace function hand_over_answer() returns trigger language plpgsql as $hand$
  declare
    told jsonb := coalesce(new.answer, '{}');
    calls jsonb := case when jsonb_typeof(told -> 'toolCalls') = 'array' then told -> 'toolCalls' end;
    says boolean := coalesce(told ->> 'content', '') <> '' or calls is not null;
    waits boolean;
  begin
    new.answer := null;
    waits := new.status = 'completed' and calls is not null and ${waits};
    update chat_turns set status = case when waits then 'waiting' else new.status end, error_code = new.error_code,
        error_message = new.error_message, in_context = new.status in ('completed', 'cancelled') and ${wasSaid},
        ended_at = case when waits then null else new.completed_at end
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
  await db.raw(`${names} ${turns}
    ${handOver('exists (select 1 from chat_turns where id = new.turn_id and waits_for_tools)', '(says or rounds > 1)')}`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    ${handOver('false', 'says')}
    update chat_turns set status = 'completed', ended_at = now() where status = 'waiting';
    drop index if exists chat_messages_result, chat_turns_tools;
    create index chat_messages_result on chat_messages (turn_id, tool_call_id) where role = 'tool';
    alter table chat_turns drop column if exists waits_for_tools, drop column if exists rounds,
      drop column if exists tool_deadline;`);
}
