import type { ExplainView } from '../../core/task/explain.ts';
import type { Load } from '../net/load.ts';
import { Loaded } from '../parts/loaded.tsx';
import { Status } from './status.tsx';
import { Table } from '../parts/table.tsx';

/** Who has it, would take it, and why not the others. */
export function Why({ heading, of }: { heading: string; of: Load<ExplainView> }) {
  return (
    <section>
      <h2>{heading}</h2>
      <Loaded of={of}>
        {({ summary, candidates }) => (
          <>
            <p>{summary}</p>
            {candidates.length > 0 && (
              <Table
                caption="Members, and why or why not"
                rows={candidates}
                keyOf={({ name }) => name}
                columns={[
                  {
                    head: 'Member',
                    cell: ({ name }) => <a href={`/ui/llms/${encodeURIComponent(name)}`}>{name}</a>,
                  },
                  { head: 'Verdict', cell: ({ verdict }) => <Status of={verdict} /> },
                  { head: 'Reason', cell: ({ reason }) => reason },
                ]}
              />
            )}
          </>
        )}
      </Loaded>
    </section>
  );
}
