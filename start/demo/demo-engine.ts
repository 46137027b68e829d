import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Home } from '../../core/runtime/files/home.ts';
import { installDemoEngine } from './install.ts';
import type { GuardSpec } from '../guard/spec.ts';
import type { Say } from '../server.ts';
import { stopMs } from '../keep/stages.ts';

/** How to run it, and whether it answers. */
export interface DemoEngine {
  prepare: () => Promise<GuardSpec>;
  isReady: () => Promise<boolean>;
}

export interface DemoEngineDeps {
  home: Home;
  port: number;
  npm: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  say: Say;
}

const program = fileURLToPath(new URL(`./main${extname(import.meta.url)}`, import.meta.url));
const HEALTH_MS = 1_000;

/** Installs the demo engine where it is missing, and says how to run it. */
export async function demoEngine(deps: DemoEngineDeps): Promise<DemoEngine> {
  const { home, port, npm, env, say } = deps;
  const folder = await installDemoEngine({ home, npm, say });
  const args = [...process.execArgv, program, '--port', String(port), '--engine', folder];
  return {
    prepare: async () => ({
      command: process.execPath,
      args,
      env,
      stopSignal: 'SIGTERM',
      stopMs: stopMs.engines,
    }),
    async isReady() {
      try {
        const signal = AbortSignal.timeout(HEALTH_MS);
        const answer = await fetch(`http://127.0.0.1:${port}/health`, { signal });
        await answer.arrayBuffer();
        return answer.ok;
      } catch {
        return false; // it does not listen yet
      }
    },
  };
}
