import { poolOfServer } from '../../core/mcp/names.ts';
import type { Overlay } from '../resources/overlay.ts';
import { statusIn } from './agent-overlay.ts';

/** A server is there while a worker serves the pool of its calls; what is wrong with it, says that worker. */
export const serverOverlay: Overlay = async (rows, { liveness }) => {
  const keys = rows.map(({ values }) => poolOfServer(String(values['name'])));
  const pools = await liveness.loadPools(keys);
  return keys.map((key) => {
    const pool = pools.find((candidate) => candidate.key === key);
    return { status: statusIn(pool, null), reason: pool?.members[0]?.row.misconfigured ?? null };
  });
};
