import type { Knex } from 'knex';

/**
 * What a thread comes to is kept with it, so that a turn is accepted without a look at all that was said before: up to which
 * message it was weighed, and where its requests are cut.
 */
const threads = `
  alter table chat_threads add column weighed_to int not null default 0, add column weighed_bytes bigint not null default 0,
    add column context_from int not null default 1, add column left_out int not null default 0;
  update chat_threads t set context_from = cut.first,
      left_out = (select count(*) from chat_turns where thread_id = t.id and in_context and n < cut.first)
    from (select thread_id, max((composition ->> 'from')::int) as first from chat_turns group by thread_id) cut
    where cut.thread_id = t.id and cut.first > 1;`;

/** A turn that is continued stays what later turns are told of, where it was that before, whatever becomes of the continuation. */
const turns = `
  alter table chat_turns add column keeps_context boolean not null default false;`;

/** As in migration 0039. */
const handOver = (kept: string): string => `
  create or replace function hand_over_answer() returns trigger language plpgsql as $hand$
  declare
    told jsonb := coalesce(new.answer, '{}');
    calls jsonb := case when jsonb_typeof(told -> 'toolCalls') = 'array' then told -> 'toolCalls' end;
    says boolean := coalesce(told ->> 'content', '') <> '' or calls is not null;
    waits boolean;
  begin
    new.answer := null;
    waits := new.status = 'completed' and calls is not null
      and exists (select 1 from chat_turns where id = new.turn_id and waits_for_tools);
    update chat_turns set status = case when waits then 'waiting' else new.status end, error_code = new.error_code,
        error_message = new.error_message,
        in_context = ${kept} (new.status in ('completed', 'cancelled') and (says or rounds > 1)),
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
  await db.raw(`${threads} ${turns} ${handOver('keeps_context or')}`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    ${handOver('')}
    alter table chat_turns drop column if exists keeps_context;
    alter table chat_threads drop column if exists weighed_to, drop column if exists weighed_bytes,
      drop column if exists context_from, drop column if exists left_out;`);
}
