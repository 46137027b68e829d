import type { Knex } from 'knex';

const people = `
create table users (
  id uuid primary key,
  name text collate "C" not null unique,
  binding text not null check (binding in ('admin', 'user')),
  created_at timestamptz not null default now()
);

create table tokens (
  id uuid primary key,
  user_id uuid not null references users (id) on delete cascade,
  name text not null,
  hash text not null unique,              -- SHA-256 in hex; the text itself is kept nowhere
  pools text[],                           -- pool keys it is bound to; null = every pool
  created_by uuid references users (id) on delete set null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz
);
create unique index tokens_name on tokens (user_id, name) where revoked_at is null;
`;

const registry = `
create table names (
  name text collate "C" primary key,
  resource text not null check (resource in ('llm', 'alias', 'agent')),
  id uuid not null                        -- of the llm, for an alias too
);
create index names_id on names (id);

create table pools (
  key text collate "C" primary key,
  owner_id uuid not null references users (id),
  created_at timestamptz not null default now()
);

create table pool_allowed (
  pool_key text collate "C" not null references pools (key) on delete cascade,
  user_id uuid not null references users (id) on delete cascade,
  created_at timestamptz not null default now(),
  primary key (pool_key, user_id)
);

create table sessions (
  id uuid primary key,
  owner_id uuid not null references users (id),
  instance_id text,                       -- the process that registered last
  worker_version text,
  transport text not null default 'redis' check (transport in ('redis', 'sse')),
  created_at timestamptz not null default now(),
  last_heartbeat_at timestamptz not null default now(),
  left_at timestamptz                     -- goodbye was said; a new registration clears it
);
create index sessions_beat on sessions (last_heartbeat_at);

create table llms (
  id uuid primary key,
  name text collate "C" not null unique,
  aliases text[] not null default '{}',
  kind text not null check (kind in ('public', 'virtual')),
  type text not null,
  model text not null,
  tier text,
  url text,
  api_key_ref jsonb,
  pool_name text collate "C",
  pool_key text collate "C" not null generated always as (coalesce(pool_name, name)) stored,
  description text not null default '',
  capabilities jsonb not null default '{}',
  max_concurrency int,
  status text not null check (status in ('active', 'inactive', 'hibernating')),
  inactive_reason text check (inactive_reason in ('publisher_gone', 'backend_down', 'unpublished')),
  inactive_since timestamptz,
  last_status text,                       -- what it was when its publisher went; a heartbeat puts it back
  last_reason text,
  provider_session_id uuid references sessions (id) on delete set null,
  last_heartbeat_at timestamptz,
  owner_id uuid not null references users (id),
  revision int not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  check ((kind = 'public') = (url is not null)),
  check (kind = 'public' or api_key_ref is null),
  check ((status = 'inactive') = (inactive_reason is not null)),
  check ((status = 'inactive') = (inactive_since is not null))
);
create index llms_kind_status on llms (kind, status);
create index llms_session on llms (provider_session_id);
create index llms_pool on llms (pool_key);
create index llms_owner on llms (owner_id);
`;

