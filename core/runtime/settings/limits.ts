import { count } from './kinds.ts';

/** What one connection, address, token, user and all of them may have of one edge at a time (settings.ts). */
export const limitSettings = {
  maxConnections: {
    env: 'MCPCTL_MAX_CONNECTIONS',
    about: 'how many connections one edge holds',
    schema: () => count(10_000),
  },
  maxAddressConnections: {
    env: 'MCPCTL_MAX_ADDRESS_CONNECTIONS',
    about: 'how many of them from one address (IPv6: one /64); not counted behind MCPCTL_TRUST_PROXY',
    schema: () => count(1_500),
  },
  maxConnectionRequests: {
    env: 'MCPCTL_MAX_CONNECTION_REQUESTS',
    about: 'how many requests may be on their way over one connection (pipelining)',
    schema: () => count(8),
  },
  maxRequests: {
    env: 'MCPCTL_MAX_REQUESTS',
    about: 'how many requests with a token may be on their way at one edge',
    schema: () => count(20_000),
  },
  maxUserRequests: {
    env: 'MCPCTL_MAX_USER_REQUESTS',
    about: 'how many of them may be of one user',
    schema: () => count(2_000),
  },
  maxTokenRequests: {
    env: 'MCPCTL_MAX_TOKEN_REQUESTS',
    about: 'how many of them may be of one token',
    schema: () => count(2_000),
  },
  maxUserRequestRate: {
    env: 'MCPCTL_MAX_USER_REQUEST_RATE',
    about:
      'how many requests a second one user may make, beside calls that an llm answers (MCPCTL_MAX_USER_CALL_RATE)',
    schema: () => count(100),
  },
  maxUserCallRate: {
    env: 'MCPCTL_MAX_USER_CALL_RATE',
    about: 'how many calls a second that an llm answers, and answers of workers, one user may make',
    schema: () => count(2_000),
  },
  maxAddressRequestRate: {
    env: 'MCPCTL_MAX_ADDRESS_REQUEST_RATE',
    about: 'how many requests a second without a token that is known one address may make (IPv6: one /64)',
    schema: () => count(200),
  },
  maxBytes: {
    env: 'MCPCTL_MAX_BYTES',
    about: "how many bytes of all users' request bodies and unread answers one edge may hold at a time",
    schema: () => count(1_000_000_000),
  },
  maxQueuedBytes: {
    env: 'MCPCTL_MAX_QUEUED_BYTES',
    about: 'how many bytes the request bodies of all tasks that wait or run may have',
    schema: () => count(8_000_000_000),
  },
  maxPoolQueuedBytes: {
    env: 'MCPCTL_MAX_POOL_QUEUED_BYTES',
    about: "how many bytes the request bodies of one pool's tasks that wait or run may have",
    schema: () => count(2_000_000_000),
  },
  maxUserQueuedBytes: {
    env: 'MCPCTL_MAX_USER_QUEUED_BYTES',
    about: "how many bytes the request bodies of one user's tasks that wait or run may have",
    schema: () => count(500_000_000),
  },
  maxUserKeptBytes: {
    env: 'MCPCTL_MAX_USER_KEPT_BYTES',
    about: "how many bytes the bodies of one user's ended tasks may have; beyond it the oldest are forgotten",
    schema: () => count(1_000_000_000),
  },
  maxKeptBytes: {
    env: 'MCPCTL_MAX_KEPT_BYTES',
    about:
      'how many bytes the bodies of all ended tasks may have; beyond it those of who has most are forgotten',
    schema: () => count(20_000_000_000),
  },
  maxUserKeptTasks: {
    env: 'MCPCTL_MAX_USER_KEPT_TASKS',
    about:
      'how many tasks of one user, with their attempts and keys, are kept; beyond it the oldest that ended are deleted early',
    schema: () => count(5_000_000),
  },
  maxKeptTasks: {
    env: 'MCPCTL_MAX_KEPT_TASKS',
    about: 'how many tasks of all users are kept; beyond it the oldest of who has most are deleted early',
    schema: () => count(20_000_000),
  },
  maxUserEventMemory: {
    env: 'MCPCTL_MAX_USER_EVENT_MEMORY',
    about:
      "how many bytes of Redis the events of one user's tasks may take; beyond it those of ended ones are forgotten early, the oldest first",
    schema: () => count(1_000_000_000),
  },
  maxEventMemory: {
    env: 'MCPCTL_MAX_EVENT_MEMORY',
    about:
      "how many bytes of Redis the events of all tasks may take, and no more than half of Redis's maxmemory; beyond it those of who has most are forgotten early",
    schema: () => count(4_000_000_000),
  },
  maxFailedTokens: {
    env: 'MCPCTL_MAX_FAILED_TOKENS',
    about: 'how many tokens that are none one address may try in a minute',
    schema: () => count(120),
  },
  bodyLimitBytes: {
    env: 'MCPCTL_BODY_LIMIT_BYTES',
    about: 'the largest request body',
    schema: () => count(64 * 1024 * 1024),
  },
  maxUserStreams: {
    env: 'MCPCTL_MAX_USER_STREAMS',
    about: 'how many streams one user may have open at all edges',
    schema: () => count(1_000),
  },
  maxUserBytes: {
    env: 'MCPCTL_MAX_USER_BYTES',
    about: "how many bytes of one user's request bodies and unread answers one edge may hold at a time",
    schema: () => count(300_000_000),
  },
} as const;
