import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { PoolView } from '../../core/pool.ts';
import { storesAway } from '../net/live.ts';
import { useLoad } from '../net/load.ts';
import type { Page } from '../net/api.ts';
import { Code } from '../shown/code.tsx';
import { WhoAnswers } from '../shown/why.tsx';
import { Fault, Empty, Loaded } from '../parts/loaded.tsx';
import { MOST_SHOWN, Words } from '../parts/words.tsx';
import { Write } from '../parts/write.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { chat, draft, otherChat, settings, type Chat, type Turn } from '../state/chat.ts';
import { Chosen } from '../shown/filters.tsx';
import { query } from '../state/router.ts';
import { who } from '../state/session.ts';

function Meta({ turn }: { turn: Turn }) {
  const { member, queueMs, firstMs, tookMs, answer, isStopped, taskId } = turn;
  const seconds = firstMs === null || tookMs === null ? 0 : (tookMs - firstMs) / 1_000;
  const parts = [
    member,
    queueMs !== null && queueMs > 0 ? `waited ${(queueMs / 1_000).toFixed(1)} s` : null,
    firstMs === null ? null : `first ${(firstMs / 1_000).toFixed(1)} s`,
    answer.tokens === null ? null : `${String(answer.tokens)} token${answer.tokens === 1 ? '' : 's'}`,
    answer.tokens === null || seconds <= 0 ? null : `${(answer.tokens / seconds).toFixed(0)} tok/s`,
    isStopped ? 'stopped' : null,
  ];
  return (
    <p class="quiet">
      {parts.filter((part) => part !== null).join(' · ')}
      {taskId !== null && (
        <>
          {' · '}
          <a href={`/ui/tasks/${taskId}`}>why this member</a>
        </>
      )}
    </p>
  );
}

interface Shown {
  of: Chat;
  llm: string;
}

function Said({ turn, isLast, of, llm }: Shown & { turn: Turn; isLast: boolean }) {
  const { role, by, answer, fault } = turn;
  const isComing = isLast && of.isRunning.value;
  return (
    <section class={`turn ${role}`} aria-busy={isComing}>
      <h2>{by}</h2>
      {answer.thought !== '' && (
        <details>
          <summary>What it thought</summary>
          <Words text={answer.thought} isComing={isComing} class="quiet" />
        </details>
      )}
      <Words text={answer.text} isComing={isComing} />
      {isComing && answer.text === '' && <p class="quiet">Waiting for its first word …</p>}
      {fault && <Fault fault={fault} />}
      {role === 'assistant' && !isComing && <Meta turn={turn} />}
      {fault && isLast && !isComing && <Write onClick={() => void of.again(llm)}>Ask again</Write>}
    </section>
  );
}

/** Says beginnings, ends and whole answers to a screen reader, and never single words. */
function Announcer({ of: { turns, isRunning } }: { of: Chat }) {
  const turn = turns.value.at(-1);
  const text = isRunning.value
    ? 'The answer begins.'
    : turn?.role === 'assistant'
      ? turn.answer.text.slice(0, MOST_SHOWN)
      : '';
  return (
    <div class="hidden" role="status">
      {text}
    </div>
  );
}

function SettingFields() {
  const { system, temperature, maxTokens } = settings.value;
  const change =
    (name: keyof typeof settings.value) =>
    (event: Event & { currentTarget: HTMLInputElement | HTMLTextAreaElement }) =>
      (settings.value = { ...settings.value, [name]: event.currentTarget.value });
  return (
    <details>
      <summary>System prompt, temperature, length</summary>
      <label>
        System prompt
        <textarea value={system} onInput={change('system')} />
      </label>
      <label>
        Temperature
        <input type="number" min="0" max="2" step="0.1" value={temperature} onInput={change('temperature')} />
      </label>
      <label>
        At most so many tokens
        <input type="number" min="1" step="1" value={maxTokens} onInput={change('maxTokens')} />
      </label>
    </details>
  );
}

function Composer({ to }: { to: readonly Shown[] }) {
  const isRunning = to.some(({ of }) => of.isRunning.value);
  const submit = (event: Event): void => {
    event.preventDefault();
    const text = draft.value.trim();
    if (text === '' || isRunning || storesAway.value !== null) return;
    draft.value = '';
    for (const { of, llm } of to) void of.send(llm, text);
  };
  return (
    <form onSubmit={submit}>
      <label>
        Message
        <textarea
          value={draft}
          onInput={({ currentTarget }) => (draft.value = currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) submit(event);
          }}
        />
      </label>
      <p class="actions">
        {isRunning ? (
          <button type="button" class="danger" onClick={() => to.forEach(({ of }) => void of.stop())}>
            Stop
          </button>
        ) : (
          <Write type="submit" class="main">
            Send
          </Write>
        )}
        <span class="quiet">Enter sends, Shift-Enter begins a line.</span>
      </p>
    </form>
  );
}

/** Stays at the newest word, unless one has scrolled away from it. */
function useFollowing(isRunning: boolean): { current: HTMLDivElement | null } {
  const end = useRef<HTMLDivElement>(null);
  const isFollowing = useRef(true);
  useEffect(() => {
    const scrolled = (): void => {
      isFollowing.current = innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
    };
    addEventListener('scroll', scrolled, { passive: true });
    return () => removeEventListener('scroll', scrolled);
  }, []);
  useEffect(() => {
    if (isFollowing.current && isRunning) end.current?.scrollIntoView({ block: 'end' });
  });
  return end;
}

