#!/usr/bin/env node
import { messageOf } from '../core/errors.ts';
import { inspectRedis } from '../core/queue/link/inspect.ts';
import { inspectDatabase } from '../core/registry/database/inspect.ts';
import { inspectSecretKeys } from '../core/registry/secrets/inspect-keys.ts';
import { readAndInspect } from '../core/runtime/settings/config.ts';
import { createLog, prettyOn } from '../core/runtime/log.ts';
import { untilSignal } from '../core/runtime/process/signals.ts';
import { plain } from '../core/runtime/plain.ts';
import { outliveRejections } from '../core/runtime/process/last-resort.ts';
import { createApp } from './app.ts';
import { composeEdge } from './compose.ts';
import { edgeSettings } from './deps.ts';

/** The edge's composition root: reads the environment, builds, starts, waits for a signal, stops in reverse. */
async function run(): Promise<void> {
  const config = await readAndInspect(process.env, edgeSettings, [
    inspectRedis,
    inspectDatabase,
    inspectSecretKeys,
  ]);
  const log = createLog({ process: 'edge', level: config.logLevel, pretty: await prettyOn(process.stdout) });
  outliveRejections(log, (code) => process.exit(code));
  const { deps, server, services, stop } = composeEdge({ config, log, makeApp: createApp });
  const signalled = untilSignal(() => process.exit(1));
  await services.start?.();
  deps.bus.emit('service.ready', { service: 'edge' });
  log.info({ port: server.port() }, 'the edge listens');
  const signal = await signalled;
  stop();
  deps.bus.emit('service.stopping', { service: 'edge', signal });
  await services.stop();
  process.exit(0);
}

run().catch((thrown: unknown) => {
  process.stderr.write(plain(`mcpctl edge: ${messageOf(thrown)}\n`));
  process.exit(1);
});
