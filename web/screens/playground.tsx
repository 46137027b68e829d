import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { PoolView } from '../../core/pool.ts';
import { useLoad } from '../net/load.ts';
import type { Page } from '../net/api.ts';
import { Code } from '../shown/code.tsx';
import { Fault, Empty, Loaded } from '../parts/loaded.tsx';
import { Screen } from '../parts/page.tsx';
import { asText, clear, draft, isRunning, send, settings, stop, turns, type Turn } from '../state/chat.ts';
import { go, query, withQuery } from '../state/router.ts';

function Meta({ turn }: { turn: Turn }) {
  const { member, queueMs, firstMs, tookMs, answer, isStopped, taskId } = turn;
  const seconds = firstMs === null || tookMs === null ? 0 : (tookMs - firstMs) / 1_000;
  const parts = [
    member,
    queueMs !== null && queueMs > 0 ? `waited ${(queueMs / 1_000).toFixed(1)} s` : null,
    firstMs === null ? null : `first ${(firstMs / 1_000).toFixed(1)} s`,
    answer.tokens === null ? null : `${String(answer.tokens)} tokens`,
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

function Said({ turn, isLast }: { turn: Turn; isLast: boolean }) {
  const { role, by, answer, fault } = turn;
  const isComing = isLast && isRunning.value;
  return (
    <section class={`turn ${role}`} aria-busy={isComing}>
      <h2>{by}</h2>
      {answer.thought !== '' && (
        <details>
          <summary>What it thought</summary>
          <p class="words quiet">{answer.thought}</p>
        </details>
      )}
      <p class="words">{answer.text}</p>
      {isComing && answer.text === '' && <p class="quiet">Waiting for its first word …</p>}
      {fault && <Fault fault={fault} />}
      {role === 'assistant' && !isComing && <Meta turn={turn} />}
    </section>
  );
}

/** Says beginnings, ends and whole answers to a screen reader, and never single words. */
function Announcer() {
  const turn = turns.value.at(-1);
  const text = isRunning.value ? 'The answer begins.' : turn?.role === 'assistant' ? turn.answer.text : '';
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

function Composer({ llm }: { llm: string }) {
  const submit = (event: Event): void => {
    event.preventDefault();
    const text = draft.value.trim();
    if (text === '' || isRunning.value) return;
    draft.value = '';
    void send(llm, text);
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
        {isRunning.value ? (
          <button type="button" class="danger" onClick={() => void stop()}>
            Stop
          </button>
        ) : (
          <button type="submit" class="main">
            Send
          </button>
        )}
        <span class="quiet">Enter sends, Shift-Enter begins a line.</span>
      </p>
    </form>
  );
}

function Conversation() {
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
    if (isFollowing.current && isRunning.value) end.current?.scrollIntoView({ block: 'end' });
  });
  return (
    <div class="chat">
      {turns.value.map((turn, i) => (
        <Said key={i} turn={turn} isLast={i === turns.value.length - 1} />
      ))}
      <div ref={end} />
    </div>
  );
}

function save(): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([asText()], { type: 'text/markdown' }));
  link.download = 'conversation.md';
  link.click();
  URL.revokeObjectURL(link.href);
}

function namesOf(pools: readonly PoolView[]): string[] {
  return [...new Set(pools.flatMap(({ poolKey, members }) => [poolKey, ...members.map(({ name }) => name)]))];
}

function Talk({ pools }: { pools: readonly PoolView[] }) {
  const names = namesOf(pools);
  const chosen = query.value.get('llm') ?? names[0] ?? '';
  const shown = names.includes(chosen) ? names : [chosen, ...names];
  const isCode = useSignal(false);
  const pool = pools.find(
    ({ poolKey, members }) => poolKey === chosen || members.some(({ name }) => name === chosen),
  );
  return (
    <>
      <div class="filters">
        <label>
          Model
          <select
            value={chosen}
            onChange={({ currentTarget }) => go(withQuery({ llm: currentTarget.value }), 'replace')}
          >
            {shown.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <button type="button" onClick={() => (isCode.value = true)}>
          View code
        </button>
        <button type="button" disabled={turns.value.length === 0} onClick={save}>
          Save
        </button>
        <button type="button" disabled={turns.value.length === 0} onClick={clear}>
          New conversation
        </button>
      </div>
      {pool?.activeCount === 0 && (
        <p class="warning">
          Nobody serves {chosen} now: a message waits until somebody does.{' '}
          <a href={`/ui/llms/${encodeURIComponent(chosen)}`}>See why</a>
        </p>
      )}
      <SettingFields />
      <Conversation />
      <Announcer />
      <Composer llm={chosen} />
      {isCode.value && <Code llm={chosen} close={() => (isCode.value = false)} />}
    </>
  );
}

export function Playground() {
  const pools = useLoad<Page<PoolView>>('/pools?limit=500', 'pools');
  const llm = query.value.get('llm') ?? 'NAME';
  return (
    <Screen title="Playground" command={`mcpctl chat-llm ${llm}`}>
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
