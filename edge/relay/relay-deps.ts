import type { FlowDeps } from '../../core/flow/deps.ts';
import type { Presence } from '../../core/member/presence.ts';
import type { Redis } from '../../core/queue/link/connect.ts';
import type { QueueDoor } from '../../core/queue/door.ts';
import type { Fetchers } from '../../core/queue/jobs/fetchers.ts';
import type { Keys } from '../../core/queue/keys.ts';
import type { Markers } from '../../core/queue/jobs/markers.ts';
import type { Wakes } from '../../core/queue/live/wake.ts';
import type { RedisPlaceSettings } from '../../core/queue/link/where.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Settings } from '../../core/runtime/settings/settings.ts';
import type { Openable } from '../../core/member/switch.ts';
import type { Authority } from '../believed/authority.ts';
import type { Heartbeats } from './heartbeats.ts';
import type { Sight } from './sight.ts';
import type { Losses } from './losses.ts';
import type { Rests } from './rests.ts';

export interface RelayOptions {
  config: RedisPlaceSettings &
    Settings<'leaseMs' | 'eventKeepMs' | 'eventBytes' | 'graceMs' | 'runMs' | 'firstEventMs'>;
  registry: Registry;
  queue: Pick<QueueDoor, 'keys' | 'subscriber' | 'dispatch' | 'steps'>;
  presence: Presence;
  heartbeats: Heartbeats;
  authority: Pick<Authority, 'hold'>;
  flow: FlowDeps;
  bus: Bus;
  clock: Clock;
  log: Log;
  /** Aborted by SIGTERM: the sessions held here are to find another edge. */
  stopping: AbortSignal;
}

/** What everything of the relay is given. */
export interface RelayDeps extends RelayOptions {
  /** Waits for a Redis that is away: what is said of a claim must not be lost. */
  commands: Redis;
  keys: Keys;
  fetchers: Fetchers;
  markers: Markers;
  wakes: Wakes;
  sight: Sight;
  losses: Losses;
  rests: Rests;
  /** Closed while Redis may have lost what it said before. */
  trusted: Openable;
}

/** The provider session that a stream carries. */
export interface Carried {
  session: string;
  /** The `instanceId` of the worker's process. */
  boot: string;
  /** Of this stream. */
  nonce: string;
  /** The worker says each second which claims it runs; for one that is too old to, the relay vouches. */
  beats: boolean;
  /** The worker gets large requests by a call of its own; one that is too old to has them on this stream, one after the other. */
  fetches: boolean;
}
