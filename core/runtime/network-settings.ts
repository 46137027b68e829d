import { z } from 'zod';

const text = z.string().optional();

/** How a worker gets to the edge through a company's network. Part of the one table in settings.ts. */
export const networkSettings = {
  httpProxy: {
    env: 'HTTP_PROXY',
    about: 'the proxy between a worker and an edge at `http://…`, like `http://proxy.example:8080`',
    schema: text,
  },
  httpsProxy: {
    env: 'HTTPS_PROXY',
    about: 'the proxy between a worker and an edge at `https://…`; without it HTTP_PROXY',
    schema: text,
  },
  noProxy: {
    env: 'NO_PROXY',
    about: 'hosts that a worker reaches without the proxy, separated by commas; `*` for all',
    schema: text,
  },
  caFile: {
    env: 'MCPCTL_CA_FILE',
    about: 'a PEM file with further certificate authorities that a worker trusts at the edge',
    schema: text,
  },
  nodeCaFile: {
    env: 'NODE_EXTRA_CA_CERTS',
    about: "node's own setting of the same kind; a worker heeds both",
    schema: text,
  },
} as const;
