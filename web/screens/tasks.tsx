import { useEffect, useId, useRef } from 'preact/hooks';
import type { TaskCountsView, TaskView } from '../../core/task/task.ts';
import { useLoad } from '../net/load.ts';
import { useLongList, type LongList } from '../net/long-list.ts';
import { Choice, Typed } from '../shown/filters.tsx';
import { Empty, Loaded } from '../parts/loaded.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { Status } from '../shown/status.tsx';
import { WindowedTable } from '../parts/table.tsx';
import { Age } from '../parts/time.tsx';
import { go, path, query, withQuery } from '../state/router.ts';
import { may } from '../state/session.ts';
import { isOver, TaskDetails, taskTitle } from './task.tsx';

const statuses = ['pending', 'claimed', 'running', 'completed', 'error', 'cancelled'];
const sources = ['infer', 'v1', 'async', 'agent', 'batch', 'mcp'];
const oftenAsked = ['status', 'pool', 'llm'];
const seldomAsked = ['owner', 'member', 'source', 'code', 'since', 'until', 'idPrefix', 'session'];
const filters = [...oftenAsked, ...seldomAsked];

const secondsBetween = (from: string, to: string | null): string =>
  to === null ? '–' : `${((new Date(to).getTime() - new Date(from).getTime()) / 1_000).toFixed(1)} s`;

const isFiltered = (by = filters): boolean => by.some((name) => query.value.has(name));

function Filters() {
  return (
    <>
      <div class="filters">
        <Typed name="pool" label="Pool" />
        <Typed name="llm" label="Llm" />
        <Choice label="Status" name="status" of={statuses} />
      </div>
      <details open={isFiltered(seldomAsked)}>
        <summary>More filters</summary>
        <div class="filters">
          <Typed name="owner" label="Who asked" />
          <Typed name="member" label="Member" />
          <Choice label="Came by" name="source" of={sources} />
          <Typed name="code" label="Error" />
          <Typed name="since" label="Since (2026-11-29T12:00:00Z)" />
          <Typed name="until" label="Before (the same)" />
          <Typed name="idPrefix" label="Id begins with" />
          {may('view', 'session') && <Typed name="session" label="Session of a worker" />}
        </div>
      </details>
    </>
  );
}

function NoTask() {
  if (isFiltered())
    return (
      <Empty why="No task fits these filters.">
        <button type="button" onClick={() => go(path.value)}>
          Clear the filters
        </button>
      </Empty>
    );
  return (
    <Empty why="No task yet that you may see: every call makes one.">
      <p>
        <a href="/ui/playground">Ask a model something</a>
      </p>
    </Empty>
  );
}

/** Where it has no room beside the list, a task is opened on its own screen. */
const hasRoom = (): boolean => matchMedia('(min-width: 60rem)').matches;

function peekInstead(event: MouseEvent, id: string): void {
  const { button, metaKey, ctrlKey, shiftKey, altKey } = event;
  if (button !== 0 || metaKey || ctrlKey || shiftKey || altKey || !hasRoom()) return;
  event.preventDefault();
  // One step back leads to the list, however many were looked at.
  go(withQuery({ peek: id }), query.value.has('peek') ? 'replace' : 'push');
}

/** One task beside the list, which stays as it is. */
function Peek({ id }: { id: string }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const title = useId();
  useEffect(() => heading.current?.focus(), [id]);
  const close = (): void => {
    (document.querySelector<HTMLElement>('main .selected a') ?? document.querySelector('h1'))?.focus();
    go(withQuery({ peek: '' }), 'replace');
  };
  return (
    <section class="peek" aria-labelledby={title}>
      <div class="head">
        <h2 ref={heading} id={title} tabIndex={-1}>
          {taskTitle(id)}
        </h2>
        <div class="actions">
          <a href={`/ui/tasks/${id}`}>Open it whole</a>
          <button type="button" data-close onClick={close}>
            Close
          </button>
        </div>
      </div>
      <TaskDetails key={id} id={id} />
    </section>
  );
}

interface Listed {
  list: LongList<TaskView>;
  counts: TaskCountsView | undefined;
}

/** As many as are counted at most: there may be more. */
const MOST_COUNTED = 10_000;

/** How many fit the filters, where that was counted. */
function totalOf({ list: { rows, isFromNewest, head }, counts }: Listed): number | null {
  if (!isFromNewest) return null;
  if (head.data.value?.next === null) return rows.length;
  if (!counts || counts.total >= MOST_COUNTED) return null;
  const status = query.value.get('status');
  if (status === null) return Math.max(rows.length, counts.total);
  return status === 'completed' || status === 'error' || status === 'cancelled' ? counts[status] : null;
}

