import { probes, type FoundBackend } from './probes.ts';
import { createPeek } from './peek.ts';

/**
 * 1234 LM Studio · 8000 vLLM · 8080, 9931 llama.cpp and others · 30000 SGLang · 1337 Jan · 12434 Docker.
 * @internal
 */
export const usualPorts: readonly number[] = [1234, 11434, 8000, 8080, 9931, 30000, 1337, 12434];

export interface Discover {
  /** `OLLAMA_HOST` from the environment; only its port counts, and only where it is on this machine. */
  ollamaHost?: string | undefined;
  /** Instead of the usual ones. */
  ports?: readonly number[];
}

/**
 * Looks for backends on this machine: loopback only, every port at once, 2 s for each answer (about a
 * second in all, where none is slow). Never throws. Found does not mean published; what to publish is suggested by
 * `suggestProviders` (discover/suggest.ts):
 *
 *   const found = await discoverBackends({ ollamaHost: env.OLLAMA_HOST });
 *   const providers = suggestProviders(found, hostname());  // entries of config.json
 */
export async function discoverBackends(where: Discover = {}): Promise<FoundBackend[]> {
  const backends = await Promise.all(portsLookedAt(where).map(backendAt));
  return backends.filter((backend) => backend !== undefined);
}

export function portsLookedAt({ ollamaHost, ports = usualPorts }: Discover): number[] {
  const ollamaPort = portOf(ollamaHost);
  return [...new Set([...ports, ...(ollamaPort === undefined ? [] : [ollamaPort])])];
}

/** All fingerprints are taken at once; the first in their order that fits decides. */
async function backendAt(port: number): Promise<FoundBackend | undefined> {
  const peek = createPeek(port);
  const fits = await Promise.all(probes.map((probe) => probe(peek)));
  return fits.find((backend) => backend !== undefined);
}

/** `127.0.0.1:11434`, `:11434`, `http://localhost:11434`, `0.0.0.0`; undefined when it is another machine. */
function portOf(ollamaHost: string | undefined): number | undefined {
  if (ollamaHost === undefined || ollamaHost.trim() === '') return undefined;
  const bare = ollamaHost.trim().replace(/^:/, '127.0.0.1:');
  const text = bare.includes('://') ? bare : `http://${bare}`;
  if (!URL.canParse(text)) return undefined;
  const { hostname, port } = new URL(text);
  const here = /^(localhost|127(\.\d+){3}|0\.0\.0\.0|\[::1?\])$/.test(hostname);
  return here ? Number(port === '' ? 11434 : port) : undefined;
}
