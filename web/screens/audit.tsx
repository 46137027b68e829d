import type { AuditView } from '../../core/audit/query.ts';
import { Empty, Loaded } from '../parts/loaded.tsx';
import { Newest } from '../parts/newest.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { PageButtons, useList } from '../parts/paging.tsx';
import { Table } from '../parts/table.tsx';
import { Age } from '../parts/time.tsx';
import { Choice, ClearFilters, Typed } from '../shown/filters.tsx';
import { Status } from '../shown/status.tsx';
import { query } from '../state/router.ts';

const filters = ['actor', 'verb', 'resource', 'name', 'outcome', 'since'];
const verbs = ['create', 'edit', 'delete', 'run', 'view', 'reveal', 'impersonate', 'backup', 'restore'];

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** One field, with what it was and is where that may be told. */
function changeOf({ field, from, to, masked }: AuditView['changes'][number]): string {
  if (masked) return `${field} (not told)`;
  if (to === undefined && from === undefined) return field;
  return `${field}: ${from === undefined ? '' : `${textOf(from)} → `}${textOf(to ?? null)}`;
}

function Rows({ rows }: { rows: readonly AuditView[] }) {
  return (
    <Table
      caption="Audit"
      rows={rows}
      keyOf={({ id }) => id}
      columns={[
        { head: 'When', sorted: 'descending', cell: ({ at }) => <Age at={at} /> },
        {
          head: 'Who',
          cell: ({ actor, as, token }) => (
            <>
              <span class="whole">
                {actor ?? 'somebody'}
                {as !== null && ` as ${as}`}
              </span>
              {token !== null && <span class="quiet wide"> / {token}</span>}
            </>
          ),
        },
        { head: 'Did', cell: ({ verb, dryRun }) => `${verb}${dryRun ? ' (dry run)' : ''}` },
        { head: 'To', cell: ({ resource, name }) => `${resource}${name === null ? '' : `/${name}`}` },
        {
          head: 'Outcome',
          cell: ({ outcome, count }) => (
            <>
              <Status of={outcome} />
              {count > 1 && ` × ${String(count)}`}
            </>
          ),
        },
        { head: 'Changed', wide: true, cell: ({ changes }) => changes.map(changeOf).join('; ') || '–' },
        { head: 'From', wide: true, cell: ({ ip }) => ip ?? '–' },
        { head: 'Request', wide: true, cell: ({ requestId }) => requestId ?? '–' },
      ]}
    />
  );
}

function Filters() {
  return (
    <div class="filters">
      <Typed name="actor" label="Who" />
      <Choice name="verb" label="Did" of={verbs} any="anything" />
      <Typed name="resource" label="To what kind" />
      <Typed name="name" label="Called, or its id" />
      <Typed name="outcome" label="Outcome (ok, or a code)" />
      <Typed name="since" label="Since (2026-11-29T12:00:00Z)" />
    </div>
  );
}

/** What was written and refused; whoever may not see all sees what they did, and what was done to theirs. */
export function Audit() {
  const { page, paging, asked } = useList<AuditView>('/audit', { filters, topic: 'audit' });
  const chosen = filters.flatMap((name) => {
    const value = query.value.get(name);
    return value === null ? [] : [[name, value]];
  });
  const words = chosen.flatMap(([name = '', value = '']) => [`--${name}`, value]);
  const file = new URLSearchParams([...chosen, ['order', 'asc'], ['format', 'jsonl']]).toString();
  return (
    <Screen
      title="Audit"
      command={shell`mcpctl get audit ${words}`}
      actions={
        <a class="button" href={`/ui/api/v1/audit?${file}`} download data-whole>
          As a file
        </a>
      }
    >
      <Filters />
      <Loaded of={page}>
        {({ items, next }) => (
          <>
            {items.length > 0 ? (
              <Newest key={asked} rows={items} isFirst={paging.isFirst()}>
                {(rows) => <Rows rows={rows} />}
              </Newest>
            ) : chosen.length > 0 ? (
              <Empty why="No event is like that.">
                <ClearFilters names={filters} />
              </Empty>
            ) : (
              <Empty why="Nothing was written yet that you may see: what you do, and what is done to yours, will stand here.">
                <p>
                  <a href="/ui/r/tokens">Make a token</a>, and it is the first.
                </p>
              </Empty>
            )}
            <PageButtons paging={paging} next={next} />
          </>
        )}
      </Loaded>
    </Screen>
  );
}
