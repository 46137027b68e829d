import { useEffect } from 'preact/hooks';
import type { Used, UsageView } from '../../core/operator/usage.ts';
import { useLoad, type Load } from '../net/load.ts';
import { Empty, Loaded } from '../parts/loaded.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { Table, type Column } from '../parts/table.tsx';
import { query } from '../state/router.ts';
import { Bars } from '../shown/bars.tsx';
import { Chosen } from '../shown/filters.tsx';

const ways = ['user', 'token', 'llm', 'pool'];
const spans: readonly [string, string][] = [
  ['1', 'hour'],
  ['24', 'day'],
  ['168', 'week'],
  ['744', '31 days'],
];
const buckets: readonly [string, string][] = [
  ['hour', 'hour'],
  ['day', 'day'],
];
/** Sums of many rows: nobody needs them by the second. */
const AGAIN_MS = 60_000;

const shown = (value: number): string => value.toLocaleString('en');

const numbers: readonly Column<Omit<Used, 'name'>>[] = [
  { head: 'Tasks', number: true, cell: ({ tasks }) => shown(tasks) },
  { head: 'Failed', wide: true, number: true, cell: ({ failed }) => shown(failed) },
  { head: 'Tokens in', number: true, cell: ({ tokensIn }) => shown(tokensIn) },
  { head: 'Tokens out', number: true, cell: ({ tokensOut }) => shown(tokensOut) },
  {
    head: 'Minutes',
    wide: true,
    number: true,
    cell: ({ minutes }) => minutes.toLocaleString('en', { maximumFractionDigits: 1 }),
  },
];

type Then = Omit<Used, 'name' | 'at'> & { at: string };

/** All names of an hour or day together. */
function sumsOf(items: readonly Used[]): Then[] {
  const sums = new Map<string, Then>();
  for (const { at = '', name: _, user: __, keyId: ___, ...counts } of items) {
    const sum = sums.get(at);
    if (!sum) sums.set(at, { at, ...counts });
    else for (const key of Object.keys(counts) as (keyof typeof counts)[]) sum[key] += counts[key];
  }
  return [...sums.values()];
}

const beginningOf = (at: string, bucket: string): string =>
  bucket === 'day' ? at.slice(0, 10) : `${at.slice(0, 10)} ${at.slice(11, 16)}`;

/** Those in which nothing ended, too: time goes on in a picture. */
function withGaps(sums: readonly Then[], bucket: string): { name: string; value: number }[] {
  const step = bucket === 'day' ? 86_400_000 : 3_600_000;
  const valueAt = new Map(sums.map(({ at, tokensIn, tokensOut }) => [Date.parse(at), tokensIn + tokensOut]));
  const times = [...valueAt.keys()];
  const [from = 0, to = -1] = [times[0], times.at(-1)];
  const bars = [];
  for (let at = from; at <= to; at += step)
    bars.push({ name: beginningOf(new Date(at).toISOString(), bucket), value: valueAt.get(at) ?? 0 });
  return bars;
}

function OverTime({ of, bucket }: { of: Load<UsageView>; bucket: string }) {
  return (
    <Loaded of={of}>
      {({ items, next }) => {
        const sums = sumsOf(items);
        if (sums.length === 0) return null; // the table above says so
        return (
          <>
            <h2>By {bucket}</h2>
            {typeof next === 'string' && (
              <p class="warning">There is more than is shown here: the file has all of it.</p>
            )}
            <Bars of={withGaps(sums, bucket)} what={`Tokens in each ${bucket}`} />
            <Table
              caption={`Usage by ${bucket}`}
              rows={sums.toReversed()}
              keyOf={({ at }) => at}
              columns={[{ head: 'From (UTC)', cell: ({ at }) => beginningOf(at, bucket) }, ...numbers]}
            />
          </>
        );
      }}
    </Loaded>
  );
}

function Totals({ items }: UsageView) {
  if (items.length === 0)
    return (
      <Empty why="No task that you may see has ended in that time.">
        <p>
          Ended tasks are kept for seven days, unless <code>MCPCTL_RETENTION_MS</code> says otherwise.{' '}
          <a href="/ui/playground">Ask a model something</a>, and it is counted here.
        </p>
      </Empty>
    );
  return (
    <Table
      caption="Usage"
      rows={items}
      keyOf={({ name, user, keyId }) => `${name} ${user ?? ''} ${keyId ?? ''}`}
      columns={[
        { head: 'Name', cell: ({ name, user }) => (user === undefined ? name : `${name} (${user})`) },
        ...numbers,
      ]}
    />
  );
}

export function Usage() {
  const by = query.value.get('by') ?? 'user';
  const hours = query.value.get('hours') ?? '24';
  const bucket = query.value.get('bucket') ?? (Number(hours) > 24 ? 'day' : 'hour');
  const asked = new URLSearchParams({ by, hours }).toString();
  const used = useLoad<UsageView>(`/usage?${asked}`);
  const then = useLoad<UsageView>(`/usage?${asked}&${new URLSearchParams({ bucket }).toString()}`);
  const again = (): void => {
    used.again();
    then.again();
  };
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) again();
    }, AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  const file = new URLSearchParams({ by, hours, bucket, format: 'csv' }).toString();
  const actions = (
    <>
      <a class="button" href={`/ui/api/v1/usage?${file}`} download data-whole>
        As CSV
      </a>
      <button type="button" onClick={again}>
        Look again
      </button>
    </>
  );
  return (
    <Screen
      title="Usage"
      command={shell`mcpctl usage --by ${by} --hours ${hours} --bucket ${bucket}`}
      actions={actions}
    >
      <div class="filters">
        <Chosen name="by" label="By" options={ways.map((way) => [way, way] as const)} value={by} />
        <Chosen name="hours" label="Of the last" options={spans} value={hours} />
        <Chosen name="bucket" label="Each" options={buckets} value={bucket} />
      </div>
      <Loaded of={used}>{(view) => <Totals {...view} />}</Loaded>
      <OverTime of={then} bucket={bucket} />
    </Screen>
  );
}
