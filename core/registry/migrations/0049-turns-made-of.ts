import type { Knex } from 'knex';

/**
 * Each answer says of what its request was made (`made`), so that it can be told long after prompts and agents were changed.
 * `shrink`: a request that is too long for its backend is made once more of less: `may` unless that was done, `must` when it is to
 * be, `done` from then on.
 */
const columns = `
  alter table agents add column extras jsonb not null default '{}';
  alter table chat_turns add column shrink text check (shrink in ('may', 'must', 'done'));
  alter table chat_messages add column made jsonb;`;

/**
 * As in migration 0042; a turn that may shrink, and of which nothing was shown, is not over where its backend says that it is too
 * long: it goes on as one does whose results of tools are all there.
 */
const handOver = ({ shrinks }: { shrinks: boolean }): string => `
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
    ${shrinks ? again : ''}
    update chat_turns set status = case when waits ${shrinks ? 'or again' : ''} then 'waiting' else new.status end,
        error_code = new.error_code, error_message = new.error_message,
        in_context = keeps_context or (new.status in ('completed', 'cancelled') and (says or rounds > 1)),
        ended_at = case when waits ${shrinks ? 'or again' : ''} then null else new.completed_at end
        ${shrinks ? `, shrink = case when again then 'must' else shrink end` : ''}
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

const again = `
    again := new.status = 'error' and not says and told ->> 'reasoning' is null
      and (new.error_code = 'context_length_exceeded' or coalesce(told -> 'tooLong' = 'true', false))
      and exists (select 1 from chat_turns where id = new.turn_id and task_id = new.id and status = 'running' and shrink = 'may');`;

export async function up(db: Knex): Promise<void> {
  await db.raw(`${columns} ${handOver({ shrinks: true })}`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    ${handOver({ shrinks: false })}
    alter table chat_messages drop column if exists made;
    alter table chat_turns drop column if exists shrink;
    alter table agents drop column if exists extras`);
}
