#!/usr/bin/env node
import { messageOf } from '../../core/errors.ts';
import { inspectRedis } from '../../core/queue/link/inspect.ts';
import { inspectDatabase } from '../../core/registry/database/inspect.ts';
import { readAndInspect } from '../../core/runtime/settings/config.ts';
import { createLog, prettyOn } from '../../core/runtime/log.ts';
import { untilSignal } from '../../core/runtime/process/signals.ts';
import { plain } from '../../core/runtime/plain.ts';
import { outliveRejections } from '../../core/runtime/process/last-resort.ts';
import { createRelayApp } from '../app.ts';
import { composeEdge } from '../compose.ts';
import { edgeSettings } from '../deps.ts';

/**
 * The relay as a process of its own: workers' calls on a port of their own, so that edges that serve callers hold no
 * worker's stream. The edge embeds the same.
 */
async function run(): Promise<void> {
  const config = await readAndInspect(process.env, edgeSettings, [inspectRedis, inspectDatabase]);
  const log = createLog({ process: 'relay', level: config.logLevel, pretty: await prettyOn(process.stdout) });
  outliveRejections(log, (code) => process.exit(code));
  const { deps, server, services, stop } = composeEdge({ config, log, makeApp: createRelayApp });
  const signalled = untilSignal(() => process.exit(1));
  await services.start?.();
  deps.bus.emit('service.ready', { service: 'relay' });
  log.info({ port: server.port() }, 'the relay listens');
  const signal = await signalled;
  stop();
  deps.bus.emit('service.stopping', { service: 'relay', signal });
  await services.stop();
  process.exit(0);
}

run().catch((thrown: unknown) => {
  process.stderr.write(plain(`mcpctl relay: ${messageOf(thrown)}\n`));
  process.exit(1);
});
