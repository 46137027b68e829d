import { join } from 'node:path';
import { MCP_TYPE, poolOfServer } from '../../core/mcp/names.ts';
import type { ServerOrder, ServerSays } from '../../core/mcp/process/orders.ts';
import type { ToolsReport } from '../../core/mcp/tools.ts';
import { Slots } from '../../core/member/slots.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Opened } from '../backends/open-providers.ts';
import type { McpServerEntry } from '../sources/config-schema.ts';
import { Gate } from '../work/gate.ts';
import type { GroupGuard } from '../children/guard.ts';
import { Journal } from './journal.ts';
import { McpProvider } from './provider.ts';
import { launchEntry } from './launch.ts';
import { Supervised } from './supervised.ts';
import type { ResourcesTold } from './told/watched-resources.ts';

/** What is told of servers. */
export interface ServersTold {
  /** Its tools are known, or are others now. */
  changed(server: string): void;
  /** As `ResourcesTold` has it. */
  resources(server: string, ...asked: Parameters<ResourcesTold>): ReturnType<ResourcesTold>;
}

/** The MCP servers of this machine, while it runs them. */
export interface McpServers {
  /** Each as a member of its own pool. */
  opened: readonly Opened[];
  /** Begins to run them. */
  begin(telling: ServersTold): void;
  /** What is known of the tools of one; null before it has ever told. */
  report(server: string): Omit<ToolsReport, 'providerSessionId'> | null;
  /** What one printed last beside its messages; null: there is none of that name. */
  printedBy(server: string): string | null;
  /** Does something about the process of one; null: there is none of that name. Never throws. */
  ordered(server: string, order: ServerOrder, after?: string): Promise<ServerSays | null>;
  /** Ends all of them, with what they have started. */
  stop(): Promise<void>;
}

export interface McpServersDeps {
  home: string;
  environment: Readonly<Record<string, string | undefined>>;
  /** Ends them when this worker is killed. */
  guard: GroupGuard;
  bus: Bus;
  clock: Clock;
  log: Log;
}

interface Shared extends McpServersDeps {
  journal: Journal;
}

interface Server {
  supervised: Supervised;
  opened: Opened;
}

/** @throws the file system's error where the journal cannot be kept: then nothing is run. */
export function openServers(entries: readonly McpServerEntry[], deps: McpServersDeps): McpServers {
  const journal = Journal.open(join(deps.home, 'mcp', 'journal'), deps.clock.now());
  let listener: ServersTold = { changed: () => undefined, resources: () => Promise.resolve(null) };
  const passing: ServersTold = {
    changed: (server) => listener.changed(server),
    resources: (server, updated) => listener.resources(server, updated),
  };
  const servers = entries.map((entry) => openServer(entry, { ...deps, journal }, passing));
  const named = (server: string): Supervised | undefined =>
    servers.find(({ supervised }) => supervised.name === server)?.supervised;
  return {
    opened: servers.map(({ opened }) => opened),
    begin(telling) {
      listener = telling;
      for (const { supervised } of servers) supervised.begin();
    },
    report(server) {
      const introduced = named(server)?.introduced;
      if (!introduced) return null;
      return {
        server,
        journal: journal.id,
        info: introduced.info,
        tools: [...introduced.tools],
        tooLarge: [...introduced.tooLarge],
        ...introduced.offers,
      };
    },
    ordered: async (server, order, after) => (await named(server)?.ordered(order, after)) ?? null,
    printedBy: (server) => named(server)?.printed ?? null,
    async stop() {
      await Promise.all(servers.map(({ supervised }) => supervised.stop()));
      journal.close();
    },
  };
}

function openServer(entry: McpServerEntry, { journal, bus, ...deps }: Shared, telling: ServersTold): Server {
  const name = poolOfServer(entry.name);
  const { clock } = deps;
  const supervised: Supervised = new Supervised({
    ...deps,
    name: entry.name,
    limits: entry,
    healthCheck: entry.healthCheck,
    launch: launchEntry(entry, deps),
    onTools: () => telling.changed(entry.name),
    tellResources: (updated) => telling.resources(entry.name, updated),
    onState: () => {
      if (supervised.reason === null) gate.relisted();
      else gate.unlisted(supervised.reason);
    },
  });
  const provider = new McpProvider({ name, supervised, journal, clock });
  const gate = new Gate({ bus, clock, llm: name, isAvailable: () => provider.isAvailable() });
  const configured = {
    name,
    type: MCP_TYPE,
    backend: name,
    model: MCP_TYPE,
    maxConcurrency: entry.slots,
    concurrencyStated: true,
    stallMs: entry.callSeconds * 1_000,
  };
  const learnt = { capabilities: { operations: [] } }; // no llm: nobody's chat goes there
  const opened = { configured, provider, gate, slots: new Slots(entry.slots), slotGroup: name, learnt };
  return { supervised, opened };
}
