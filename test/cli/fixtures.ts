/** Objects as the API of this version sends them. */
export const llm = {
  id: '019a6f3e-0000-7000-8000-000000000001',
  name: 'tiny-chat',
  aliases: ['tiny'],
  kind: 'virtual',
  type: 'openai',
  model: 'tiny-chat:0.1b',
  tier: null,
  url: null,
  apiKeyRef: null,
  poolName: null,
  description: 'A demo model.',
  capabilities: { operations: ['chat'], tools: false, contextLength: 2048 },
  maxConcurrency: 4,
  status: 'active',
  inactiveReason: null,
  misconfigured: null,
  statusReason: null,
  inactiveSince: null,
  lastHeartbeatAt: '2026-11-21T07:00:00.000Z',
  servedBy: 1,
  ownerId: '019a6f3e-0000-7000-8000-00000000000a',
  revision: 1,
  createdAt: '2026-11-21T06:00:00.000Z',
  updatedAt: '2026-11-21T06:00:00.000Z',
  pool: { key: 'tiny-chat', size: 1, activeCount: 1 },
};

export const publicLlm = {
  ...llm,
  id: '019a6f3e-0000-7000-8000-000000000002',
  name: 'gpt',
  aliases: [],
  kind: 'public',
  model: 'gpt-5',
  tier: 'heavy',
  url: 'https://api.example.com/v1',
  apiKeyRef: { env: 'OPENAI_API_KEY' },
  poolName: 'big',
  servedBy: 0,
};

export const members = {
  poolKey: 'tiny-chat',
  size: 1,
  activeCount: 1,
  members: [
    {
      name: 'tiny-chat',
      kind: 'virtual',
      status: 'active',
      model: 'tiny-chat:0.1b',
      running: 1,
      slots: 4,
      lastSeenAt: '2026-11-21T07:00:00.000Z',
    },
  ],
};

export const pool = { ...members, owner: 'ada', pending: 2, running: 1, oldestPendingMs: 65_000 };

export const taskId = '019a6f3e-0000-7000-8000-0000000000f1';
export const task = {
  id: taskId,
  operation: 'chat',
  source: 'async',
  poolName: 'tiny-chat',
  llmName: 'tiny-chat',
  pin: null,
  model: null,
  tier: null,
  status: 'pending',
  streaming: false,
  priority: 'background',
  error: null,
  attempts: 0,
  crashes: 0,
  claimedLlm: null,
  claimedAt: null,
  streamStartedAt: null,
  completedAt: null,
  queueDeadline: '2026-11-21T08:00:00.000Z',
  runDeadline: null,
  onDisconnect: 'continue',
  graceSeconds: null,
  usage: null,
  finishReason: null,
  ownerId: llm.ownerId,
  createdAt: '2026-11-21T07:00:00.000Z',
  owner: 'ada',
  tokenName: 'laptop',
  queueMs: 1_234,
  ttftMs: null,
};

export const whoami = {
  ...{ user: 'ada', token: 'laptop', expiresAt: null },
  ...{ binding: 'admin', version: '0.1.0' },
};

export const token = {
  id: '019a6f3e-0000-7000-8000-0000000000d1',
  name: 'laptop',
  prefix: 'mcpctl_aB3x',
  user: 'ada',
  binding: 'admin',
  pools: null,
  createdAt: '2026-11-21T06:00:00.000Z',
  lastUsedAt: '2026-11-21T06:58:00.000Z',
  expiresAt: null,
  revokedAt: null,
};
