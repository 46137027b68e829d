import type { TaskView } from '../../core/task/task.ts';
import { Choice, Typed } from '../shown/filters.tsx';
import { Empty, Loaded } from '../parts/loaded.tsx';
import { Newest } from '../parts/newest.tsx';
import { Screen } from '../parts/page.tsx';
import { PageButtons, useList } from '../parts/paging.tsx';
import { Status } from '../shown/status.tsx';
import { Table } from '../parts/table.tsx';
import { Age } from '../parts/time.tsx';
import { go, path, query } from '../state/router.ts';

const statuses = ['pending', 'claimed', 'running', 'completed', 'error', 'cancelled'];
const filters = ['status', 'pool', 'llm'] as const;

const secondsBetween = (from: string, to: string | null): string =>
  to === null ? '–' : `${((new Date(to).getTime() - new Date(from).getTime()) / 1_000).toFixed(1)} s`;

function Filters() {
  return (
    <div class="filters">
      <Typed name="pool" label="Pool" />
      <Typed name="llm" label="Llm" />
      <Choice label="Status" name="status" of={statuses} />
    </div>
  );
}

const isFiltered = (): boolean => filters.some((name) => query.value.has(name));

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

function TaskTable({ tasks }: { tasks: readonly TaskView[] }) {
  return (
    <Table
      caption="Tasks, newest first"
      rows={tasks}
      keyOf={({ id }) => id}
      columns={[
        { head: 'Task', cell: ({ id }) => <a class="mono" href={`/ui/tasks/${id}`}>{`…${id.slice(-8)}`}</a> },
        {
          head: 'Status',
          cell: ({ status, error }) => (
            <>
              <Status of={status} /> {error && <code>{error.code}</code>}
            </>
          ),
        },
        { head: 'Llm', cell: ({ llmName }) => llmName },
        { head: 'Member', wide: true, cell: ({ claimedLlm }) => claimedLlm ?? '–' },
        { head: 'Made', cell: ({ createdAt }) => <Age at={createdAt} /> },
        {
          head: 'First',
          wide: true,
          number: true,
          cell: (task) => secondsBetween(task.createdAt, task.streamStartedAt),
        },
        {
          head: 'Took',
          wide: true,
          number: true,
          cell: (task) => secondsBetween(task.createdAt, task.completedAt),
        },
        { head: 'Tokens', wide: true, number: true, cell: ({ usage }) => usage?.completionTokens ?? '–' },
      ]}
    />
  );
}

export function Tasks() {
  const { page, paging, asked } = useList<TaskView>('/tasks', { filters, topic: 'tasks' });
  return (
    <Screen title="Tasks" command="mcpctl get tasks">
      <Filters />
      <Loaded of={page}>
        {({ items, next }) => (
          <>
            {items.length === 0 ? (
              <NoTask />
            ) : (
              <Newest key={asked} rows={items} isFirst={paging.isFirst()}>
                {(tasks) => <TaskTable tasks={tasks} />}
              </Newest>
            )}
            <PageButtons paging={paging} next={next} />
          </>
        )}
      </Loaded>
    </Screen>
  );
}
