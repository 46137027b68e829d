import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { McpctlError, messageOf } from '../core/errors.ts';
import type { Home } from '../core/runtime/files/home.ts';
import { writeJson } from './credentials.ts';
import { demoEngine, type DemoEngine } from './demo/demo-engine.ts';
import { demoModelId } from './demo/model.ts';
import { discoverBackends } from '../core/discover/discover.ts';
import { suggestProviders } from '../core/discover/suggest.ts';
import { freePort, isFree } from './port.ts';
import type { Say } from './server.ts';

/** What answers on this machine. */
export interface Backend {
  /** The demo engine, when the configuration has it. */
  engine?: DemoEngine;
  /** The names that the worker publishes, the one to try first in front. */
  names: readonly string[];
  /** Whether the first of them is a toy, which is said wherever a person sees it. */
  demo: boolean;
}

export interface FindBackendDeps {
  home: Home;
  /** The host's name: part of the names that are suggested. */
  host: string;
  /** The program and first arguments that are npm. */
  npm: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  say: Say;
}

const providerSchema = z.looseObject({
  name: z.string(),
  model: z.string().optional(),
  url: z.string().optional(),
  publish: z.boolean().optional(),
});
const configSchema = z.looseObject({ providers: z.array(providerSchema).default([]) });
type Config = z.infer<typeof configSchema>;
type Provider = z.infer<typeof providerSchema>;

/**
 * What to publish: what `config.json` says, if it is there; else what is found on this machine; else the demo
 * model. What was decided is written to `config.json`, which is the person's to change from then on.
 * @throws McpctlError `setup_failed` when that file cannot be used, or the demo engine cannot.
 */
export async function findBackend(deps: FindBackendDeps): Promise<Backend> {
  const { home } = deps;
  const config = existsSync(home.config) ? readConfigFile(home.config) : await decide(deps);
  const published = config.providers.filter((provider) => provider.publish === true);
  const demo = published.find(isDemo);
  const names = published.map((provider) => provider.name);
  if (!demo) return { names, demo: false };
  const port = await portOf(demo, config, home);
  return { engine: await demoEngine({ ...deps, port }), names, demo: published[0] === demo };
}

async function decide({ home, host, env, say }: FindBackendDeps): Promise<Config> {
  say('Looking for LM Studio, Ollama, vLLM, llama.cpp and others on this machine.');
  const discovered = await discoverBackends({ ollamaHost: env.OLLAMA_HOST });
  const suggestions = suggestProviders(discovered, host).map(({ provider }) => provider);
  if (suggestions.length === 0) {
    say('None runs here, so a demo model is served: tiny-chat, a toy of 0.5 MB.');
    say(`To publish a real one: start its server, delete ${home.config}, and run npm start again.`);
  }
  for (const { type, url, model, name } of suggestions)
    say(`Found ${type} at ${url}: ${model} is published as ${name}.`);
  const providers: Provider[] =
    suggestions.length > 0 ? suggestions.map((entry) => ({ ...entry })) : [await demoProvider()];
  const config = { providers, agents: [] };
  writeJson(home.config, config);
  return config;
}

async function demoProvider(): Promise<Provider> {
  const url = urlOf(await freePort());
  return { name: 'tiny-chat', type: 'openai', url, model: demoModelId, publish: true };
}

const urlOf = (port: number): string => `http://127.0.0.1:${port}`;

function isDemo({ model, url }: Provider): boolean {
  return (
    model === demoModelId && url !== undefined && URL.canParse(url) && new URL(url).hostname === '127.0.0.1'
  );
}

/** That of the configuration; another one, written there, when somebody has taken it meanwhile. */
async function portOf(demo: Provider, config: Config, home: Home): Promise<number> {
  const port = Number(new URL(demo.url ?? '').port);
  if (port > 0 && (await isFree(port))) return port;
  const other = await freePort();
  demo.url = urlOf(other);
  writeJson(home.config, config);
  return other;
}

function readConfigFile(path: string): Config {
  try {
    return configSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (thrown) {
    const why = thrown instanceof z.ZodError ? z.prettifyError(thrown) : messageOf(thrown);
    throw new McpctlError('setup_failed', `${path} cannot be used: ${why}`);
  }
}
