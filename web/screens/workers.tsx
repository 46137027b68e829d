import { useSignal } from '@preact/signals';
import type { SessionView } from '../../core/member/session.ts';
import { call } from '../net/api.ts';
import { useLoad } from '../net/load.ts';
import { useSending } from '../net/sending.ts';
import { Dialog } from '../parts/dialog.tsx';
import { Facts } from '../parts/facts.tsx';
import { Empty, Fault, Loaded, NotForToken } from '../parts/loaded.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { PageButtons, useList } from '../parts/paging.tsx';
import { Table } from '../parts/table.tsx';
import { Age } from '../parts/time.tsx';
import { Write } from '../parts/write.tsx';
import { AddWorker } from '../shown/add-worker.tsx';
import { Chosen, ClearFilters } from '../shown/filters.tsx';
import { Slots } from '../shown/pool-table.tsx';
import { Status } from '../shown/status.tsx';
import { go, named, query } from '../state/router.ts';
import { may } from '../state/session.ts';

const states: readonly (readonly [string, string, (worker: SessionView) => boolean])[] = [
  ['', 'in any state', () => true],
  ['live', 'live', ({ state }) => state === 'live'],
  ['held', 'paused or drained here', ({ hold }) => hold !== null],
  ['gone', 'gone', ({ state }) => state === 'gone'],
];

const addressOf = ({ id }: SessionView): string => `/ui/workers/${id}`;
/** On which state the server would not act again. */
const calls = [
  { call: 'pause', name: 'Pause', isOffered: ({ hold }: SessionView) => hold !== 'paused' },
  { call: 'drain', name: 'Drain', isOffered: ({ hold }: SessionView) => hold !== 'draining' },
  { call: 'resume', name: 'Resume', isOffered: ({ hold }: SessionView) => hold !== null },
] as const;

function Actions({ worker, done }: { worker: SessionView; done: () => void }) {
  const { fault, send } = useSending();
  const isAsking = useSignal(false);
  const ask = (method: string, path: string, then: () => void): Promise<void> =>
    send(async () => {
      await call(method, `/sessions/${worker.id}${path}`, method === 'POST' ? { body: {} } : {});
      then();
    });
  return (
    <>
      {fault.value && <Fault fault={fault.value} />}
      {may('edit', 'session') &&
        calls.map(({ call: path, name, isOffered }) =>
          isOffered(worker) ? (
            <Write
              key={path}
              type="button"
              aria-label={`${name} ${worker.name}`}
              onClick={() => void ask('POST', `/${path}`, done)}
            >
              {name}
            </Write>
          ) : null,
        )}
      {may('delete', 'session') && (
        <Write
          type="button"
          class="danger"
          aria-label={`Revoke ${worker.name}`}
          onClick={() => (isAsking.value = true)}
        >
          Revoke
        </Write>
      )}
      {isAsking.value && (
        <Dialog title={`Revoke the worker ${worker.name}?`} close={() => (isAsking.value = false)}>
          <p>
            It is out at once: {worker.running} running {worker.running === 1 ? 'task' : 'tasks'} start over
            elsewhere, or end where a caller has seen something. It may not come back as it was, and what it
            joined with ends with it. A token that was made for it otherwise stays: revoke that by itself.
          </p>
          <p class="actions">
            <Write class="main" onClick={() => void ask('DELETE', '', () => go('/workers'))}>
              Revoke it
            </Write>
          </p>
        </Dialog>
      )}
    </>
  );
}

function None() {
  if (!may('view', 'session')) return <NotForToken why="Your token may not see workers." />;
  return (
    <Empty why="No worker that you may see publishes here: there is none yet, or all are other people’s.">
      <AddWorker />
    </Empty>
  );
}

export function Workers() {
  const { page, paging } = useList<SessionView>('/sessions', { topic: 'pools' });
  const wanted = query.value.get('state') ?? '';
  const [, , fits] = states.find(([key]) => key === wanted) ?? states[0] ?? ['', '', () => true];
  return (
    <Screen title="Workers" command={shell`mcpctl get workers`} actions={<AddWorker />}>
      <div class="filters">
        <Chosen
          name="state"
          label="That are"
          options={states.map(([key, text]) => [key, text] as const)}
          value={wanted}
        />
        <a href="/ui/join-codes">Join codes</a>
      </div>
      <Loaded of={page}>
        {({ items, next }) => {
          const rows = items.filter(fits);
          return (
            <>
              {items.length === 0 ? (
                <None />
              ) : rows.length === 0 ? (
                <Empty why="None of the workers on this page is so.">
                  <ClearFilters names={['state']} />
                </Empty>
              ) : (
                <Table
                  caption="Workers"
                  rows={rows}
                  keyOf={({ id }) => id}
                  columns={[
                    { head: 'Worker', cell: (worker) => <a href={addressOf(worker)}>{worker.name}</a> },
                    { head: 'State', cell: ({ state }) => <Status of={state} /> },
                    {
                      head: 'Slots',
                      cell: ({ running, slots }) => <Slots running={running} slots={slots} />,
                    },
                    { head: 'Heard', cell: ({ lastBeatAt }) => <Age at={lastBeatAt} /> },
                    { head: 'User', wide: true, cell: ({ user }) => user },
                    { head: 'Version', wide: true, cell: ({ version }) => version ?? '–' },
                    { head: 'Via', wide: true, cell: ({ transport }) => transport },
                    {
                      head: 'Llms',
                      wide: true,
                      cell: ({ llms }) => llms.map(({ name }) => name).join(', ') || '–',
                    },
                  ]}
                />
              )}
              <PageButtons paging={paging} next={next} />
            </>
          );
        }}
      </Loaded>
    </Screen>
  );
}

export function Worker() {
  const { raw, name } = named.value;
  const one = useLoad<SessionView>(`/sessions/${raw}`, 'pools');
  const worker = one.data.value;
  return (
    <Screen
      title={`Worker ${worker?.name ?? name}`}
      command={shell`mcpctl describe worker ${worker?.name ?? name}`}
      actions={worker && <Actions worker={worker} done={one.again} />}
    >
      <Loaded of={one}>
        {(seen) => (
          <>
            <Facts
              of={[
                ['State', <Status of={seen.state} />],
                ['Held by', seen.heldBy],
                ['Held for', seen.heldAt === null ? null : <Age at={seen.heldAt} />],
                ['User', seen.user],
                ['Token', seen.token],
                ['Transport', seen.transport],
                ['Version', seen.version],
                ['Slots', <Slots running={seen.running} slots={seen.slots} />],
                ['Heard', <Age at={seen.lastBeatAt} />],
                ['Here for', <Age at={seen.createdAt} />],
                ['Id', seen.id],
              ]}
            />
            {seen.llms.length === 0 ? (
              <Empty why="It publishes no llm." />
            ) : (
              <Table
                caption="What it publishes"
                rows={seen.llms}
                keyOf={({ name: llm }) => llm}
                columns={[
                  {
                    head: 'Llm',
                    cell: ({ name: llm }) => <a href={`/ui/llms/${encodeURIComponent(llm)}`}>{llm}</a>,
                  },
                  { head: 'Status', cell: ({ status }) => <Status of={status} /> },
                  { head: 'Says', cell: ({ state }) => (state === null ? '–' : <Status of={state} />) },
                  { head: 'Running', number: true, cell: ({ running }) => running },
                  { head: 'Pool', wide: true, cell: ({ pool }) => pool },
                ]}
              />
            )}
          </>
        )}
      </Loaded>
    </Screen>
  );
}
