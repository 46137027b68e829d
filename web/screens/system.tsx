import type { SystemView } from '../../core/operator/system.ts';
import { useLoad } from '../net/load.ts';
import { Empty, Loaded } from '../parts/loaded.tsx';
import { Facts } from '../parts/facts.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { Table } from '../parts/table.tsx';
import { Age } from '../parts/time.tsx';
import { Status } from '../shown/status.tsx';

function Duties({ duties }: Pick<SystemView, 'duties'>) {
  if (duties.length === 0)
    return (
      <Empty why="No duty has run yet, or Redis cannot be asked what has.">
        <p>
          The scheduler runs them: <code>npm start</code> has one, a deployment starts it as <code>mcpd</code>
          .
        </p>
      </Empty>
    );
  return (
    <Table
      caption="Duties"
      rows={duties}
      keyOf={({ name }) => name}
      columns={[
        { head: 'Duty', cell: ({ name }) => name },
        { head: 'Runs', number: true, cell: ({ ok }) => ok.toLocaleString('en') },
        { head: 'Failed', number: true, cell: ({ failed }) => failed.toLocaleString('en') },
        { head: 'Left', number: true, wide: true, cell: ({ left }) => left.toLocaleString('en') },
        { head: 'Ran well', cell: ({ lastOkAt }) => (lastOkAt === null ? 'never' : <Age at={lastOkAt} />) },
      ]}
    />
  );
}

/** Which processes serve, whether the stores are well, and what the scheduler does. */
export function System() {
  const system = useLoad<SystemView>('/system', 'pools');
  const again = (
    <button type="button" onClick={system.again}>
      Look again
    </button>
  );
  return (
    <Screen title="System" command={shell`mcpctl status --system`} actions={again}>
      <Loaded of={system}>
        {({ version, edge, edges, stores, schedulerLeads, duties }) => (
          <>
            <Facts
              of={[
                ['Release', version],
                ...stores.map(({ name, status }) => [name, <Status key={name} of={status} />] as const),
                [
                  'Scheduler',
                  schedulerLeads === null
                    ? 'cannot be asked now'
                    : schedulerLeads
                      ? 'one leads'
                      : 'none leads: no task is expired, swept or taken back',
                ],
              ]}
            />
            <h2>Edges</h2>
            <Table
              caption="Edges"
              rows={edges}
              keyOf={({ id }) => id}
              columns={[
                { head: 'Edge', cell: ({ id }) => (id === edge ? `${id} (this one)` : id) },
                { head: 'Release', cell: (one) => one.version },
                { head: 'Up', cell: ({ startedAt }) => <Age at={startedAt} /> },
              ]}
            />
            <h2>Duties</h2>
            <Duties duties={duties} />
          </>
        )}
      </Loaded>
    </Screen>
  );
}
