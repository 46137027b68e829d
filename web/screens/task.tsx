import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { ExplainView } from '../../core/task/explain.ts';
import type { TaskView } from '../../core/task/task.ts';
import { followTask, noAnswer } from '../net/answer.ts';
import { call, isFault, type Fault as Refusal } from '../net/api.ts';
import { useLoad } from '../net/load.ts';
import { useSending } from '../net/sending.ts';
import { Dialog } from '../parts/dialog.tsx';
import { Facts } from '../parts/facts.tsx';
import { Fault, Loaded } from '../parts/loaded.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { MOST_SHOWN, Words } from '../parts/words.tsx';
import { Status } from '../shown/status.tsx';
import { Table } from '../parts/table.tsx';
import { Age } from '../parts/time.tsx';
import { Write } from '../parts/write.tsx';
import { Why } from '../shown/why.tsx';
import { go, named } from '../state/router.ts';

export const isOver = ({ status }: TaskView): boolean => ['completed', 'error', 'cancelled'].includes(status);

function bodyText(body: unknown): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body, undefined, 2);
  return text.length > MOST_SHOWN
    ? `${text.slice(0, MOST_SHOWN)}\n… (${String(text.length)} characters in all)`
    : text;
}

/** It may have megabytes: it is written out for who opens it. */
function Body({ title, body }: { title: string; body: unknown }) {
  const isOpen = useSignal(false);
  if (body === null || body === undefined) return null;
  return (
    <details onToggle={({ currentTarget }) => (isOpen.value = currentTarget.open)}>
      <summary>{title}</summary>
      {isOpen.value && (
        <pre class="answer" tabIndex={0}>
          {bodyText(body)}
        </pre>
      )}
    </details>
  );
}

/** What a task that lives has said by now, as it says it. */
function LiveAnswer({ id }: { id: string }) {
  const answer = useSignal(noAnswer);
  const fault = useSignal<Refusal | null>(null);
  useEffect(() => {
    const left = new AbortController();
    followTask({ taskId: id, signal: left.signal, show: (now) => (answer.value = now) }).catch(
      (thrown: unknown) => {
        if (isFault(thrown)) fault.value = thrown;
      },
    );
    return () => left.abort();
  }, [id]);
  const { text, thought } = answer.value;
  return (
    <section>
      <h2>Answer, as it comes</h2>
      {fault.value && <Fault fault={fault.value} />}
      <div class="answer" tabIndex={0} role="region" aria-label="Answer, as it comes">
        <Words text={thought + text || 'Nothing yet.'} isComing class="mono" />
      </div>
    </section>
  );
}

function Cancel({ task, done }: { task: TaskView; done: () => void }) {
  const isAsking = useSignal(false);
  const { fault, send } = useSending();
  const button = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    const { current } = button;
    // It goes when the task has ended: who pressed it stays where it was.
    return () => {
      if (current?.contains(document.activeElement))
        (current.closest('.peek') ?? document).querySelector<HTMLElement>('h1, h2')?.focus();
    };
  }, []);
  const cancel = async (): Promise<void> => {
    isAsking.value = false;
    await send(async () => {
      await call('DELETE', `/tasks/${task.id}`);
      done();
    });
  };
  return (
    <>
      {fault.value && <Fault fault={fault.value} />}
      <span ref={button}>
        <Write class="danger" onClick={() => (isAsking.value = true)}>
          Cancel this task
        </Write>
      </span>
      {isAsking.value && (
        <Dialog title="Cancel this task?" close={() => (isAsking.value = false)}>
          <p>Whoever waits for it is told so; its backend stops.</p>
          <p class="actions">
            <Write class="main" onClick={() => void cancel()}>
              Cancel the task
            </Write>
          </p>
        </Dialog>
      )}
    </>
  );
}

/** Ended, and what it asked is there to be asked: the server decides about the rest. */
const isAskable = (task: TaskView): boolean =>
  isOver(task) && typeof task.request === 'object' && task.request !== null && task.operation !== 'mcp';