function Conversation({ of, llm }: Shown) {
  const end = useFollowing(of.isRunning.value);
  return (
    <div class="chat">
      {of.turns.value.map((turn, i) => (
        <Said key={i} turn={turn} isLast={i === of.turns.value.length - 1} of={of} llm={llm} />
      ))}
      <Announcer of={of} />
      <div ref={end} />
    </div>
  );
}

function save(text: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/markdown' }));
  link.download = 'conversation.md';
  link.click();
  URL.revokeObjectURL(link.href);
}

function namesOf(pools: readonly PoolView[]): string[] {
  return [...new Set(pools.flatMap(({ poolKey, members }) => [poolKey, ...members.map(({ name }) => name)]))];
}

function Model({ name, label, names, value, any }: ModelChoice) {
  const shown = value === '' || names.includes(value) ? names : [value, ...names];
  const options = shown.map((one) => [one, one] as const);
  return (
    <Chosen
      name={name}
      label={label}
      options={any === undefined ? options : [['', any], ...options]}
      value={value}
    />
  );
}
interface ModelChoice {
  name: string;
  label: string;
  names: readonly string[];
  value: string;
  /** What choosing none is called, where one may. */
  any?: string;
}

function NobodyServes({ llm, pools }: { llm: string; pools: readonly PoolView[] }) {
  const pool = pools.find(
    ({ poolKey, members }) => poolKey === llm || members.some(({ name }) => name === llm),
  );
  if (pool?.activeCount !== 0) return null;
  return (
    <p class="warning">
      Nobody serves {llm} now: a message waits until somebody does.{' '}
      <a href={`/ui/llms/${encodeURIComponent(llm)}`}>See why</a>
    </p>
  );
}

/**
 * A page that is loaded anew goes on with its answers: their tasks, and nothing of what was said, stand beside the address in this tab's
 * history. It stays there for whoever signs in here next, and is taken up by nobody else.
 */
function useTakingUp(): void {
  const both = [chat, otherChat];
  const isBegun = useRef(false);
  const answers = both.map(({ taskId }) => taskId.value);
  useEffect(() => {
    const state = (history.state ?? {}) as { answers?: (string | null)[]; user?: string };
    const user = who.value?.user;
    both.forEach((one, i) => {
      const taskId = state.answers?.[i];
      if (!isBegun.current && state.user === user && typeof taskId === 'string') void one.takeUp(taskId);
    });
    // What is to be taken up is written down already.
    if (isBegun.current || answers.some((id) => id !== null)) history.replaceState({ answers, user }, '');
    isBegun.current = true;
  }, [query.value.toString(), ...answers]);
}

function Talk({ pools }: { pools: readonly PoolView[] }) {
  const names = namesOf(pools);
  const llm = query.value.get('llm') ?? names[0] ?? '';
  const other = query.value.get('beside') ?? '';
  const columns: readonly Shown[] = [
    { of: chat, llm },
    ...(other === '' ? [] : [{ of: otherChat, llm: other }]),
  ];
  const opened = useSignal<'code' | 'who' | null>(null);
  const close = (): void => void (opened.value = null);
  useTakingUp();
  // What is no longer seen is no longer answered either.
  useEffect(() => (other === '' ? otherChat.clear() : undefined), [other]);
  const isEmpty = columns.every(({ of }) => of.turns.value.length === 0);
  return (
    <>
      <div class="filters">
        <Model name="llm" label="Model" names={names} value={llm} />
        <Model name="beside" label="Compare with" names={names} value={other} any="nobody" />
        <button type="button" onClick={() => (opened.value = 'code')}>
          View code
        </button>
        <button type="button" onClick={() => (opened.value = 'who')}>
          Who would answer
        </button>
        <button
          type="button"
          disabled={isEmpty}
          onClick={() => save(columns.map(({ of }) => of.asText()).join('\n---\n\n'))}
        >
          Save
        </button>
        <button type="button" disabled={isEmpty} onClick={() => columns.forEach(({ of }) => of.clear())}>
          New conversation
        </button>
      </div>
      {columns.map(({ llm: one }, i) => (
        <NobodyServes key={i} llm={one} pools={pools} />
      ))}
      <SettingFields />
      <div class={columns.length > 1 ? 'beside' : ''}>
        {columns.map((column, i) => (
          <Conversation key={i} {...column} />
        ))}
      </div>
      <Composer to={columns} />
      {opened.value === 'code' && <Code llm={llm} close={close} />}
      {opened.value === 'who' && <WhoAnswers llm={llm} close={close} />}
    </>
  );
}

export function Playground() {
  const pools = useLoad<Page<PoolView>>('/pools?limit=500', 'pools');
  const llm = query.value.get('llm') ?? 'NAME';
  return (
    <Screen title="Playground" command={shell`mcpctl chat-llm ${llm}`}>
      <Loaded of={pools}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty why="There is no model that you may ask.">
              <p>
                Publish one: <code>mcplocal run</code> on the machine of a model.
              </p>
            </Empty>
          ) : (
            <Talk pools={items} />
          )
        }
      </Loaded>
    </Screen>
  );
}
