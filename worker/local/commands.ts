import { McpctlError } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import { oneLine } from '../../core/runtime/plain.ts';
import { askWorker } from './client.ts';
import { columns } from './columns.ts';
import type { LocalAction, LocalStatus } from './protocol.ts';

export interface LocalCommandOptions {
  /** The socket of the worker. */
  path: string;
  json: boolean;
  /** For how long, of a pause; until it is resumed unless told. */
  ms?: number;
  print: (text: string) => void;
}

const LOOK_MS = 500;

/** `mcplocal status | pause | resume | drain`. @throws McpctlError `server_unreachable` when no worker runs. */
export async function runLocalCommand(
  what: 'status' | LocalAction,
  { path, json, ms, print }: LocalCommandOptions,
): Promise<void> {
  const status = await askWorker(path, what, ms);
  if (json) print(`${JSON.stringify(status, null, 2)}\n`);
  else print(what === 'status' ? statusText(status) : `${sentenceOf(what, status)}\n`);
  if (what !== 'drain') return;
  await untilGone(path);
  if (!json) print('It has left.\n');
}

/** As long as it takes: leaving this command does not break the drain off. */
async function untilGone(path: string): Promise<void> {
  for (;;) {
    await pause(LOOK_MS);
    try {
      await askWorker(path, 'status');
    } catch (thrown) {
      if (thrown instanceof McpctlError && thrown.code === 'server_unreachable') return;
      throw thrown;
    }
  }
}

function sentenceOf(what: LocalAction, status: LocalStatus): string {
  const running = status.llms.reduce((sum, llm) => sum + llm.running, 0);
  const tasks = running === 1 ? '1 task' : `${String(running)} tasks`;
  switch (what) {
    case 'pause':
      return `Paused: the worker takes no more tasks until ${endOf(status)}; ${tasks} still run to their end.`;
    case 'resume':
      return 'Resumed: the worker takes tasks again.';
    case 'drain':
      return `Draining: the worker takes no more tasks and leaves when ${tasks} have ended.`;
  }
}

/** As clocks here show it. */
function endOf({ pausedUntil }: LocalStatus): string {
  if (pausedUntil === undefined) return '"mcplocal resume"';
  const at = new Date(pausedUntil);
  const time = at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', hour12: false });
  const isToday = at.toDateString() === new Date().toDateString();
  return `${isToday ? '' : `${at.toLocaleDateString()} `}${time}, or "mcplocal resume"`;
}

function statusText(status: LocalStatus): string {
  const { session, edge, transport, connected, state, pid, version, llms, refused } = status;
  const lines = [
    `Worker:     ${state}${status.pausedUntil === undefined ? '' : ` until ${endOf(status)}`} (process ${String(pid)}, version ${version})`,
    `Session:    ${session ?? 'none yet'}`,
    `Edge:       ${oneLine(edge)}`,
    `Transport:  ${transport ?? 'not decided yet'}, ${connected ? 'connected' : 'not connected'}`,
    ...(refused === undefined
      ? []
      : [`Refused:    ${oneLine(refused)} Run "mcpctl login", then start it again.`]),
  ];
  const table = columns([
    ['NAME', 'STATE', 'RUNNING', 'SLOTS', 'MODEL'],
    ...llms.map((llm) =>
      [llm.name, llm.state, String(llm.running), String(llm.slots), llm.model].map(oneLine),
    ),
  ]);
  const troubles = llms.flatMap(({ name, misconfigured }) =>
    misconfigured === undefined ? [] : [`${oneLine(name)} is misconfigured: ${oneLine(misconfigured)}`],
  );
  const shown = llms.length > 0 ? table : ['Nothing is published.'];
  return `${[...lines, '', ...shown, ...(troubles.length > 0 ? ['', ...troubles] : [])].join('\n')}\n`;
}
