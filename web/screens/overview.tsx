import { useEffect } from 'preact/hooks';
import type { OverviewPool, OverviewView } from '../../core/operator/overview.ts';
import { isPaused } from '../net/live.ts';
import { useLoad } from '../net/load.ts';
import { Empty, Loaded } from '../parts/loaded.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { span } from '../parts/time.tsx';
import { PoolTable } from '../shown/pool-table.tsx';

const AGAIN_MS = 15_000;

const inSeconds = (ms: number | null): string =>
  ms === null ? '–' : `${String(Math.round(ms / 100) / 10)} s`;

/** The four steps to a first answer; each turns green by itself. */
function Checklist({ sums }: OverviewView) {
  const steps: [boolean, string][] = [
    [true, 'The server runs, and you are signed in.'],
    [
      sums.pools > 0,
      'A model is published: write the config.json of a machine that has one, and run `mcplocal run` there.',
    ],
    [sums.serving > 0, 'A model answers.'],
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

function Figures({ sums, workers, lately, more }: OverviewView) {
  const { ended, failed, tokensPerS, firstTokenMs, seconds } = lately;
  const figures: [string, string][] = [
    ['Workers', `${String(workers.there)} of ${String(workers.total)}`],
    ['Llms serving', `${String(sums.serving)} of ${String(sums.members)}`],
    ['Running', String(sums.running)],
    ['Waiting', String(sums.waiting)],
    ['Tokens a second', String(tokensPerS)],
    ['First token', inSeconds(firstTokenMs)],
    ['Failed', `${String(failed)} of ${String(ended)}`],
  ];
  return (
    <>
      <dl class="figures">
        {figures.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <p class="quiet">
        Tokens, first token and what failed are of the last {span(seconds * 1_000)}.
        {more && ' There are more pools or workers than are counted here.'}
      </p>
    </>
  );
}

/** Pools in which somebody waits and nobody serves: what a person should look at first. */
function Warnings({ pools }: { pools: readonly OverviewPool[] }) {
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
  const overview = useLoad<OverviewView>('/overview', 'pools');
  // The last minutes go by while nothing changes.
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden && !isPaused.value) overview.again();
    }, AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <Screen title="Overview" command={shell`mcpctl status`}>
      <Loaded of={overview}>
        {(view) => (
          <>
            <Figures {...view} />
            <Warnings pools={view.pools} />
            {view.pools.length === 0 ? (
              <Empty why="No pool yet that you may see.">
                <Checklist {...view} />
              </Empty>
            ) : (
              <PoolTable pools={view.pools} />
            )}
            {view.sums.pools > view.pools.length && (
              <p>
                <a href="/ui/pools">All {view.sums.pools} pools</a>
              </p>
            )}
          </>
        )}
      </Loaded>
    </Screen>
  );
}
