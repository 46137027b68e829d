import { count, ms, quotas } from './kinds.ts';

const DAY = 24 * 3_600_000;

/** How much one user may have in the registry. Part of the one table in settings.ts. */
export const quotaSettings = {
  maxUserLlms: {
    env: 'MCPCTL_MAX_USER_LLMS',
    about: 'how many llms one user may have in the registry; admins have no limit',
    schema: () => count(64),
  },
  maxUserPools: {
    env: 'MCPCTL_MAX_USER_POOLS',
    about: 'how many pools with llms one user may have made; admins have no limit',
    schema: () => count(32),
  },
  maxUserSessions: {
    env: 'MCPCTL_MAX_USER_SESSIONS',
    about: 'how many provider sessions, which are workers, one user may have; admins have no limit',
    schema: () => count(32),
  },
  maxUserTokens: {
    env: 'MCPCTL_MAX_USER_TOKENS',
    about: 'how many valid tokens one user may have; admins have no limit',
    schema: () => count(64),
  },
  maxUserThreads: {
    env: 'MCPCTL_MAX_USER_THREADS',
    about: 'how many threads, which are conversations with agents, one user may have; admins too',
    schema: () => count(1_000),
  },
  maxUserThreadBytes: {
    env: 'MCPCTL_MAX_USER_THREAD_BYTES',
    about: 'how many bytes the threads of one user may hold together; admins too',
    schema: () => count(1_000_000_000),
  },
  maxThreads: {
    env: 'MCPCTL_MAX_THREADS',
    about: 'how many threads there may be, of all users; counted once a minute',
    schema: () => count(200_000),
  },
  maxAllThreadBytes: {
    env: 'MCPCTL_MAX_ALL_THREAD_BYTES',
    about: 'how many bytes the threads of all users may hold; counted once a minute',
    schema: () => count(20_000_000_000),
  },
  maxThreadMessages: {
    env: 'MCPCTL_MAX_THREAD_MESSAGES',
    about: 'how many messages one thread may have',
    schema: () => count(10_000),
  },
  maxThreadBytes: {
    env: 'MCPCTL_MAX_THREAD_BYTES',
    about: 'how many bytes the messages of one thread may have, answers included',
    schema: () => count(4_194_304),
  },
  maxQueuedTurns: {
    env: 'MCPCTL_MAX_QUEUED_TURNS',
    about: 'how many turns of one thread may wait in line',
    schema: () => count(8),
  },
  quotas: {
    env: 'MCPCTL_QUOTAS',
    about:
      'of a resource how many one user may have, and how many there may be, like prompt=500/20000,project=100/5000 (docs/projects.md has the defaults); admins have no limit',
    schema: () => quotas,
  },
  nameKeepMs: {
    env: 'MCPCTL_NAME_KEEP_MS',
    about: 'how long the name of an llm, an alias or a pool that is gone stays its owner’s',
    schema: () => ms(30 * DAY),
  },
} as const;
