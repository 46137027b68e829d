import { z } from 'zod';
import { poolOfServer } from '../../core/mcp/names.ts';
import type { Overlay } from '../resources/overlay.ts';
import { statusIn } from './agent-overlay.ts';

/** A server is there while a worker serves the pool of its calls; what is wrong with it, says that worker. */
export const serverOverlay: Overlay = async (rows, { liveness, registry }) => {
  const keys = rows.map(({ values }) => poolOfServer(String(values['name'])));
  const pools = await liveness.loadPools(keys);
  const made = rows.map(({ values }) => ofTemplateSchema.safeParse(values['source']).data);
  const names = [...new Set(made.flatMap((of) => of?.template ?? []))];
  const versions = await registry.templates.versions(names);
  return keys.map((key, at) => {
    const pool = pools.find((candidate) => candidate.key === key);
    const [member] = pool?.members ?? [];
    const isHosted = (rows[at]?.values['source'] ?? null) !== null;
    const isServed = !isHosted || (member?.servedBy ?? 0) > 0;
    return {
      kind: isHosted ? 'public' : 'virtual',
      status: isServed ? statusIn(pool, null) : 'inactive',
      reason: isHosted
        ? (member?.misconfigured ?? (isServed ? null : 'No hosted worker serves it.'))
        : (member?.row.misconfigured ?? null),
      update: updateOf(made[at], versions),
    };
  });
};

const ofTemplateSchema = z.object({ template: z.string(), version: z.string() });

function updateOf(
  of: z.infer<typeof ofTemplateSchema> | undefined,
  versions: ReadonlyMap<string, string>,
): string | null {
  const newest = of && versions.get(of.template);
  return newest === undefined || newest === of?.version ? null : `${of?.version ?? ''} -> ${newest}`;
}
