import type { OverviewPool } from '../../core/operator/overview.ts';
import type { PoolView } from '../../core/pool.ts';
import { Table } from '../parts/table.tsx';
import { span } from '../parts/time.tsx';

/** As it is in a list of them, or on the overview. */
type Shown = PoolView | OverviewPool;

const slotsOf = (pool: Shown): number =>
  'slots' in pool ? pool.slots : pool.members.reduce((all, { slots }) => all + slots, 0);

const poolPath = (key: string): string => `/ui/pools/${encodeURIComponent(key)}`;

export function PoolTable({ pools }: { pools: readonly Shown[] }) {
  return (
    <Table
      caption="Pools"
      rows={pools}
      keyOf={({ poolKey }) => poolKey}
      columns={[
        { head: 'Pool', cell: ({ poolKey }) => <a href={poolPath(poolKey)}>{poolKey}</a> },
        { head: 'Serving', cell: ({ activeCount, size }) => `${String(activeCount)} of ${String(size)}` },
        { head: 'Slots', cell: (pool) => <Slots running={pool.running} slots={slotsOf(pool)} /> },
        {
          head: 'Waiting',
          cell: ({ pending, oldestPendingMs }) =>
            oldestPendingMs === null ? String(pending) : `${String(pending)}, ${span(oldestPendingMs)}`,
        },
        { head: 'Owner', wide: true, cell: ({ owner }) => owner ?? '–' },
        {
          head: 'Try',
          wide: true,
          cell: ({ poolKey }) => (
            <a href={`/ui/playground?llm=${encodeURIComponent(poolKey)}`}>
              Ask it<span class="hidden"> ({poolKey})</span>
            </a>
          ),
        },
      ]}
    />
  );
}

const MOST = 12;

/** Slots as cells, the running ones full. */
export function Slots({ running, slots }: { running: number; slots: number }) {
  const shown = Math.min(slots, MOST);
  const full = Math.min(running, shown);
  return (
    <span class="slots" role="img" aria-label={`${String(running)} of ${String(slots)} slots busy`}>
      <span aria-hidden="true">
        {'▮'.repeat(full)}
        {'▯'.repeat(shown - full)} {running}/{slots}
      </span>
    </span>
  );
}
