import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { systemClock, type Clock } from '../../core/runtime/clock.ts';
import { GroupGuard } from '../../worker/children/guard.ts';
import { launchEntry } from '../../worker/mcp/launch.ts';
import { Supervised } from '../../worker/mcp/supervised.ts';
import type { ResourcesTold } from '../../worker/mcp/told/watched-resources.ts';
import type { McpServerEntry } from '../../worker/sources/config-schema.ts';

export const fixture = fileURLToPath(new URL('server.mjs', import.meta.url));

/** Supervised servers of one home, ended together. */
export interface Supervision {
  home: string;
  /** @param options of `server.mjs`, unless `more` names another program. */
  open(options?: readonly string[], more?: Partial<McpServerEntry>, clock?: Clock): Supervised;
  /** What it says of resources that are others now is told so; nobody wants to hear, where nothing is set. */
  tellResources: ResourcesTold;
  /** How often one of them has said that its tools are others. */
  changes: number;
  /** A file of that home. */
  at(name: string): string;
  /** The lines of a file of that home; none where there is no file. */
  lines(name: string): string[];
  close(): Promise<void>;
}

export function supervise(): Supervision {
  const home = mkdtempSync(join(tmpdir(), 'mcp-'));
  mkdirSync(join(home, 'secrets'));
  writeFileSync(join(home, 'secrets', 'github'), JSON.stringify({ token: 'very-secret-token\n' }));
  const guard = new GroupGuard();
  const begun: Supervised[] = [];
  const all: Supervision = {
    home,
    tellResources: () => Promise.resolve([]),
    changes: 0,
    open(options = [], more = {}, clock = systemClock) {
      const entry: McpServerEntry = {
        ...{
          name: 'fixture',
          command: process.execPath,
          args: [fixture, ...options],
          env: [],
          publish: true,
        },
        ...{ slots: 4, idleMinutes: 15, memoryMb: 1_024, startSeconds: 10, callSeconds: 10 },
        ...more,
      };
      const environment = {
        ...{ PATH: process.env['PATH'], HOME: home },
        ...{ REDIS_URL: 'redis://x', MCPCTL_TOKEN: 'secret' },
      };
      const server = new Supervised({
        ...{
          name: entry.name,
          limits: entry,
          healthCheck: entry.healthCheck,
          clock,
          log: pino({ level: 'silent' }),
        },
        launch: launchEntry(entry, { guard, home, environment }),
        tellResources: (updated) => all.tellResources(updated),
        onTools: () => void (all.changes += 1),
        onState: () => undefined,
      });
      begun.push(server);
      return server;
    },
    at: (name) => join(home, name),
    lines(name) {
      try {
        return readFileSync(join(home, name), 'utf8').split('\n').slice(0, -1);
      } catch {
        return []; // nobody has written it
      }
    },
    async close() {
      await Promise.all(begun.map((server) => server.stop()));
      guard.end();
      rmSync(home, { recursive: true });
    },
  };
  return all;
}

/** What a work that fails says; `nothing` where it does not fail. */
export const why = async (work: Promise<unknown>): Promise<string> =>
  await work.then(
    () => 'nothing',
    (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown)),
  );
