import type { Knex } from 'knex';

/**
 * Who is who, and what they are granted. Edges of the last release read and write `users.binding` alone: it says whether
 * one is a member of `admins`, and the two are kept the same here, where no process gets round it. So is the epoch, which
 * every write of identity counts on, whoever makes it.
 */
const people = `
create table identity_epoch (
  one boolean primary key default true check (one),
  revision bigint not null default 1,
  changed_at timestamptz not null default now()
);
insert into identity_epoch default values;

alter table users
  alter column binding set default 'user',
  add column kind text not null default 'human' check (kind in ('human', 'service')),
  add column enabled boolean not null default true,
  add column owner_id uuid references users (id) on delete set null,
  add column revision int not null default 1,
  add column updated_at timestamptz not null default now(),
  add column deleted_at timestamptz;          -- the row stays for what refers to it; its name is free, and retired
update users set owner_id = id;

create table groups (
  id uuid primary key,
  name text collate "C" not null unique,
  description text not null default '',
  owner_id uuid references users (id) on delete set null,
  revision int not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table memberships (
  group_id uuid not null references groups (id) on delete cascade,
  user_id uuid not null references users (id) on delete cascade,
  added_by uuid references users (id) on delete set null,
  created_at timestamptz not null default now(),
  primary key (group_id, user_id)
);
create index memberships_user on memberships (user_id);

create table retired_names (
  resource text not null,
  name text collate "C" not null,
  until timestamptz not null,
  primary key (resource, name)
);
`;

const documents = `
create table rbac (
  id uuid primary key,
  name text collate "C" not null unique,
  description text not null default '',
  subjects jsonb not null default '[]',       -- as people wrote them; rbac_subjects has who that was
  bindings jsonb not null default '[]',
  operations jsonb not null default '[]',
  owner_id uuid references users (id) on delete set null,
  revision int not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table rbac_subjects (
  rbac_id uuid not null references rbac (id) on delete cascade,
  user_id uuid references users (id) on delete cascade,
  group_id uuid references groups (id) on delete cascade,
  check (num_nonnulls(user_id, group_id) = 1)
);
create index rbac_subjects_rbac on rbac_subjects (rbac_id);
create index rbac_subjects_user on rbac_subjects (user_id) where user_id is not null;
create index rbac_subjects_group on rbac_subjects (group_id) where group_id is not null;
`;

/** The two groups and two documents of core/access/built-in.ts. */
const builtIn = `
insert into groups (id, name, description) values
  ('00000000-0000-7000-8000-000000000001', 'everyone', 'Every user that is enabled; nobody is added or taken out'),
  ('00000000-0000-7000-8000-000000000002', 'admins', 'Who may do everything');
insert into memberships (group_id, user_id)
  select '00000000-0000-7000-8000-000000000002', id from users where binding = 'admin';

insert into rbac (id, name, description, subjects, bindings, operations) values
  ('00000000-0000-7000-8000-000000000003', 'everyone', 'What every user begins with; change it, or delete it',
    '[{"kind": "group", "name": "everyone"}]',
    '[{"role": "run", "resource": "llm"}, {"role": "run", "resource": "pool"}, {"role": "create", "resource": "session"},
      {"role": "create", "resource": "agent"}, {"role": "create", "resource": "prompt"},
      {"role": "create", "resource": "project"}, {"role": "view", "resource": "board"}]', '[]'),
  ('00000000-0000-7000-8000-000000000004', 'admins', 'Everything; as it is, for good',
    '[{"kind": "group", "name": "admins"}]',
    (select jsonb_agg(jsonb_build_object('role', role, 'resource', resource) order by resource, role)
      from unnest(array['view', 'create', 'edit', 'delete', 'run']) role,
        unnest(array['*', 'user', 'group', 'rbac', 'secret', 'token', 'audit', 'quota']) resource),
    '["backup", "restore", "logs", "impersonate", "reveal", "redis-worker"]');
insert into rbac_subjects (rbac_id, group_id) values
  ('00000000-0000-7000-8000-000000000003', '00000000-0000-7000-8000-000000000001'),
  ('00000000-0000-7000-8000-000000000004', '00000000-0000-7000-8000-000000000002');
`;

const triggers = `
create function count_identity() returns trigger language plpgsql as $count$
begin
  update identity_epoch set revision = revision + 1, changed_at = now();
  return null;
end
$count$;
create trigger count_identity after insert or update or delete on users for each statement execute function count_identity();
create trigger count_identity after insert or update or delete on groups for each statement execute function count_identity();
create trigger count_identity after insert or update or delete on memberships
  for each statement execute function count_identity();
create trigger count_identity after insert or update or delete on rbac for each statement execute function count_identity();
create trigger count_identity after insert or update or delete on rbac_subjects
  for each statement execute function count_identity();
create trigger count_identity after update of revoked_at on tokens for each statement execute function count_identity();

create function binding_is_membership() returns trigger language plpgsql as $binding$
begin
  if new.binding = 'admin' then
    insert into memberships (group_id, user_id) values ('00000000-0000-7000-8000-000000000002', new.id)
      on conflict do nothing;
  elsif tg_op = 'UPDATE' then
    delete from memberships where group_id = '00000000-0000-7000-8000-000000000002' and user_id = new.id;
  end if;
  return null;
end
$binding$;
create trigger binding_is_membership after insert or update of binding on users
  for each row execute function binding_is_membership();

create function membership_is_binding() returns trigger language plpgsql as $membership$
begin
  if tg_op = 'INSERT' and new.group_id = '00000000-0000-7000-8000-000000000002' then
    update users set binding = 'admin' where id = new.user_id and binding <> 'admin';
  elsif tg_op = 'DELETE' and old.group_id = '00000000-0000-7000-8000-000000000002' then
    update users set binding = 'user' where id = old.user_id and binding <> 'user';
  end if;
  return null;
end
$membership$;
create trigger membership_is_binding after insert or delete on memberships
  for each row execute function membership_is_binding();
`;

export async function up(db: Knex): Promise<void> {
  await db.raw(people + documents + builtIn + triggers);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    drop trigger if exists binding_is_membership on users;
    drop trigger if exists count_identity on users;
    drop trigger if exists count_identity on tokens;
    drop table if exists rbac_subjects, rbac, memberships, groups, retired_names;
    drop function if exists binding_is_membership(), membership_is_binding(), count_identity();
    drop table if exists identity_epoch;
    alter table users alter column binding drop default, drop column if exists kind, drop column if exists enabled, drop column if exists owner_id,
      drop column if exists revision, drop column if exists updated_at, drop column if exists deleted_at`);
}
