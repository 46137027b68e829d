import type { PoolView } from '../../core/pool.ts';
import { useLoad } from '../net/load.ts';
import type { Page } from '../net/api.ts';
import { Empty, Loaded } from '../parts/loaded.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { PoolTable } from '../shown/pool-table.tsx';

/** The four steps to a first answer; each turns green by itself. */
function Checklist({ pools }: { pools: readonly PoolView[] }) {
  const serves = pools.some(({ activeCount }) => activeCount > 0);
  const steps: [boolean, string][] = [
    [true, 'The server runs, and you are signed in.'],
    [
      pools.length > 0,
      'A model is published: write the config.json of a machine that has one, and run `mcplocal run` there.',
    ],
    [serves, 'A model answers.'],
  ];
  return (
    <ol class="steps">
      {steps.map(([isDone, text]) => (
        <li key={text} class={isDone ? 'done' : ''}>
          <span aria-hidden="true">{isDone ? '✓' : '○'}</span> {text}
          <span class="hidden">{isDone ? ' (done)' : ' (to do)'}</span>
        </li>
      ))}
    </ol>
  );
}

function Figures({ pools }: { pools: readonly PoolView[] }) {
  const sum = (of: (pool: PoolView) => number): number => pools.reduce((all, pool) => all + of(pool), 0);
  const figures: [string, string][] = [
    ['Llms serving', `${String(sum((p) => p.activeCount))} of ${String(sum((p) => p.size))}`],
    ['Running', String(sum((p) => p.running))],
    ['Waiting', String(sum((p) => p.pending))],
  ];
  return (
    <dl class="figures">
      {figures.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Pools in which somebody waits and nobody serves: what a person should look at first. */
function Warnings({ pools }: { pools: readonly PoolView[] }) {
  const stuck = pools.filter(({ pending, activeCount }) => pending > 0 && activeCount === 0);
  return (
    <>
      {stuck.map(({ poolKey, pending }) => (
        <p key={poolKey} class="warning" role="status">
          ⚠ {poolKey}: {pending} waiting, and nobody serves it.{' '}
          <a href={`/ui/pools/${encodeURIComponent(poolKey)}`}>See why</a>
        </p>
      ))}
    </>
  );
}

export function Overview() {
  const pools = useLoad<Page<PoolView>>('/pools?limit=100', 'pools');
  return (
    <Screen title="Overview" command={shell`mcpctl status`}>
      <Loaded of={pools}>
        {({ items }) => (
          <>
            <Figures pools={items} />
            <Warnings pools={items} />
            {items.length === 0 ? (
              <Empty why="No pool yet that you may see.">
                <Checklist pools={items} />
              </Empty>
            ) : (
              <PoolTable pools={items} />
            )}
          </>
        )}
      </Loaded>
    </Screen>
  );
}
