import { stat } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { type Fault, McpctlError } from '../../core/errors.ts';
import { MOST_PUBLISHED, type AgentOffer } from '../../core/member/protocol.ts';
import { writtenPath } from '../../core/runtime/files/home.ts';
import { readPlainFile } from '../../core/runtime/files/plain-file.ts';
import { isProviderType, providerTypes, type ProviderTypeName } from '../providers/index.ts';
import type { ParamRules } from '../providers/http/params.ts';
import { endpointsAt, writtenAs } from '../providers/http/url.ts';
import {
  configSchema,
  faultsOf,
  unknownSections,
  type ManagedEntry,
  type McpServerEntry,
  type ProviderEntry,
  type SleepEntry,
  type Wake,
} from './config-schema.ts';
import type { QuietSpan } from '../owner/quiet-hours.ts';
import { jsonFile } from './json-file.ts';

/** A provider of the configuration with its defaults filled in. */
export interface ConfiguredProvider {
  name: string;
  type: ProviderTypeName;
  url: string;
  /** The same text for the same backend, however its URL is written: its llms share one count of slots. */
  backend: string;
  model: string;
  tier?: string;
  publish: boolean;
  poolName?: string;
  maxConcurrency: number;
  /** Whether a person has set `maxConcurrency`; otherwise what the backend says of its slots goes before it. */
  concurrencyStated: boolean;
  wake?: Wake;
  /** The worker starts it itself: of all llms of that backend, said by one of them. */
  managed?: ManagedEntry;
  /** What puts it to sleep. */
  sleep?: SleepEntry;
  /** Without a call for so long it is put to sleep, or stopped. */
  idleStopMs?: number;
  /** The hours in which its owner keeps it for themselves. */
  quiet: readonly QuietSpan[];
  /** What runs as such an hour begins is handed back. */
  quietCuts: boolean;
  /** It takes nothing while others than this worker use the machine. */
  ownerFirst: boolean;
  stallMs: number;
  params: ParamRules;
  /** The key, read anew each time where it is in a file. @throws McpctlError when that cannot be read. */
  readKey: () => Promise<string | undefined>;
}

export interface WorkerConfig {
  providers: ConfiguredProvider[];
  /** Those with `publish: true`. */
  published: ConfiguredProvider[];
  /** MCP servers with `publish: true`. */
  mcpServers: McpServerEntry[];
  /** The port of this machine at which its programs find the projects; null: none. */
  listen: number | null;
  /** Each is published. */
  agents: AgentOffer[];
  /** Sentences for the log. */
  warnings: string[];
}

/**
 * @param text what is in config.json.
 * @param home the folder that a relative `apiKeyFile` is in.
 * @throws McpctlError `invalid_config` with every fault and its path in one message.
 */
export function parseWorkerConfig(text: string, home: string): WorkerConfig {
  const json = jsonFile(text, 'config.json');
  const parsed = configSchema.safeParse(json);
  if (!parsed.success) throw faulty(parsed.error.issues.flatMap(faultsOf));
  const providers = parsed.data.providers.map((provider) => configured(provider, { home, ...parsed.data }));
  const twice = keptTwice(providers);
  if (twice.length > 0) throw faulty(twice);
  const published = providers.filter((provider) => provider.publish);
  if (published.length > MOST_PUBLISHED) throw faulty([tooMany(published.length)]);
  const warnings = unknownSections(parsed.data);
  const mcpServers = parsed.data.mcpServers.filter((server) => server.publish);
  const { agents, mcp } = parsed.data;
  return { providers, published, mcpServers, listen: mcp.listen ?? null, agents, warnings };
}

function faulty(faults: Fault[]): McpctlError {
  const lines = faults.map((fault) => `  ${fault.path}: ${fault.message}`).join('\n');
  return new McpctlError('invalid_config', `config.json has faults:\n${lines}`, { details: faults });
}

