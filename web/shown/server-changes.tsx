import type { ChangesView, ThingChange } from '../../core/mcp/pinned/approvals.ts';
import { call } from '../net/api.ts';
import { useLoad } from '../net/load.ts';
import { useSending } from '../net/sending.ts';
import { Empty, Fault, Loaded } from '../parts/loaded.tsx';
import { Table } from '../parts/table.tsx';
import { Write } from '../parts/write.tsx';

type InProject = ChangesView['projects'][number];

const wordsOf = ({ state, reason }: ThingChange): string =>
  reason === null || reason === 'new' ? state : `${state} (${reason})`;

/** What becomes of what nobody has approved as they are. */
const endings: Readonly<Record<InProject['pin'], string>> = {
  enforce: 'the others are not there until somebody approves them',
  warn: 'the others are there, and marked',
  off: 'the others are there',
};

/** One approval takes no more besides tools. */
const MOST_OFFERS = 256;

/** What of an MCP server projects have not approved as they are, and what differs. */
export function ServerChanges({ server }: { server: string }) {
  const at = `/servers/${encodeURIComponent(server)}`;
  const view = useLoad<ChangesView>(`${at}/changes`);
  return (
    <section>
      <h2>In projects</h2>
      <Loaded of={view}>
        {({ projects, more }) => (
          <>
            {projects.length === 0 && <Empty why="No project that you may see has it." />}
            {projects.map((one) => (
              <Changes key={one.project} at={at} one={one} done={view.again} />
            ))}
            {more > 0 && <p class="quiet">{more} further projects have it.</p>}
          </>
        )}
      </Loaded>
    </section>
  );
}

function Changes({ at, one, done }: { at: string; one: InProject; done: () => void }) {
  const { fault, send } = useSending();
  const { project, pin, approved, approvedOffers, changes, unshown } = one;
  const others = Object.entries(approvedOffers).flatMap(([kind, count]) =>
    count > 0 ? [`, ${String(count)} ${kind}s`] : [],
  );
  // Of much it is not said what differs: that is not approved by looking at the rest.
  const shown = changes.flatMap(({ kind, name, hash, diff }) =>
    hash === null || diff === null ? [] : [{ kind, name, hash }],
  );
  const tools = shown.flatMap(({ kind, name, hash }) => (kind === 'tool' ? [{ name, hash }] : []));
  const offers = shown.filter(({ kind }) => kind !== 'tool').slice(0, MOST_OFFERS);
  const approve = async (): Promise<void> => {
    await send(() => call('POST', `${at}/approve`, { body: { project, tools, offers } }));
    done();
  };
  return (
    <>
      <h3>
        <a href={`/ui/r/projects/${encodeURIComponent(project)}`}>{project}</a>
      </h3>
      <p class="quiet">
        {approved.length} of its tools{others} are as they were approved; {endings[pin]} (pin {pin}).
      </p>
      {fault.value && <Fault fault={fault.value} />}
      {changes.length > 0 && (
        <Table
          caption={`What ${project} has not approved as it is`}
          rows={changes}
          keyOf={({ kind, name }) => `${kind} ${name}`}
          columns={[
            { head: 'Kind', cell: ({ kind }) => kind },
            { head: 'Name', cell: ({ name }) => name },
            { head: 'State', cell: wordsOf },
            {
              head: 'What differs',
              cell: ({ diff }) => <pre>{diff?.join('\n') ?? 'Ask: mcpctl diff server'}</pre>,
            },
          ]}
        />
      )}
      {unshown > 0 && <p class="quiet">{unshown} more are not shown.</p>}
      {tools.length + offers.length > 0 && (
        <p class="actions">
          <Write aria-label={`Approve as shown, for ${project}`} onClick={() => void approve()}>
            Approve as shown
          </Write>
        </p>
      )}
    </>
  );
}
