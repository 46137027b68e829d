#!/usr/bin/env node
import { entryOf, McpctlError, messageOf } from '../core/errors.ts';
import { createLiveness } from '../core/flow/alive/liveness.ts';
import { openQueueDoor } from '../core/queue/door.ts';
import { inspectRedis } from '../core/queue/link/inspect.ts';
import { connect } from '../core/registry/database/connect.ts';
import { sentenceOf } from '../core/registry/database/faults.ts';
import { inspectDatabase } from '../core/registry/database/inspect.ts';
import { isCurrent } from '../core/registry/database/migrate.ts';
import { usualLimits } from '../core/registry/names/limits.ts';
import { createRegistry } from '../core/registry/registry.ts';
import { stored } from '../core/resources/index.ts';
import { noKeyring, type KeyringSource } from '../core/runtime/keyring/keyring.ts';
import { openKeyring, type KeyringPlace } from '../core/runtime/keyring/open-keyring.ts';
import { createBus } from '../core/runtime/bus.ts';
import { systemClock } from '../core/runtime/clock.ts';
import { readAndInspect } from '../core/runtime/settings/config.ts';
import { createLog, prettyOn } from '../core/runtime/log.ts';
import { composeServices } from '../core/runtime/process/service.ts';
import { untilSignal } from '../core/runtime/process/signals.ts';
import { plain } from '../core/runtime/plain.ts';
import { outliveRejections } from '../core/runtime/process/last-resort.ts';
import { createDuties } from './duties/index.ts';
import { schedulerSettings, type DutyDeps } from './duties/duty.ts';
import { openHealth } from './health.ts';
import { Leader } from './leader.ts';
import { release } from './once/release.ts';
import { restore, restoreUsage } from './once/restore.ts';
import { OpenPools } from './open-pools.ts';
import { runDuties } from './run-duties.ts';
import { createTally } from './tally.ts';

/** The scheduler's composition root: any number of them run, one leads. */
async function run(): Promise<void> {
  const config = await readAndInspect(process.env, schedulerSettings, [inspectRedis, inspectDatabase]);
  const clock = systemClock;
  const pretty = await prettyOn(process.stdout);
  const log = createLog({ process: 'scheduler', level: config.logLevel, pretty });
  outliveRejections(log, (code) => process.exit(code));
  const bus = createBus(log);
  const connection = connect({ ...config, poolSize: config.databasePool, log });
  const keyring = keysOf(config, { clock, log });
  const registry = createRegistry(connection, usualLimits, { definitions: stored, keyring });
  const queue = openQueueDoor({ ...config, clock, log });
  const { dispatch, presence } = queue;
  const liveness = createLiveness({ registry, presence, leaseMs: config.leaseMs });
  const flow = { registry, dispatch, liveness, bus, by: 'scheduler' } as const;
  const deps: DutyDeps = {
    config,
    registry,
    queue,
    flow,
    pools: new OpenPools({ registry, queue, clock }),
    clock,
    log,
  };
  const duties = createDuties(deps);
  const tally = createTally({ queue, bus, clock, log });
  const leader = new Leader({
    leases: registry.leases,
    leaderMs: config.leaderMs,
    fit: () => queue.server.ping(),
    lead: (signal) => runDuties(duties, { signal, bus, clock, tally }),
    bus,
    clock,
    log,
  });
  const postgres = {
    name: 'postgres',
    start: async () => {
      if (!(await isCurrent(connection)))
        throw new McpctlError(
          'unavailable',
          'Migrations are missing; run: node dist/scheduler/main.js release',
        );
    },
    stop: () => connection.close(),
  };
  const ready = async (): Promise<void> => {
    await queue.server.ping();
    if (!(await isCurrent(connection))) throw new McpctlError('unavailable');
  };
  const health = await openHealth(config, { bus, ready });
  const services = composeServices([postgres, queue, tally, leader, ...(health ? [health] : [])], log);
  const signalled = untilSignal(() => process.exit(1));
  await services.start?.();
  if (health) log.info({ port: health.port() }, 'the health port listens');
  bus.emit('service.ready', { service: 'scheduler' });
  const signal = await signalled;
  bus.emit('service.stopping', { service: 'scheduler', signal });
  await services.stop();
  process.exit(0);
}

/** Keys that cannot be read are no reason to do nothing: then no secret is wrapped anew. */
function keysOf(place: KeyringPlace, deps: Parameters<typeof openKeyring>[1]): KeyringSource {
  try {
    return openKeyring(place, deps);
  } catch (thrown) {
    deps.log.warn({ why: messageOf(thrown) }, 'the keys of secrets cannot be read; none is wrapped anew');
    return noKeyring;
  }
}

const words = `"release", "release --grant-admin USER", "${restoreUsage}", or nothing`;
const usage = (word: string): Promise<never> =>
  Promise.reject(new McpctlError('usage', `'${word}' is not known; use ${words}.`));

/** What a process of the server is started as: it runs, or does one thing and leaves. */
async function chosen([word, ...args]: readonly string[]): Promise<void> {
  if (word === undefined) return run();
  if (word === 'restore') {
    process.exitCode = (await restore(process.env, args)) ? 3 : 0;
    return;
  }
  if (word !== 'release') return usage(word);
  const [option, admin] = args;
  if (option === undefined) return release(process.env, undefined);
  return option === '--grant-admin' && admin !== undefined ? release(process.env, admin) : usage(option);
}

/** What a person at the machine is told: what is wrong, and each fault of it. */
function failed(thrown: unknown): void {
  const details = thrown instanceof McpctlError ? (thrown.details ?? []) : [];
  const faults = details.map(({ path, message }) => `  ${path}: ${message}\n`).join('');
  process.stderr.write(plain(`mcpctl scheduler: ${sentenceOf(thrown)}\n${faults}`));
  process.exit(thrown instanceof McpctlError ? entryOf(thrown.code).exit : 1);
}

chosen(process.argv.slice(2)).catch(failed);
