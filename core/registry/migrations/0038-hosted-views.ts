import type { Knex } from 'knex';

/**
 * What a hosted worker reads, so that its user of Postgres needs nothing else (core/registry/hosted): the public llms, the keys that
 * they refer to and no other of a secret, and what was asked of a pool with one of them, until that has ended. A barrier keeps
 * errors of whoever asks from telling of rows that are not theirs.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create view hosted_llms with (security_barrier) as
      select l.id, l.name, l.pool_key, l.type, l.model, l.url, l.api_key_ref, l.max_concurrency, l.revision,
        concat_ws(' ', s.id, s.revision, s.origin, v.kid) as secret_mark
      from llms l
        left join secret_refs r on r.llm_id = l.id
        left join secrets s on s.id = r.secret_id
        left join secret_versions v on v.secret_id = s.id and v.version = s.version
      where l.kind = 'public';

    create view hosted_keys with (security_barrier) as
      select r.llm_id, r.key, (select id from installation) as installation, s.id as secret_id, s.name, s.version,
        s.allowed_origins, s.origin, v.kid, v.wrapped_dek, v.items -> r.key as item
      from secret_refs r
        join llms l on l.id = r.llm_id
        join secrets s on s.id = r.secret_id
        join secret_versions v on v.secret_id = s.id and v.version = s.version
      where l.kind = 'public' and l.api_key_ref #>> '{secretRef,name}' = s.name
        and l.api_key_ref #>> '{secretRef,key}' = r.key;

    create view hosted_requests with (security_barrier) as
      select t.id, t.request_body, t.request_headers, t.request_bytes, t.queue_deadline
      from tasks t
      where t.status in ('pending', 'claimed', 'running')
        and exists (select 1 from llms l where l.kind = 'public' and l.pool_key = t.pool_name)`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('drop view if exists hosted_llms, hosted_keys, hosted_requests');
}