/** The server would refuse all of them for it. */
const tooMany = (count: number): Fault => ({
  path: 'providers',
  message: `${String(count)} are published, and one machine publishes ${String(MOST_PUBLISHED)} at most: take "publish" from the others`,
});

/** One backend is started, and put to sleep, in one way, whatever llms it has. */
function keptTwice(providers: readonly ConfiguredProvider[]): Fault[] {
  return (['managed', 'sleep'] as const).flatMap((key) =>
    providers.flatMap((provider, index) => {
      const first = providers.findIndex((other) => other.backend === provider.backend && other[key]);
      const one = providers[first]?.[key];
      if (provider[key] === undefined || isDeepStrictEqual(one, provider[key])) return [];
      const message = `differs from that of providers[${String(first)}], which has the same url: give it once`;
      return [{ path: `providers[${String(index)}].${key}`, message }];
    }),
  );
}

/** Reads config.json; one that is missing is an empty one, with a warning. */
export async function readWorkerConfig(path: string, home: string): Promise<WorkerConfig> {
  let text: string;
  let mode: number;
  try {
    text = readPlainFile(path);
    mode = (await stat(path)).mode;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new McpctlError('invalid_config', `${path} cannot be read; check its permissions.`);
    }
    return {
      providers: [],
      published: [],
      mcpServers: [],
      listen: null,
      agents: [],
      warnings: [`There is no ${path}: nothing to publish.`],
    };
  }
  const config = parseWorkerConfig(text, home);
  if ((mode & 0o077) !== 0 && /"apiKey"\s*:/.test(text)) {
    config.warnings.push(`${path} holds a key and others can read it; run: chmod 600 ${path}`);
  }
  return config;
}

function configured(
  provider: ProviderEntry,
  { home, ...owner }: { home: string } & Pick<ConfiguredProvider, 'quiet' | 'quietCuts' | 'ownerFirst'>,
): ConfiguredProvider {
  const { name, model, publish, tier, poolName, wake, managed, sleep } = provider;
  const idleStopSeconds = managed?.idleStopSeconds ?? sleep?.idleStopSeconds ?? provider.idleStopSeconds;
  const type = isProviderType(provider.type) ? provider.type : 'openai'; // the schema has refused others
  const url = provider.url ?? providerTypes[type].url;
  return {
    name,
    type,
    url,
    backend: endpointsAt(url, writtenAs(type)).models.href,
    model,
    publish,
    maxConcurrency: provider.maxConcurrency ?? providerTypes[type].maxConcurrency,
    concurrencyStated: provider.maxConcurrency !== undefined,
    quiet: provider.quiet ?? owner.quiet,
    quietCuts: provider.quietCuts ?? owner.quietCuts,
    ownerFirst: provider.ownerFirst ?? owner.ownerFirst,
    stallMs: Math.round(provider.stallSeconds * 1000),
    params: {
      drop: provider.dropParams ?? [],
      add: provider.addParams ?? {},
      rename: provider.renameParams ?? {},
    },
    readKey: keyReader(provider, home),
    ...(tier === undefined ? {} : { tier }),
    ...(poolName === undefined ? {} : { poolName }),
    ...(wake === undefined ? {} : { wake }),
    ...(managed === undefined ? {} : { managed }),
    ...(sleep === undefined ? {} : { sleep }),
    ...(idleStopSeconds === undefined ? {} : { idleStopMs: Math.round(idleStopSeconds * 1_000) }),
  };
}

const MOST_KEY_BYTES = 64 * 1024;

function keyReader(provider: ProviderEntry, home: string): () => Promise<string | undefined> {
  const { apiKey, apiKeyFile } = provider;
  if (apiKeyFile === undefined) return () => Promise.resolve(apiKey);
  const path = writtenPath(apiKeyFile, home);
  return async () => {
    await Promise.resolve(); // whatever is wrong with it is a rejection
    try {
      return readPlainFile(path, MOST_KEY_BYTES).trim();
    } catch {
      throw new McpctlError(
        'backend_auth_failed',
        'The worker cannot read the file with the key of this backend.',
      );
    }
  };
}
