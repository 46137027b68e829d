/**
 * The demo engine as a process:
 *
 *   node dist/start/demo/main.js --port <port> --engine <folder> [--slots 4] [--verbose]
 *
 * `<folder>` is what `installDemoEngine` returned. Ready when `GET /health` answers 200 (503 while it loads). It
 * listens on 127.0.0.1 alone and ends on SIGTERM, SIGINT, or when a parent that gave it an IPC channel is gone.
 * Once it loads the model it is mute, except with `--verbose`; it then fails with exit code 1 alone.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { once } from 'node:events';
import { devNull } from 'node:os';
import { parseArgs } from 'node:util';
import { messageOf } from '../../core/errors.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { openEngine, type Engine } from './engine.ts';
import { demoModelId, demoModelPath } from './model.ts';
import { createDemoServer } from './server.ts';

const stopMs = 2_000;
const say = (sentence: string): void => void writeSync(2, `${sentence}\n`);

/**
 * llama.cpp prints hundreds of lines when it loads, and the binding some for each request, and neither can be
 * asked not to. Each descriptor that is opened takes the lowest free one: again 1 and 2.
 */
function silence(): void {
  for (const descriptor of [1, 2]) {
    closeSync(descriptor);
    openSync(devNull, 'w');
  }
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      port: { type: 'string' },
      engine: { type: 'string' },
      slots: { type: 'string', default: '4' },
      verbose: { type: 'boolean', default: false },
    },
  });
  const { port, engine: packages, slots, verbose } = values;
  if (port !== undefined && packages !== undefined) {
    return { port: Number(port), packages, slots: Number(slots), verbose };
  }
  say('usage: main.js --port <port> --engine <folder> [--slots 4] [--verbose]');
  return process.exit(2);
}

async function main(): Promise<void> {
  const { port, packages, slots, verbose } = readArguments();
  const loaded: { engine?: Engine } = {};
  const server = createDemoServer({ engine: () => loaded.engine, clock });
  const stop = (): void => {
    setTimeout(() => process.exit(0), stopMs); // a generation that cannot be stopped does not keep us
    server.close(() => {
      void Promise.resolve(loaded.engine?.close()).finally(() => process.exit(0));
    });
    server.closeAllConnections(); // which stops what is generated for them
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'disconnect'] as const) process.once(signal, stop);
  const load = await openEngine(packages);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  say(`The demo model ${demoModelId} (a toy, not a useful model) is at http://127.0.0.1:${String(port)}`);
  if (!verbose) silence();
  loaded.engine = await load({ model: demoModelPath(), slots });
}

main().catch((thrown: unknown) => {
  say(`The demo engine could not start: ${messageOf(thrown)}`);
  process.exit(1);
});
