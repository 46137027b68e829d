import type { z } from 'zod';
import type { madeJoinCodesSchema } from '../../core/access/join-code.ts';
import { call } from '../net/api.ts';
import { useLoad } from '../net/load.ts';
import { useSending } from '../net/sending.ts';
import { Empty, Fault, Loaded, NotForToken } from '../parts/loaded.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { Table } from '../parts/table.tsx';
import { Age } from '../parts/time.tsx';
import { Write } from '../parts/write.tsx';
import { AddWorker } from '../shown/add-worker.tsx';
import { Chosen, ClearFilters } from '../shown/filters.tsx';
import { Status } from '../shown/status.tsx';
import { query } from '../state/router.ts';
import { may } from '../state/session.ts';

type Codes = z.infer<typeof madeJoinCodesSchema>;
type Code = Codes['items'][number];

const states = [
  ['', 'of the last day'],
  ['good', 'good'],
  ['used', 'used'],
  ['over', 'over'],
] as const;

/** Why there is nothing to see: what was not made, is gone by, is filtered away, or is not for this token. */
function None({ isAny, wanted }: { isAny: boolean; wanted: string }) {
  if (!isAny)
    return (
      <Empty why="No code that you may see was made within a day: each is good for ten minutes, and once.">
        <AddWorker />
      </Empty>
    );
  if (wanted === 'good')
    return (
      <Empty why="No code is good now: each was used, or its ten minutes are over.">
        <AddWorker />
        <ClearFilters names={['state']} />
      </Empty>
    );
  return (
    <Empty why="None of the codes of the last day is so.">
      <ClearFilters names={['state']} />
    </Empty>
  );
}

function Withdraw({ code, done }: { code: Code; done: () => void }) {
  const { fault, send } = useSending();
  const withdraw = async (): Promise<void> => {
    await call('DELETE', `/join-codes/${code.id}`);
    done();
  };
  return (
    <>
      {fault.value && <Fault fault={fault.value} />}
      <Write
        type="button"
        class="danger"
        aria-label={`Withdraw the code ${code.id} for ${code.pools.join(', ')}`}
        onClick={() => void send(withdraw)}
      >
        Withdraw
      </Write>
    </>
  );
}

function List() {
  const codes = useLoad<Codes>('/join-codes');
  const wanted = query.value.get('state') ?? '';
  return (
    <>
      <div class="filters">
        <Chosen name="state" label="Codes that are" options={states} value={wanted} />
        <button type="button" onClick={codes.again}>
          Look again
        </button>
      </div>
      <Loaded of={codes}>
        {({ items }) => {
          const rows = items.filter(({ state }) => wanted === '' || state === wanted);
          if (rows.length === 0) return <None isAny={items.length > 0} wanted={wanted} />;
          return (
            <Table
              caption="Join codes"
              rows={rows}
              keyOf={({ id }) => id}
              columns={[
                { head: 'Code', cell: ({ id }) => <code>{id}</code> },
                { head: 'State', cell: ({ state }) => <Status of={state} /> },
                { head: 'Pools', cell: ({ pools }) => pools.join(', ') },
                { head: 'Made', cell: ({ createdAt }) => <Age at={createdAt} /> },
                { head: 'By', wide: true, cell: ({ madeBy }) => madeBy },
                { head: 'For', wide: true, cell: ({ user }) => user },
                { head: 'Used by', wide: true, cell: ({ usedBy }) => usedBy ?? '–' },
                {
                  head: 'Withdraw',
                  cell: (code) =>
                    code.state === 'good' && may('delete', 'token') ? (
                      <Withdraw code={code} done={codes.again} />
                    ) : (
                      '–'
                    ),
                },
              ]}
            />
          );
        }}
      </Loaded>
    </>
  );
}

/** What lets a worker in: the codes that were made, never the codes themselves. */
export function JoinCodes() {
  return (
    <Screen title="Join codes" command={shell`mcpctl worker codes`} actions={<AddWorker />}>
      <p>
        <a href="/ui/workers">Workers</a> come in with a code that works once, for ten minutes.
      </p>
      {may('view', 'token') ? (
        <List />
      ) : (
        <NotForToken why="Your token may not see join codes, as it sees no tokens." />
      )}
    </Screen>
  );
}
