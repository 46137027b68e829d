import { redisPlaceNames } from '../../core/queue/link/where.ts';
import type { Liveness } from '../../core/flow/alive/liveness.ts';
import type { TakeBackDeps } from '../../core/flow/take-back.ts';
import type { QueueDoor } from '../../core/queue/door.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Round } from '../../core/runtime/each-item.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { OpenPools } from '../open-pools.ts';
import type { SettingName, Settings } from '../../core/runtime/settings/settings.ts';

/**
 * Something that the leader does again and again. Each is a compare-and-set throughout: run twice, or by two
 * leaders, it changes nothing. A duty that throws is run again at its next turn.
 */
export interface Duty {
  name: string;
  everyMs: number;
  /** @returns how many things it changed. */
  run(signal: AbortSignal): Promise<number>;
}

export const schedulerSettings = [
  'databaseUrl',
  ...redisPlaceNames,
  'schema',
  'databasePool',
  'databaseSslMode',
  'databaseCa',
  'logLevel',
  'commit',
  'healthPort',
  'healthHost',
  'eventKeepMs',
  'leaseMs',
  'goneMs',
  'nameKeepMs',
  'sweepMs',
  'leaderMs',
  'deadBeatMs',
  'deadBeatSseMs',
  'retentionMs',
  'threadRetentionMs',
  'auditKeepDays',
  'maxUserKeptBytes',
  'maxKeptBytes',
  'maxUserKeptTasks',
  'maxKeptTasks',
  'maxUserEventMemory',
  'maxEventMemory',
  'secretsKeysFile',
  'secretsKey',
  'hostedRedisPassword',
] as const satisfies readonly SettingName[];
export type SchedulerConfig = Settings<(typeof schedulerSettings)[number]>;

export interface DutyDeps {
  config: SchedulerConfig;
  registry: Registry;
  queue: QueueDoor;
  flow: TakeBackDeps & { liveness: Pick<Liveness, 'loadPool' | 'loadPools'> };
  pools: OpenPools;
  clock: Clock;
  log: Log;
}

/** Tells how a duty's rounds went over its items, together. @returns what `Duty.run` does. */
export function announced({ flow }: Pick<DutyDeps, 'flow'>, duty: string, ...rounds: Round[]): number {
  const sumOf = (count: keyof Round): number => rounds.reduce((sum, round) => sum + round[count], 0);
  const [left, failed, ended] = [sumOf('left'), sumOf('failed'), sumOf('ended')];
  if (left + failed + ended > 0) flow.bus.emit('duty.left', { duty, left, failed, ended });
  return sumOf('did') + ended;
}