const tasks = `
create table tasks (
  id uuid primary key,                    -- version 7: by time
  operation text not null check (operation in ('chat', 'completions', 'embeddings', 'responses', 'messages')),
  source text not null check (source in ('infer', 'v1', 'async', 'agent', 'batch')),
  pool_name text collate "C" not null,    -- the pool key when the task was made; never changes
  llm_name text not null,
  pin text,
  model text,
  tier text,
  status text not null default 'pending'
    check (status in ('pending', 'claimed', 'running', 'completed', 'error', 'cancelled')),
  streaming boolean not null,
  priority text not null check (priority in ('interactive', 'background')),
  request_body text,
  request_headers jsonb,
  request_hash text not null,
  response_body text,
  response_status int,
  error_code text,
  error_message text,
  attempts int not null default 0,
  crashes int not null default 0,
  epoch int not null default 1,
  claim_id text,
  claimed_by uuid,
  claimed_llm text,
  claimed_at timestamptz,
  stream_started_at timestamptz,
  completed_at timestamptz,
  queue_deadline timestamptz not null,
  run_deadline timestamptz,
  on_disconnect text not null check (on_disconnect in ('cancel', 'continue', 'grace')),
  grace_seconds int,
  usage jsonb,
  finish_reason text,
  owner_id uuid not null,
  token_id uuid,
  agent_id uuid,
  thread_id uuid,
  project_id uuid,
  retention text not null default 'keep' check (retention in ('keep', 'none')),
  created_at timestamptz not null default now(),
  check (status <> 'error' or error_code is not null),
  check ((status in ('completed', 'error', 'cancelled')) = (completed_at is not null))
);
create index tasks_status_pool on tasks (status, pool_name);
create index tasks_claimed_by on tasks (claimed_by) where claimed_by is not null;
create index tasks_completed_at on tasks (completed_at) where completed_at is not null;
create index tasks_owner on tasks (owner_id, id);
create index tasks_agent on tasks (agent_id) where agent_id is not null;
create index tasks_open on tasks (pool_name, id) where status in ('pending', 'claimed', 'running');

create table task_attempts (
  task_id uuid not null references tasks (id) on delete cascade,
  n int not null,
  llm text not null,
  session uuid,
  started_at timestamptz,
  ended_at timestamptz not null default now(),
  reason text not null,
  primary key (task_id, n)
);

create table idempotency (
  owner_id uuid not null,
  key text not null,
  request_hash text not null,
  task_id uuid not null references tasks (id) on delete cascade deferrable initially deferred,
  expires_at timestamptz not null,
  primary key (owner_id, key)
);
create index idempotency_expires on idempotency (expires_at);
create index idempotency_task on idempotency (task_id);
`;

/** The state machine of core/task.ts once more, where no process can get round it (invariants I2, I3). */
const guard = `
create function guard_task() returns trigger language plpgsql as $guard$
begin
  if new.status <> old.status and (old.status, new.status) not in (
    ('pending', 'claimed'), ('pending', 'running'), ('pending', 'completed'), ('pending', 'error'),
    ('pending', 'cancelled'),
    ('claimed', 'pending'), ('claimed', 'running'), ('claimed', 'completed'), ('claimed', 'error'),
    ('claimed', 'cancelled'),
    ('running', 'pending'), ('running', 'completed'), ('running', 'error'), ('running', 'cancelled')
  ) then
    raise exception 'task: % to % is not a step', old.status, new.status
      using errcode = 'MC001', table = 'tasks', constraint = 'task_transition';
  end if;
  if old.status in ('completed', 'error', 'cancelled') and (
    (new.response_body is not null and new.response_body is distinct from old.response_body)
    or (new.response_status, new.error_code, new.error_message, new.usage, new.finish_reason, new.completed_at)
      is distinct from
      (old.response_status, old.error_code, old.error_message, old.usage, old.finish_reason, old.completed_at)
  ) then
    raise exception 'task: the outcome of an ended task does not change'
      using errcode = 'MC002', table = 'tasks', constraint = 'task_outcome';
  end if;
  if new.pool_name <> old.pool_name or new.owner_id <> old.owner_id or new.epoch < old.epoch then
    raise exception 'task: pool and owner never change, an epoch never falls'
      using errcode = 'MC003', table = 'tasks', constraint = 'task_frozen';
  end if;
  return new;
end
$guard$;

create trigger guard_task before update on tasks for each row execute function guard_task();
`;

const housekeeping = `
create table if not exists leases (
  name text primary key,
  holder text not null,
  expires_at timestamptz not null
);
`;

/** Everything the first release needs. Times are `timestamptz`; whoever writes them uses the database's clock. */
export async function up(db: Knex): Promise<void> {
  await db.raw(people + registry + tasks + guard + housekeeping);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    drop table if exists idempotency, task_attempts, tasks, llms, sessions, pool_allowed, pools, names,
      tokens, users;
    drop function if exists guard_task();`);
}
