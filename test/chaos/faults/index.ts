import type { RedisKind } from '../servers.ts';
import type { Fault } from '../trial.ts';
import {
  backendBabbles,
  backendHalfOpen,
  backendHangs,
  backendRefuses,
  backendResets,
  backendSilent,
  backendStops,
} from './backends.ts';
import { callersVanish, edgeKilled, edgeRolled, slowReaders } from './edges.ts';
import { postgresHalfOpen, postgresKilled, rowsHeld, sessionsEnded } from './postgres.ts';
import {
  edgeHalfOpenAtWorker,
  redisEmpty,
  redisFailsOver,
  redisFlushed,
  redisHalfOpenAtEdge,
  redisHalfOpenAtWorker,
  redisRefuses,
  redisSlotMoved,
  redisSlow,
  redisStopped,
  redisTurnedBack,
} from './redis.ts';
import { leaderKilled } from './schedulers.ts';
import { oneAfterAnother } from './soak.ts';
import {
  allWorkersGone,
  allWorkersKilled,
  mostWorkersGone,
  onlyWorkerKilled,
  poison,
  workerKilled,
  workerStopped,
} from './workers.ts';

/** The same where the workers know nothing but the edges. */
const overSse = (fault: Fault): Fault => ({ ...fault, name: `${fault.name}; sse workers`, transport: 'sse' });

/** Every fault, by its number. A number never changes its meaning. */
export const faults: Readonly<Record<string, Fault>> = {
  F01: workerKilled,
  F02: onlyWorkerKilled,
  F03: workerStopped,
  F04: backendHangs,
  F05: backendResets,
  F06: backendStops,
  F07: backendBabbles,
  F08: redisEmpty,
  F09: redisFlushed,
  F10: redisStopped,
  F11: redisHalfOpenAtEdge,
  F12: redisHalfOpenAtWorker,
  F13: postgresKilled,
  F14: sessionsEnded,
  F15: postgresHalfOpen,
  F16: edgeKilled,
  F17: callersVanish,
  F18: leaderKilled,
  F19: poison,
  F20: slowReaders,
  F21: edgeRolled,
  F22: backendSilent,
  F23: backendRefuses,
  F24: redisSlow,
  F25: backendHalfOpen,
  F26: overSse(workerKilled),
  F27: overSse(onlyWorkerKilled),
  F28: overSse(workerStopped),
  F29: overSse(edgeHalfOpenAtWorker),
  F30: overSse(poison),
  F31: overSse(edgeKilled),
  F32: overSse(edgeRolled),
  F33: overSse(redisEmpty),
  F34: overSse(postgresKilled),
  F35: redisTurnedBack,
  F36: overSse(redisTurnedBack),
  F41: redisFailsOver,
  F42: overSse(redisFailsOver),
  F43: redisSlotMoved,
  F44: allWorkersKilled,
  F45: mostWorkersGone,
  F46: allWorkersGone,
  F47: overSse(allWorkersGone),
  F48: oneAfterAnother,
  F49: overSse(oneAfterAnother),
  F50: redisRefuses,
  F51: overSse(redisRefuses),
  F52: rowsHeld,
};

/** What is tried over each kind of Redis: over those with replicas what does not strike one server by its process or its wire. */
export const idsOver: Readonly<Record<RedisKind, readonly string[]>> = {
  single: Object.keys(faults).filter((id) => !['F41', 'F42', 'F43'].includes(id)),
  sentinel: ['F01', 'F03', 'F05', 'F14', 'F16', 'F18', 'F26', 'F31', 'F41', 'F42', 'F48'],
  cluster: ['F01', 'F03', 'F05', 'F14', 'F16', 'F18', 'F41', 'F43', 'F48'],
};
