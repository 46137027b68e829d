import { useSignal, type Signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { GateEvent, WatchedExchange } from '../../core/mcp/traffic/exchange.ts';
import { isFault, type Fault as Refusal } from '../net/api.ts';
import { watchTraffic, type Heard } from '../net/traffic.ts';
import { Facts } from '../parts/facts.tsx';
import { Empty, Fault } from '../parts/loaded.tsx';
import { Newest } from '../parts/newest.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { Table } from '../parts/table.tsx';
import { Choice, ClearFilters, Typed } from '../shown/filters.tsx';
import { Status } from '../shown/status.tsx';
import { named, query } from '../state/router.ts';

const filters = ['server', 'tool', 'client', 'errors', 'bodies'];
/** Those before are let go of; the tasks stay where they are. */
const MOST_ROWS = 500;
/** Shown together, so that a busy project costs no more than a quiet one. */
const SHOW_MS = 100;
/** How many rows there were, whatever was watched: an id is of one of them, so that none is shown open for another. */
let count = 0;

type Row = WatchedExchange & { id: string };

interface Watch {
  /** The newest first. */
  rows: Signal<readonly Row[]>;
  /** How many others there were; null: some may be missing. */
  missed: Signal<number | null>;
  sees: Signal<string>;
  /** Why nothing can be told of now; '': it can. */
  away: Signal<string>;
  fault: Signal<Refusal | null>;
}

/** Watches while `isOn`: anew where another part of it is wanted. */
function useWatch(project: string, isOn: boolean): Watch {
  const watch: Watch = {
    rows: useSignal<readonly Row[]>([]),
    missed: useSignal<number | null>(0),
    sees: useSignal(''),
    away: useSignal(''),
    fault: useSignal<Refusal | null>(null),
  };
  const wanted = new URLSearchParams();
  for (const name of filters) {
    const value = query.value.get(name);
    if (value !== null) wanted.set(name, value);
  }
  useEffect(
    () => (isOn ? begin(watch, { project, query: wanted }) : undefined),
    [isOn, project, wanted.toString()],
  );
  return watch;
}

/** @returns what ends it. */
function begin(
  { rows, missed, sees, away, fault }: Watch,
  wanted: { project: string; query: URLSearchParams },
): () => void {
  const left = new AbortController();
  let waiting: Row[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  rows.value = [];
  missed.value = 0;
  sees.value = '';
  fault.value = null;
  const show = (): void => {
    timer = undefined;
    rows.value = [...waiting.toReversed(), ...rows.value].slice(0, MOST_ROWS);
    waiting = [];
  };
  const hear = (heard: Heard): void => {
    away.value = heard.kind === 'away' ? heard.why : '';
    if (heard.kind === 'hello') sees.value = heard.sees;
    if (heard.kind === 'missed')
      missed.value = heard.count === null || missed.value === null ? null : missed.value + heard.count;
    if (heard.kind !== 'exchange') return;
    waiting.push({ ...heard.exchange, id: String(++count) });
    if (waiting.length > MOST_ROWS) waiting.shift();
    timer ??= setTimeout(show, SHOW_MS);
  };
  watchTraffic({ ...wanted, signal: left.signal }, hear).catch((thrown: unknown) => {
    if (isFault(thrown) && !left.signal.aborted) fault.value = thrown;
  });
  return () => {
    left.abort();
    clearTimeout(timer);
    away.value = '';
  };
}

const span = (ms: number | null): string => (ms === null ? '–' : String(Math.round(ms)));
const askedOf = ({ method, name }: Row): string =>
  method === 'tools/call' ? `→ ${name ?? ''}` : `${method} ${name ?? ''}`;

function Rows({ rows, open }: { rows: readonly Row[]; open: Signal<string> }) {
  return (
    <Table
      caption="What clients asked, newest first"
      rows={rows}
      keyOf={({ id }) => id}
      selected={open.value}
      columns={[
        {
          head: 'Time',
          cell: ({ id, at }) => (
            <button type="button" class="small" onClick={() => (open.value = open.value === id ? '' : id)}>
              {new Date(at).toTimeString().slice(0, 8)}
            </button>
          ),
        },
        { head: 'User', cell: ({ user }) => user },
        { head: 'Client', wide: true, cell: ({ client }) => client ?? '–' },
        { head: 'Asked', cell: askedOf },
        {
          head: 'Queue | start | run | pipe',
          wide: true,
          number: true,
          cell: ({ ms }) => [ms.queue, ms.start, ms.run, ms.pipeline].map(span).join(' | '),
        },
        { head: 'ms', number: true, cell: ({ ms }) => span(ms.total) },
        {
          head: 'Came to',
          cell: ({ outcome, replayed }) => (
            <>
              <Status of={outcome} />
              {replayed && ' (again)'}
            </>
          ),
        },
      ]}
    />
  );
}

function toldBy(event: GateEvent): string {
  switch (event.kind) {
    case 'briefed': {
      const by = event.llm === null ? 'by its words' : `by the llm ${event.llm}`;
      const chosen = event.chosen.map(({ name, why }) => `${name} (${why})`);
      const more = event.more > 0 ? [`${String(event.more)} more`] : [];
      const listed = event.listed > 0 ? [`${String(event.listed)} only listed`] : [];
      const dead = event.dead.map((name) => `${name}: its link is dead`);
      return `briefed ${by}: ${[...chosen, ...more, ...listed, ...dead].join('; ') || 'no prompt'}`;
    }
    case 'gated':
      return 'not run: its caller is to be briefed first';
    case 'read':
      return `read: ${event.names.join(', ') || 'no prompt'}`;
  }
}

/** All that there is to say of one. */
function Details({ row }: { row: Row }) {
  const { bodies, noBodies, bytes, server, tool, taskId, stages, gate } = row;
  return (
    <section>
      <h2>{askedOf(row)}</h2>
      <Facts
        of={[
          ['Server', server === null ? null : `${server}${tool === null ? '' : `: ${tool}`}`],
          ['Token', row.token],
          ['Bytes', `${bytes.request.toLocaleString('en')} in, ${bytes.answer.toLocaleString('en')} out`],
          ['Task', taskId === null ? null : <a href={`/ui/tasks/${taskId}`}>{taskId}</a>],
          ['Answer', stages.join(', ')],
          ['Gate', gate.map(toldBy).join('. ')],
          ['Not shown', noBodies],
        ]}
      />
      {bodies && (
        <>
          <h3>Asked</h3>
          <pre class="answer">{JSON.stringify(bodies.request, null, 2)}</pre>
          <h3>Answered{bodies.isCut && ', as far as it is shown'}</h3>
          <pre class="answer">{JSON.stringify(bodies.answer, null, 2)}</pre>
        </>
      )}
    </section>
  );
}

/** How the watch goes, in a sentence. */
function wordsOf({ away, missed, rows, sees }: Watch): string {
  if (away.value !== '') return `${away.value} Going on when that is over …`;
  if (sees.value === '') return 'Beginning to watch …';
  const lost =
    missed.value === null ? ' Some may be missing.' : ` ${String(missed.value)} were not captured.`;
  const whose = sees.value === 'all' ? 'what clients ask' : 'what you ask';
  return `Watching ${whose}: ${String(rows.value.length)} seen.${missed.value === 0 ? '' : lost}`;
}

function Watched({ watch }: { watch: Watch }) {
  const open = useSignal('');
  const holds = useSignal(false);
  const { rows, fault } = watch;
  const row = rows.value.find(({ id }) => id === open.value);
  return (
    <>
      {fault.value && <Fault fault={fault.value} />}
      <p role="status" class="quiet">
        {!fault.value && wordsOf(watch)}
      </p>
      <label>
        <input
          type="checkbox"
          checked={holds.value}
          onChange={({ currentTarget }) => (holds.value = currentTarget.checked)}
        />{' '}
        Hold: new ones wait
      </label>
      {row && <Details row={row} />}
      {rows.value.length > 0 && (
        <Newest key={String(holds.value)} rows={rows.value} isFirst={holds.value}>
          {(shown) => <Rows rows={shown} open={open} />}
        </Newest>
      )}
    </>
  );
}

/** What clients ask of a project, as it goes on. Nothing is captured before somebody watches, and that they do is in the audit. */
export function Traffic() {
  const project = named.value.name;
  const isOn = useSignal(false);
  const watch = useWatch(project, isOn.value);
  const chosen = filters.flatMap((name) => {
    const value = query.value.get(name);
    const flag = name === 'server' ? '--mcp-server' : `--${name}`;
    if (value === null) return [];
    return value === 'true' ? [flag] : [flag, value];
  });
  const toggle = (
    <button type="button" class={isOn.value ? '' : 'main'} onClick={() => (isOn.value = !isOn.value)}>
      {isOn.value ? 'Stop watching' : 'Watch'}
    </button>
  );
  return (
    <Screen
      title={`What clients ask of ${project}`}
      command={shell`mcpctl console ${project} --watch ${chosen}`}
      actions={toggle}
    >
      <div class="filters">
        <Typed name="server" label="Server" />
        <Typed name="tool" label="Tool, or a part of its name" />
        <Typed name="client" label="Client" />
        <Choice name="errors" label="Only what failed" of={['true']} any="no" />
        <Choice name="bodies" label="With what is said" of={['true']} any="no" />
      </div>
      {chosen.length > 0 && <ClearFilters names={filters} />}
      {isOn.value ? (
        <Watched watch={watch} />
      ) : (
        <Empty why="Nothing is captured while nobody watches.">
          <p>
            Press Watch, and then let a client ask something of <code>/mcp/projects/{project}</code>. Who may
            edit the project sees what all ask of it, and that they look is in the audit; others see their
            own.
          </p>
        </Empty>
      )}
    </Screen>
  );
}
