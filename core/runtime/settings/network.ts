import { z } from 'zod';

const text = z.string().optional();

/** How a worker and the CLI get to the edge through a company's network. Part of the one table in settings.ts. */
export const networkSettings = {
  httpProxy: {
    env: 'HTTP_PROXY',
    about:
      'the proxy between a worker or `mcpctl` and an edge at `http://…`, like `http://proxy.example:8080`',
    schema: () => text,
  },
  httpsProxy: {
    env: 'HTTPS_PROXY',
    about: 'the proxy between a worker or `mcpctl` and an edge at `https://…`; without it HTTP_PROXY',
    schema: () => text,
  },
  noProxy: {
    env: 'NO_PROXY',
    about: 'hosts that a worker or `mcpctl` reaches without the proxy, separated by commas; `*` for all',
    schema: () => text,
  },
  caFile: {
    env: 'MCPCTL_CA_FILE',
    about: 'a PEM file with further certificate authorities that a worker or `mcpctl` trusts at the edge',
    schema: () => text,
  },
  nodeCaFile: {
    env: 'NODE_EXTRA_CA_CERTS',
    about: "node's own setting of the same kind; both are heeded",
    schema: () => text,
  },
} as const;

/** People write the names of these three in small letters too. */
export function withProxies<T extends Readonly<Record<string, string | undefined>>>(env: T): T {
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];
  return { ...env, ...Object.fromEntries(names.map((name) => [name, env[name] ?? env[name.toLowerCase()]])) };
}
