import type { ComponentChildren } from 'preact';
import type { ExplainView } from '../../core/task/explain.ts';
import type { LlmView } from '../../core/llm.ts';
import { useLoad } from '../net/load.ts';
import { Choice } from '../shown/filters.tsx';
import { Facts } from '../parts/facts.tsx';
import { Empty, Loaded } from '../parts/loaded.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { PageButtons, useList } from '../parts/paging.tsx';
import { Status } from '../shown/status.tsx';
import { Table } from '../parts/table.tsx';
import { Age } from '../parts/time.tsx';
import { Why } from '../shown/why.tsx';
import { go, named, path, query } from '../state/router.ts';

const statuses = ['active', 'inactive', 'hibernating'];

function Filter() {
  return (
    <div class="filters">
      <Choice label="Status" name="status" of={statuses} />
    </div>
  );
}

function NoLlm() {
  if (query.value.has('status'))
    return (
      <Empty why="No llm has this status.">
        <button type="button" onClick={() => go(path.value)}>
          Clear the filter
        </button>
      </Empty>
    );
  return (
    <Empty why="No llm that you may see: none is published, or none is open to your token.">
      <p>
        Publish one: <code>mcplocal run</code> on the machine of a model.
      </p>
    </Empty>
  );
}

export function Llms() {
  const { page: llms, paging } = useList<LlmView>('/llms', { filters: ['status'], topic: 'pools' });
  return (
    <Screen title="Llms" command={shell`mcpctl get llms`}>
      <Filter />
      <Loaded of={llms}>
        {({ items, next }) => (
          <>
            {items.length === 0 ? (
              <NoLlm />
            ) : (
              <Table
                caption="Llms"
                rows={items}
                keyOf={({ id }) => id}
                columns={[
                  {
                    head: 'Llm',
                    cell: ({ name }) => <a href={`/ui/llms/${encodeURIComponent(name)}`}>{name}</a>,
                  },
                  { head: 'Status', cell: (llm) => <Status of={llm.status} /> },
                  { head: 'Model', cell: ({ model }) => model },
                  { head: 'Kind', wide: true, cell: ({ kind, type }) => `${kind}, ${type}` },
                  { head: 'Pool', wide: true, cell: ({ poolName, name }) => poolName ?? name },
                  { head: 'Seen', wide: true, cell: ({ lastHeartbeatAt }) => <Age at={lastHeartbeatAt} /> },
                ]}
              />
            )}
            <PageButtons paging={paging} next={next} />
          </>
        )}
      </Loaded>
    </Screen>
  );
}

function abilitiesOf({ capabilities }: LlmView): string {
  const { tools, vision, reasoning, contextLength } = capabilities;
  const abilities = { tools, vision, reasoning };
  const words = Object.entries(abilities).flatMap(([word, value]) =>
    value === undefined ? [] : [`${word} ${value ? '✓' : '–'}`],
  );
  return [
    ...words,
    ...(contextLength === undefined ? [] : [`${String(contextLength)} tokens of context`]),
  ].join(' · ');
}

function factsOf(llm: LlmView): [string, ComponentChildren][] {
  return [
    ['Status', <Status of={llm.status} />],
    ['Why', llm.inactiveReason ?? llm.statusReason],
    ['Refused', llm.misconfigured],
    ['Model', llm.model],
    ['Type', `${llm.kind}, ${llm.type}`],
    ['Pool', llm.pool && <a href={`/ui/pools/${encodeURIComponent(llm.pool.key)}`}>{llm.pool.key}</a>],
    ['Aliases', llm.aliases.join(', ')],
    ['Can', abilitiesOf(llm)],
    ['Description', llm.description],
    ['Backend', llm.url],
    ['At once', llm.maxConcurrency],
    ['Published', <Age at={llm.createdAt} />],
    ['Seen', <Age at={llm.lastHeartbeatAt} />],
  ];
}

export function Llm() {
  const { raw: key, name } = named.value;
  const llm = useLoad<LlmView>(`/llms/${key}`, 'pools');
  const why = useLoad<ExplainView>(`/llms/${key}/explain`, 'pools');
  return (
    <Screen
      title={`Llm ${name}`}
      command={shell`mcpctl describe llm ${name}`}
      actions={
        <a class="button" href={`/ui/playground?llm=${key}`}>
          Try it
        </a>
      }
    >
      <Loaded of={llm}>{(view) => <Facts of={factsOf(view)} />}</Loaded>
      <Why heading="Who would take a call now" of={why} />
      <p>
        <a href={`/ui/tasks?llm=${key}`}>Tasks of this llm</a>
      </p>
    </Screen>
  );
}
