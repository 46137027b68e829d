import { readConfig } from '../../runtime/settings/config.ts';

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

/** The settings that say so. */
export const registryLimitNames = [
  'maxUserLlms',
  'maxUserPools',
  'maxUserSessions',
  'maxUserTokens',
  'maxUserThreads',
  'maxUserThreadBytes',
  'maxThreads',
  'maxAllThreadBytes',
  'maxThreadMessages',
  'maxThreadBytes',
  'maxQueuedTurns',
  'maxUserQueuedBytes',
  'quotas',
  'nameKeepMs',
  'leaseMs',
] as const satisfies readonly (keyof RegistryLimits)[];

/** Where nobody has set them. */
export const usualLimits: RegistryLimits = readConfig({}, registryLimitNames);
