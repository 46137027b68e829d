import { resources as ofThisRelease, stored } from '../resources/index.ts';
import { noKeyring, type KeyringSource } from '../runtime/keyring/keyring.ts';
import { createAdminSessions, type AdminSessions } from './people/admin-sessions.ts';
import { createAudits, type Audits } from './audit/audits.ts';
import { createBackups, type Backups } from './backup/backups.ts';
import type { Connection } from './database/connect.ts';
import { createDeviceLogins, type DeviceLogins } from './people/device-logins.ts';
import { createDenials, type Denials } from './people/denials.ts';
import { createApprovals, type Approvals } from './mcp/pinned/approvals.ts';
import { createMcpServerRows, type McpServerRows } from './mcp/servers.ts';
import { createTemplates, type Templates } from './mcp/templates.ts';
import { projectHooks } from './mcp/project-hooks.ts';
import { serverHooks } from './mcp/server-hooks.ts';
import { createJoinCodes, type JoinCodes } from './joining/join-codes.ts';
import { createWorkerCredentials, type WorkerCredentials } from './joining/leave.ts';
import { createForms, type Forms } from './database/forms.ts';
import { createDeclared, type Declared } from './declared/declared.ts';
import { createKeepers } from './declared/keepers.ts';
import { createGoneQueues, type GoneQueues } from './gone-queues.ts';
import { createGroups, type Groups } from './identity/groups.ts';
import { groupHooks, rbacHooks, userHooks } from './identity/identity-hooks.ts';
import { createIdempotency, type Idempotency } from './idempotency.ts';
import { createLeases, type Leases } from './database/leases.ts';
import { usualLimits, type RegistryLimits } from './names/limits.ts';
import { createLlms, type Llms } from './llms/llms.ts';
import { createNames, type Names } from './names/names.ts';
import { createPools, type Pools } from './pools.ts';
import { createRedisGenerations, type RedisGenerations } from './redis-generations.ts';
import { createAgents, type Agents } from './agents/agents.ts';
import { agentHooks, promptHooks } from './agents/agent-hooks.ts';
import { personalityHooks } from './agents/personality-hooks.ts';
import { createResourceStores, type Kept, type ResourceStores } from './resources/stores.ts';
import { createRedisUserRows, type RedisUserRows } from './people/redis-users.ts';
import { createSecrets, type Secrets } from './secrets/secrets.ts';
import { secretHooks } from './secrets/secret-hooks.ts';
import { createSessions, type Sessions } from './people/sessions.ts';
import { createThreads, type Threads } from './threads/threads.ts';
import { createTasks, type Tasks } from './tasks/tasks.ts';
import { createTokens, type Tokens } from './people/tokens.ts';
import { createUsages, type Usages } from './usage.ts';
import { createUsers, type Users } from './people/users.ts';
import { createWorkers, type Workers } from './people/workers.ts';

/** Everything that edge and scheduler ask of Postgres. */
export interface Registry {
  llms: Llms;
  agents: Agents;
  pools: Pools;
  sessions: Sessions;
  denials: Denials;
  workers: Workers;
  tasks: Tasks;
  threads: Threads;
  idempotency: Idempotency;
  tokens: Tokens;
  usages: Usages;
  users: Users;
  groups: Groups;
  names: Names;
  leases: Leases;
  goneQueues: GoneQueues;
  adminSessions: AdminSessions;
  deviceLogins: DeviceLogins;
  joinCodes: JoinCodes;
  workerCredentials: WorkerCredentials;
  audits: Audits;
  redisGenerations: RedisGenerations;
  redisUsers: RedisUserRows;
  mcp: McpServerRows;
  approvals: Approvals;
  templates: Templates;
  forms: Forms;
  secrets: Secrets;
  /** Of what is a definition of core/resources, and no more than that. */
  resources: ResourceStores;
  /** Many things as documents say, all of them or nothing. */
  declared: Declared;
  backups: Backups;
}

export function createRegistry(
  connection: Connection,
  limits: RegistryLimits = usualLimits,
  kept: Omit<Kept, 'hooks'> & Partial<Kept> & { keyring?: KeyringSource } = { definitions: stored },
): Registry {
  const { keyring = noKeyring, definitions } = kept;
  const identity = { user: userHooks, group: groupHooks, rbac: rbacHooks, secret: secretHooks(keyring) };
  const talk = { agent: agentHooks(limits), prompt: promptHooks, personality: personalityHooks(limits) };
  const hooks = { ...talk, project: projectHooks, server: serverHooks(limits), ...identity, ...kept.hooks };
  const resources = createResourceStores(connection, limits, { ...kept, hooks });
  const keepers = createKeepers({ limits, resources, definitions });
  const tokens = createTokens(connection, limits);
  return {
    llms: createLlms(connection, limits),
    agents: createAgents(connection),
    pools: createPools(connection),
    sessions: createSessions(connection, limits),
    denials: createDenials(connection),
    workers: createWorkers(connection),
    tasks: createTasks(connection),
    threads: createThreads(connection, limits),
    idempotency: createIdempotency(connection),
    tokens,
    usages: createUsages(connection),
    users: createUsers(connection),
    groups: createGroups(connection),
    names: createNames(connection),
    leases: createLeases(connection),
    redisGenerations: createRedisGenerations(connection),
    goneQueues: createGoneQueues(connection),
    adminSessions: createAdminSessions(connection),
    deviceLogins: createDeviceLogins(connection, tokens),
    joinCodes: createJoinCodes(connection, tokens),
    workerCredentials: createWorkerCredentials(connection),
    audits: createAudits(connection),
    redisUsers: createRedisUserRows(connection),
    mcp: createMcpServerRows(connection),
    approvals: createApprovals(connection),
    templates: createTemplates(connection),
    forms: createForms(connection),
    secrets: createSecrets(connection, { keyring, store: () => resources(ofThisRelease.secret) }),
    resources,
    declared: createDeclared(connection, { keepers, definitions }),
    backups: createBackups(connection, { keyring, keepers, definitions }),
  };
}
