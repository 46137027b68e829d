import type { MemberView, PoolView } from '../../core/pool.ts';
import { useLoad } from '../net/load.ts';
import type { Page } from '../net/api.ts';
import { Empty, Loaded } from '../parts/loaded.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { PoolTable, Slots } from '../shown/pool-table.tsx';
import { Status } from '../shown/status.tsx';
import { Table } from '../parts/table.tsx';
import { Age, now, span } from '../parts/time.tsx';
import { named } from '../state/router.ts';

export function Pools() {
  const pools = useLoad<Page<PoolView>>('/pools?limit=500', 'pools');
  return (
    <Screen title="Pools" command={shell`mcpctl get pools`}>
      <Loaded of={pools}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty why="No pool that you may see: none was made yet, or none is open to your token.">
              <p>
                Publish one: <code>mcplocal run</code> on the machine of a model. Or ask a pool’s owner to let
                you in.
              </p>
            </Empty>
          ) : (
            <PoolTable pools={items} />
          )
        }
      </Loaded>
    </Screen>
  );
}

/** It serves, and takes nothing for moments. How long is what the server says at `at`; this browser's clock may be another. */
function Rest({ member: { restingUntil, lastSeenAt }, at }: { member: MemberView; at: number }) {
  if (restingUntil === undefined || lastSeenAt === null) return null;
  const restsMs = new Date(restingUntil).getTime() - new Date(lastSeenAt).getTime();
  const leftMs = restsMs - Math.max(0, now.value - at);
  return leftMs > 0 ? <span title={restingUntil}>rests {span(leftMs + 999)}</span> : null;
}

/** @param at when that was said. */
function Members({ members, at }: { members: readonly MemberView[]; at: number }) {
  return (
    <Table
      caption="Members"
      rows={members}
      keyOf={({ name }) => name}
      columns={[
        { head: 'Member', cell: ({ name }) => <a href={`/ui/llms/${encodeURIComponent(name)}`}>{name}</a> },
        {
          head: 'State',
          cell: (member) => (
            <>
              <Status of={member.status} /> <Rest member={member} at={at} />
            </>
          ),
        },
        { head: 'Slots', cell: ({ running, slots }) => <Slots running={running} slots={slots} /> },
        { head: 'Model', wide: true, cell: ({ model }) => model },
        {
          head: 'First token',
          wide: true,
          number: true,
          cell: ({ ttftP50 }) => (ttftP50 === undefined ? '–' : `${(ttftP50 / 1_000).toFixed(1)} s`),
        },
        { head: 'Tokens/s', wide: true, number: true, cell: ({ tokensPerS }) => tokensPerS ?? '–' },
        {
          head: 'Last error',
          wide: true,
          cell: ({ lastError }) =>
            lastError ? (
              <>
                <code>{lastError.code}</code>, <Age at={lastError.at} />
              </>
            ) : (
              '–'
            ),
        },
        { head: 'Seen', cell: ({ lastSeenAt }) => <Age at={lastSeenAt} /> },
        { head: 'Fault', wide: true, cell: ({ misconfigured }) => misconfigured ?? '–' },
      ]}
    />
  );
}

export function Pool() {
  const { raw: key, name } = named.value;
  const pool = useLoad<PoolView>(`/pools/${key}`, 'pools');
  return (
    <Screen
      title={`Pool ${name}`}
      command={shell`mcpctl describe pool ${name}`}
      actions={
        <a class="button" href={`/ui/playground?llm=${key}`}>
          Try it
        </a>
      }
    >
      <Loaded of={pool}>
        {({ owner, members, size, activeCount, pending, running, oldestPendingMs }) => (
          <>
            <p>
              Owner {owner ?? 'nobody'} · {activeCount} of {size} serving · {running} running · {pending}{' '}
              waiting
              {oldestPendingMs === null ? '' : `, the oldest for ${span(oldestPendingMs)}`}
            </p>
            {members.length === 0 ? (
              <Empty why={size === 0 ? 'Nobody is in this pool.' : 'Its members are not yours to see.'} />
            ) : (
              <Members members={members} at={pool.at.value} />
            )}
            <p>
              <a href={`/ui/tasks?pool=${key}`}>Tasks of this pool</a>
            </p>
          </>
        )}
      </Loaded>
    </Screen>
  );
}
