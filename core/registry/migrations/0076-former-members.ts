import type { Knex } from 'knex';

/**
 * Which llms have left which pools, for as long as tasks wait there that were asked for before (core/registry/former-members.ts): written by
 * a trigger with whatever moved the llm. One that has become another model, or another owner's, was never in the pool as that.
 * Hosted workers have a view of their own, as those of the last release take each row of hosted_llms for an llm.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table former_members (
      pool_key text collate "C" not null,
      llm_id uuid not null references llms (id) on delete cascade,
      left_at timestamptz not null default now(),
      denied_at timestamptz,                       -- it may not serve there any more
      primary key (pool_key, llm_id)
    );
    create index former_members_llm on former_members (llm_id);

    create function note_former_member() returns trigger language plpgsql as $note$
    begin
      if new.model <> old.model or new.type <> old.type or new.owner_id <> old.owner_id then
        delete from former_members where llm_id = new.id;
        return null;
      end if;
      delete from former_members where llm_id = new.id and pool_key = new.pool_key;
      if old.inactive_reason in ('denied', 'unpublished') then return null; end if;
      insert into former_members (pool_key, llm_id) values (old.pool_key, old.id)
        on conflict (pool_key, llm_id) do update set left_at = now(), denied_at = null;
      return null;
    end
    $note$;
    create trigger note_former_member after update on llms for each row
      when (old.pool_key <> new.pool_key or old.model <> new.model or old.type <> new.type or old.owner_id <> new.owner_id)
      execute function note_former_member();

    -- What an edge believed of a name for a moment may have been asked just after.
    create view former_members_now with (security_barrier) as
      select f.pool_key, f.llm_id from former_members f join llms l on l.id = f.llm_id
      where f.denied_at is null and (l.inactive_reason is null or l.inactive_reason in ('backend_down', 'publisher_gone'))
        and exists (select 1 from tasks t where t.pool_name = f.pool_key and t.status in ('pending', 'claimed', 'running')
          and t.created_at <= f.left_at + interval '10 seconds');

    create view hosted_former_llms with (security_barrier) as
      select h.id, h.name, n.pool_key, h.type, h.model, h.url, h.api_key_ref, h.max_concurrency, h.revision, h.secret_mark
      from hosted_llms h join former_members_now n on n.llm_id = h.id;

    create or replace view hosted_requests with (security_barrier) as
      select t.id, t.request_body, t.request_headers, t.request_bytes, t.queue_deadline
      from tasks t
      where t.status in ('pending', 'claimed', 'running')
        and (exists (select 1 from llms l where l.kind = 'public' and l.pool_key = t.pool_name)
          or exists (select 1 from hosted_former_llms f where f.pool_key = t.pool_name))`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    create or replace view hosted_requests with (security_barrier) as
      select t.id, t.request_body, t.request_headers, t.request_bytes, t.queue_deadline
      from tasks t
      where t.status in ('pending', 'claimed', 'running')
        and exists (select 1 from llms l where l.kind = 'public' and l.pool_key = t.pool_name);
    drop view if exists hosted_former_llms, former_members_now;
    drop trigger if exists note_former_member on llms;
    drop function if exists note_former_member();
    drop table if exists former_members`);
}
