import { settings } from '../../runtime/settings/settings.ts';

/** How much one user may have in the registry, and for how long what nobody uses any more stays theirs. */
export interface RegistryLimits {
  maxUserLlms: number;
  maxUserPools: number;
  maxUserSessions: number;
  maxUserTokens: number;
  maxUserThreads: number;
  maxUserThreadBytes: number;
  maxThreads: number;
  maxAllThreadBytes: number;
  maxThreadMessages: number;
  maxThreadBytes: number;
  maxQueuedTurns: number;
  maxUserQueuedBytes: number;
  /** Like `prompt=500/20000`: of a resource how many one user may have, and all; else as its definition says. */
  quotas: readonly string[];
  nameKeepMs: number;
  /** A session that was silent for so long, and has no llm, makes room for another. */
  leaseMs: number;
}

/** As the settings say where nobody has set them. */
export const usualLimits: RegistryLimits = {
  maxUserLlms: settings.maxUserLlms.schema().parse(undefined),
  maxUserPools: settings.maxUserPools.schema().parse(undefined),
  maxUserSessions: settings.maxUserSessions.schema().parse(undefined),
  maxUserTokens: settings.maxUserTokens.schema().parse(undefined),
  maxUserThreads: settings.maxUserThreads.schema().parse(undefined),
  maxUserThreadBytes: settings.maxUserThreadBytes.schema().parse(undefined),
  maxThreads: settings.maxThreads.schema().parse(undefined),
  maxAllThreadBytes: settings.maxAllThreadBytes.schema().parse(undefined),
  maxThreadMessages: settings.maxThreadMessages.schema().parse(undefined),
  maxThreadBytes: settings.maxThreadBytes.schema().parse(undefined),
  maxQueuedTurns: settings.maxQueuedTurns.schema().parse(undefined),
  maxUserQueuedBytes: settings.maxUserQueuedBytes.schema().parse(undefined),
  quotas: settings.quotas.schema().parse(undefined),
  nameKeepMs: settings.nameKeepMs.schema().parse(undefined),
  leaseMs: settings.leaseMs.schema().parse(undefined),
};
