import { useSignal } from '@preact/signals';
import type { ChangesView, ToolChange } from '../../core/mcp/pinned/approvals.ts';
import { call, isFault, type Fault as Refusal } from '../net/api.ts';
import { useLoad } from '../net/load.ts';
import { Empty, Fault, Loaded } from '../parts/loaded.tsx';
import { Table } from '../parts/table.tsx';

type InProject = ChangesView['projects'][number];

const wordsOf = ({ state, reason }: ToolChange): string =>
  reason === null || reason === 'new' ? state : `${state} (${reason})`;

/** What becomes of tools that nobody has approved as they are. */
const endings: Readonly<Record<InProject['pin'], string>> = {
  enforce: 'the others are not there until somebody approves them',
  warn: 'the others are there, and marked',
  off: 'the others are there',
};

/** Which tools of an MCP server projects have not approved as they are, and what differs. */
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
  const fault = useSignal<Refusal | null>(null);
  const { project, pin, approved, changes } = one;
  // Of much it is not said what differs: that is not approved by looking at the rest.
  const tools = changes.flatMap(({ name, hash, diff }) =>
    hash === null || diff === null ? [] : [{ name, hash }],
  );
  const approve = async (): Promise<void> => {
    fault.value = null;
    try {
      await call('POST', `${at}/approve`, { body: { project, tools } });
    } catch (thrown) {
      if (isFault(thrown)) fault.value = thrown;
    }
    done();
  };
  return (
    <>
      <h3>
        <a href={`/ui/r/projects/${encodeURIComponent(project)}`}>{project}</a>
      </h3>
      <p class="quiet">
        {approved.length} of its tools are as they were approved; {endings[pin]} (pin {pin}).
      </p>
      {fault.value && <Fault fault={fault.value} />}
      {changes.length > 0 && (
        <Table
          caption={`Tools that ${project} has not approved as they are`}
          rows={changes}
          keyOf={({ name }) => name}
          columns={[
            { head: 'Tool', cell: ({ name }) => name },
            { head: 'State', cell: wordsOf },
            {
              head: 'What differs',
              cell: ({ diff }) => <pre>{diff?.join('\n') ?? 'Ask: mcpctl diff server'}</pre>,
            },
          ]}
        />
      )}
      {tools.length > 0 && (
        <p class="actions">
          <button
            type="button"
            aria-label={`Approve as shown, for ${project}`}
            onClick={() => void approve()}
          >
            Approve as shown
          </button>
        </p>
      )}
    </>
  );
}