function Retry({ id }: { id: string }) {
  const { fault, send } = useSending();
  const retry = async (): Promise<void> => {
    const made = await call<TaskView>('POST', `/tasks/${id}/retry`);
    go(`/tasks/${made.id}`);
  };
  return (
    <>
      {fault.value && <Fault fault={fault.value} />}
      <Write onClick={() => void send(retry)}>Ask the same again</Write>
    </>
  );
}

const seconds = (ms: number | null): string | null => (ms === null ? null : `${(ms / 1_000).toFixed(1)} s`);

const factsOf = (task: TaskView): [string, ComponentChildren][] => [
  ['Status', <Status of={task.status} />],
  ['Error', task.error && `${task.error.message} (${task.error.code})`],
  ['Asked', <a href={`/ui/llms/${encodeURIComponent(task.llmName)}`}>{task.llmName}</a>],
  ['Pool', <a href={`/ui/pools/${encodeURIComponent(task.poolName)}`}>{task.poolName}</a>],
  ['Member', task.claimedLlm],
  ['Kind', `${task.operation}, ${task.source}, ${task.priority}${task.streaming ? ', streamed' : ''}`],
  [
    'Asked by',
    task.owner && (task.tokenName === null ? task.owner : `${task.owner}, with the token ${task.tokenName}`),
  ],
  ['Made', <Age at={task.createdAt} />],
  ['Waited', seconds(task.queueMs)],
  ['First event after', seconds(task.ttftMs)],
  ['Ended', task.completedAt && <Age at={task.completedAt} />],
  [
    'Tokens',
    task.usage && `${String(task.usage.promptTokens)} in, ${String(task.usage.completionTokens)} out`,
  ],
  ['Finish', task.finishReason],
];

function whyOf(task: TaskView): string {
  if (task.claimedLlm !== null) return `Why ${task.claimedLlm}?`;
  return isOver(task) ? 'Why nobody?' : 'Why does it wait?';
}

function Attempts({ task }: { task: TaskView }) {
  const { attemptLog = [] } = task;
  if (attemptLog.length === 0) return null;
  return (
    <section>
      <h2>Attempts</h2>
      <Table
        caption="Attempts"
        rows={attemptLog}
        keyOf={({ n }) => String(n)}
        columns={[
          { head: '#', cell: ({ n }) => n },
          { head: 'Member', cell: ({ llm }) => llm },
          { head: 'Came to', cell: ({ reason }) => reason },
          { head: 'Begun', cell: ({ startedAt }) => <Age at={startedAt} /> },
        ]}
      />
    </section>
  );
}

/** All of one task but its heading; it stands on a screen of its own, or beside the list. */
export function TaskDetails({ id }: { id: string }) {
  const task = useLoad<TaskView>(`/tasks/${id}`, 'tasks');
  const why = useLoad<ExplainView>(`/tasks/${id}/explain`, 'tasks');
  return (
    <Loaded of={task}>
      {(view) => (
        <>
          <Facts of={factsOf(view)} />
          {!isOver(view) && <Cancel task={view} done={task.again} />}
          {isAskable(view) && <Retry id={id} />}
          {!isOver(view) && view.streaming && <LiveAnswer id={id} />}
          <Attempts task={view} />
          <Why heading={whyOf(view)} of={why} />
          <h2>Bodies</h2>
          <Body title="Request" body={view.request} />
          <Body title="Answer" body={view.response} />
          {view.request === null && view.response === null && <p class="quiet">They are not kept.</p>}
        </>
      )}
    </Loaded>
  );
}

/** How people call it: its last characters tell it from others, as its first say when it was made. */
export const taskTitle = (id: string): string => `Task …${id.slice(-8)}`;

export function Task() {
  const { raw: id } = named.value;
  return (
    <Screen title={taskTitle(id)} command={shell`mcpctl describe task ${id}`}>
      <TaskDetails id={id} />
    </Screen>
  );
}
