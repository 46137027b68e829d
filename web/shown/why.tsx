import type { ExplainView } from '../../core/task/explain.ts';
import { useLoad, type Load } from '../net/load.ts';
import { Dialog } from '../parts/dialog.tsx';
import { Loaded } from '../parts/loaded.tsx';
import { Status } from './status.tsx';
import { Table } from '../parts/table.tsx';
import { bodyOf, chat, draft } from '../state/chat.ts';

/** Who has it, would take it, and why not the others. */
export function Why({ heading, of }: { heading: string; of: Load<ExplainView> }) {
  return (
    <section>
      <h2>{heading}</h2>
      <Loaded of={of}>
        {({ summary, candidates, place }) => (
          <>
            <p>
              {summary}
              {place !== undefined && ` Its place would be ${String(place)}.`}
            </p>
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

/** Who could take the conversation with what is typed by now, and where it would stand; nobody is sent it. */
export function WhoAnswers({ llm, close }: { llm: string; close: () => void }) {
  const body = bodyOf(chat.turns.value);
  const next = { role: 'user', content: draft.peek() };
  const request = { ...body, messages: [...body.messages, next] };
  const why = useLoad<ExplainView>(`/llms/${encodeURIComponent(llm)}/explain`, undefined, { request });
  return (
    <Dialog title={`Who would answer for ${llm}`} close={close}>
      <Why heading="If it were sent now" of={why} />
    </Dialog>
  );
}
