import type { Used } from '../../core/operator/usage.ts';
import { useLoad } from '../net/load.ts';
import { Empty, Loaded } from '../parts/loaded.tsx';
import { Screen } from '../parts/page.tsx';
import { Table } from '../parts/table.tsx';
import { query } from '../state/router.ts';
import { Chosen } from '../shown/filters.tsx';

const ways = ['user', 'token', 'llm', 'pool'];
const spans: readonly [string, string][] = [
  ['1', 'hour'],
  ['24', 'day'],
  ['168', 'week'],
];

export function Usage() {
  const by = query.value.get('by') ?? 'user';
  const hours = query.value.get('hours') ?? '24';
  const used = useLoad<{ items: Used[] }>(`/usage?${new URLSearchParams({ by, hours }).toString()}`);
  return (
    <Screen title="Usage" command={`mcpctl api GET '/usage?by=${by}&hours=${hours}'`}>
      <div class="filters">
        <Chosen name="by" label="By" options={ways.map((way) => [way, way] as const)} value={by} />
        <Chosen name="hours" label="Of the last" options={spans} value={hours} />
      </div>
      <Loaded of={used}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty why="No task that you may see has ended in that time." />
          ) : (
            <Table
              caption="Usage"
              rows={items}
              keyOf={({ name, keyId }) => `${name} ${keyId ?? ''}`}
              columns={[
                { head: 'Name', cell: ({ name, user }) => (user === undefined ? name : `${name} (${user})`) },
                { head: 'Tasks', number: true, cell: ({ tasks }) => tasks.toLocaleString('en') },
                {
                  head: 'Completed',
                  wide: true,
                  number: true,
                  cell: ({ completed }) => completed.toLocaleString('en'),
                },
                { head: 'Tokens in', number: true, cell: ({ tokensIn }) => tokensIn.toLocaleString('en') },
                { head: 'Tokens out', number: true, cell: ({ tokensOut }) => tokensOut.toLocaleString('en') },
              ]}
            />
          )
        }
      </Loaded>
    </Screen>
  );
}