function Counts({ of }: { of: TaskCountsView }) {
  const { total, open, completed, error, cancelled } = of;
  const most = total >= MOST_COUNTED ? ` of the newest ${total.toLocaleString('en')}` : '';
  const parts = [
    [open, 'open'],
    [completed, 'completed'],
    [error, 'failed'],
    [cancelled, 'cancelled'],
  ] as const;
  return (
    <p class="quiet">
      {parts.map(([count, word]) => `${count.toLocaleString('en')} ${word}`).join(' · ')}
      {most}
    </p>
  );
}

const Came = ({ task: { status, error } }: { task: TaskView }) => (
  <>
    <Status of={status} />{' '}
    {status === 'error' && error && (
      <code class="wide" title={error.message}>
        {error.code}
      </code>
    )}
  </>
);

function TaskTable({ list, counts }: Listed) {
  const { rows, drawn } = list;
  return (
    <WindowedTable
      caption="Tasks, newest first"
      rows={rows}
      total={totalOf({ list, counts })}
      drawn={drawn}
      keyOf={({ id }) => id}
      selected={query.value.get('peek') ?? ''}
      columns={[
        {
          head: 'Task',
          slim: true,
          cell: ({ id }) => (
            <a
              class="mono"
              href={`/ui/tasks/${id}`}
              onClick={(event) => peekInstead(event, id)}
            >{`…${id.slice(-8)}`}</a>
          ),
        },
        {
          head: 'Status',
          cell: (task) => <Came task={task} />,
        },
        { head: 'Llm', cell: ({ llmName }) => llmName },
        { head: 'Member', wide: true, cell: ({ claimedLlm }) => claimedLlm ?? '–' },
        { head: 'Made', slim: true, sorted: 'descending', cell: ({ createdAt }) => <Age at={createdAt} /> },
        {
          head: 'First',
          wide: true,
          number: true,
          slim: true,
          cell: (task) => secondsBetween(task.createdAt, task.streamStartedAt),
        },
        {
          head: 'Took',
          wide: true,
          number: true,
          slim: true,
          cell: (task) => secondsBetween(task.createdAt, task.completedAt),
        },
        {
          head: 'Tokens',
          wide: true,
          number: true,
          slim: true,
          cell: ({ usage }) => usage?.completionTokens ?? '–',
        },
      ]}
    />
  );
}

function List() {
  const words = new URLSearchParams(filters.map((name) => [name, query.value.get(name) ?? '']));
  for (const name of filters) if (words.get(name) === '') words.delete(name);
  const list = useLongList<TaskView>(`/tasks?${words.toString()}`, {
    topic: 'tasks',
    isLive: (task) => !isOver(task),
  });
  words.delete('status');
  // Counted once, and again with what is new: to count is dearer than to list.
  const counted = useLoad<TaskCountsView>(`/tasks/counts?${words.toString()}`);
  const counts = counted.data.value;
  const { rows, fresh, isMore, goOn, isFromNewest } = list;
  const showNewest = (): void => {
    list.showNewest();
    counted.again();
  };
  return (
    <Loaded of={list.head}>
      {({ items }) => (
        <>
          {counts && <Counts of={counts} />}
          <p role="status" class="new">
            {fresh > 0 && (
              <button type="button" onClick={showNewest}>
                {fresh}
                {isMore ? '+' : ''} new
              </button>
            )}
          </p>
          {rows.length === 0 ? items.length === 0 && <NoTask /> : <TaskTable list={list} counts={counts} />}
          {(goOn || !isFromNewest) && (
            <p class="actions">
              <button type="button" disabled={isFromNewest} onClick={showNewest}>
                To the newest
              </button>
              <button type="button" disabled={!goOn} onClick={() => goOn?.()}>
                Older ones
              </button>
            </p>
          )}
        </>
      )}
    </Loaded>
  );
}

export function Tasks() {
  const peeked = query.value.get('peek');
  return (
    <Screen title="Tasks" command={shell`mcpctl get tasks`}>
      <Filters />
      <div class={peeked === null ? '' : 'beside-peek'}>
        <div>
          <List />
        </div>
        {/* It came with an address that somebody may have made up, and becomes a part of others. */}
        {peeked !== null && <Peek id={encodeURIComponent(peeked)} />}
      </div>
    </Screen>
  );
}
