import type { Knex } from 'knex';

/**
 * Whether a user is granted a role on a resource, perhaps of a name: what core/access/grants.ts says, for statements that
 * decide about many rows. It reads the same documents, and knows no admins; test/registry/user-may.test.ts holds the two together.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create or replace function user_may(who uuid, wanted text, what text, called text) returns boolean
      language sql stable cost 1000 as $may$
      select exists (
        select 1 from users u
          join rbac_subjects s on s.user_id = u.id or s.group_id = '00000000-0000-7000-8000-000000000001'
            or s.group_id in (select m.group_id from memberships m where m.user_id = u.id)
          join rbac r on r.id = s.rbac_id
          cross join jsonb_array_elements(r.bindings) b
        where u.id = who and u.enabled and u.deleted_at is null
          and b ->> 'role' = wanted
          and (b ->> 'resource' = what or (b ->> 'resource' = '*'
            and what not in ('user', 'group', 'rbac', 'secret', 'token', 'audit', 'quota')))
          and (b ->> 'name' is null or b ->> 'name' = called))
    $may$`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('drop function user_may(uuid, text, text, text)');
}
