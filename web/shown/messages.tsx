import { useSignal } from '@preact/signals';
import type { MessageView } from '../../core/agent/thread.ts';
import { call, type Page } from '../net/api.ts';
import { useLoad } from '../net/load.ts';
import { useSending } from '../net/sending.ts';
import { Fault, Empty, Loaded } from '../parts/loaded.tsx';
import { Write } from '../parts/write.tsx';
import { Words } from '../parts/words.tsx';

const MOST = 100;

/** Of a result that the server has brought: by which server, and how it ended. */
const toldOf = (call: MessageView['serverCall']): (string | null)[] =>
  call ? [call.server, call.code, call.ms === null ? null : `${String(call.ms)} ms`] : [];

function Said({ message, agent }: { message: MessageView; agent: string }) {
  const { role, content, status, servedBy, toolCalls = [], serverCall } = message;
  const by = { assistant: agent, user: 'you', tool: serverCall?.name ?? 'tool' }[role];
  const calls = toolCalls.map(({ name }) => name).join(', ');
  return (
    <section class={`turn ${role}`}>
      <h3>{by}</h3>
      <Words text={content} />
      <p class="quiet">
        {[
          servedBy,
          status === 'complete' ? null : status,
          calls === '' ? null : `calls ${calls}`,
          ...toldOf(serverCall),
        ]
          .filter((part) => part !== null)
          .join(' · ')}
        {serverCall?.taskId != null && (
          <>
            {' · '}
            <a href={`/ui/tasks/${serverCall.taskId}`}>task</a>
          </>
        )}
      </p>
    </section>
  );
}

/** What was said in a thread, and a next word to it. */
export function Messages({ thread, agent }: { thread: string; agent: string }) {
  const page = useLoad<Page<MessageView>>(`/threads/${thread}/messages?last=${String(MOST)}`, 'tasks');
  const text = useSignal('');
  const isBusy = useSignal(false);
  const { fault, send } = useSending();
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    isBusy.value = true;
    await send(async () => {
      await call('POST', `/threads/${thread}/turns`, { body: { message: text.value } });
      text.value = '';
    });
    isBusy.value = false;
    page.again();
  };
  return (
    <section>
      <h2>What was said</h2>
      <Loaded of={page}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty why="Nothing was said yet." />
          ) : (
            <div class="chat">
              {items.map((message) => (
                <Said key={message.id} message={message} agent={agent} />
              ))}
            </div>
          )
        }
      </Loaded>
      {fault.value && <Fault fault={fault.value} />}
      <form onSubmit={(event) => void submit(event)}>
        <label>
          Message
          <textarea
            required
            value={text}
            onInput={({ currentTarget }) => (text.value = currentTarget.value)}
          />
        </label>
        <Write type="submit" class="main" disabled={isBusy.value}>
          {isBusy.value ? 'It answers …' : 'Send'}
        </Write>
      </form>
    </section>
  );
}
