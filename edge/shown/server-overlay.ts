import { z } from 'zod';
import { poolOfServer } from '../../core/mcp/names.ts';
import type { Lack } from '../../core/queue/live/hosted-servers.ts';
import type { ResourceRow } from '../../core/registry/resources/rows.ts';
import type { Overlay, OverlayDeps } from '../resources/overlay.ts';
import { statusIn } from './agent-overlay.ts';

/** A server is there while a worker serves the pool of its calls; what is wrong with it, says that worker. */
export const serverOverlay: Overlay = async (rows, { liveness, registry, queue }) => {
  const keys = rows.map(({ values }) => poolOfServer(String(values['name'])));
  const pools = await liveness.loadPools(keys);
  const made = rows.map(({ values }) => ofTemplateSchema.safeParse(values['source']).data);
  const names = [...new Set(made.flatMap((of) => of?.template ?? []))];
  const versions = await registry.templates.versions(names);
  const lacks = await lacksOf(queue, rows, keys);
  return keys.map((key, at) => {
    const pool = pools.find((candidate) => candidate.key === key);
    const [member] = pool?.members ?? [];
    const isHosted = (rows[at]?.values['source'] ?? null) !== null;
    const isServed = !isHosted || (member?.servedBy ?? 0) > 0;
    return {
      kind: isHosted ? 'public' : 'virtual',
      status: isServed ? statusIn(pool, null) : 'inactive',
      reason: isHosted
        ? (member?.misconfigured ?? (isServed ? null : whyNotServed(lacks.get(key) ?? null)))
        : (member?.row.misconfigured ?? null),
      update: updateOf(made[at], versions),
    };
  });
};

/** Asked of those alone that hosted workers run; Redis away is no reason to show none of them. */
async function lacksOf(
  queue: OverlayDeps['queue'],
  rows: readonly ResourceRow[],
  keys: readonly string[],
): Promise<ReadonlyMap<string, Lack | null>> {
  const hosted = keys.filter((_key, at) => (rows[at]?.values['source'] ?? null) !== null);
  const lacks = await queue.hostedServers.lacks(hosted).catch(() => []);
  return new Map(hosted.map((key, at) => [key, lacks[at] ?? null]));
}

function whyNotServed(lack: Lack | null): string {
  switch (lack) {
    case 'full':
      return 'No hosted worker serves it: each runs as many MCP servers as it may (32). Run another hosted worker, or delete a server.';
    case 'owner_full':
      return 'No hosted worker serves it: each runs as many MCP servers of its owner as of one user it may (24). Run another hosted worker, or delete one of them.';
    case 'no_home':
      return 'No hosted worker serves it: one cannot keep what it must, see to the folder mcp of its $MCPCTL_HOME; its log says why.';
    case null:
      return 'No hosted worker serves it.';
  }
}

const ofTemplateSchema = z.object({ template: z.string(), version: z.string() });

function updateOf(
  of: z.infer<typeof ofTemplateSchema> | undefined,
  versions: ReadonlyMap<string, string>,
): string | null {
  const newest = of && versions.get(of.template);
  return newest === undefined || newest === of?.version ? null : `${of?.version ?? ''} -> ${newest}`;
}
