import type { Context } from '../../who/context.ts';
import { watchProject, type SeenExchange, type Wanted } from '../../mcp/watch-project.ts';
import { cellsOf, linesOf, widthsOf, type Column } from '../../say/table.ts';
import { cell } from '../../say/text.ts';

export interface WatchOptions extends Wanted {
  project: string;
  json: boolean;
}

const sizeOf = (bytes: number | null): string => {
  if (bytes === null) return '-';
  return bytes < 1_000 ? String(bytes) : `${(bytes / 1_000).toFixed(bytes < 10_000 ? 1 : 0)}k`;
};
const spanOf = (ms: number | null): string => (ms === null ? '-' : String(Math.round(ms)));

const columns: readonly Column<SeenExchange>[] = [
  {
    head: 'TIME',
    of: ({ at }) => (Number.isNaN(Date.parse(at)) ? at : new Date(at).toTimeString().slice(0, 8)),
  },
  { head: 'USER', of: ({ user }) => user },
  { head: 'CLIENT', of: ({ client }) => client, spare: true },
  {
    head: 'ASKED',
    of: ({ method, name }) => (method === 'tools/call' ? `→ ${name ?? ''}` : `${method} ${name ?? ''}`),
  },
  { head: 'BYTES', of: ({ bytes }) => `${sizeOf(bytes.request)}/${sizeOf(bytes.answer)}`, spare: true },
  {
    head: 'QUEUE|START|RUN|PIPE',
    of: ({ ms }) => [ms.queue, ms.start, ms.run, ms.pipeline].map(spanOf).join('|'),
  },
  { head: 'MS', of: ({ ms }) => spanOf(ms.total) },
  { head: 'CAME TO', of: ({ outcome, replayed }) => (replayed ? `${outcome} (again)` : outcome) },
  { head: 'TASK', of: ({ taskId }) => taskId, spare: true },
];
/** So that lines stay under each other from the first on, where there is room for it. */
const least = [8, 6, 16, 28, 9, 20, 5, 8, 36];

/** Shows each exchange of a project on a line, until Ctrl-C. @throws McpctlError, Cancelled. */
export async function runWatch(ctx: Context, { project, json, ...wanted }: WatchOptions): Promise<void> {
  const { out, interrupts } = ctx;
  const watching = {
    http: await ctx.http(),
    signal: interrupts.signal,
    note: (line: string) => out.note(line),
  };
  const show = json
    ? (_exchange: SeenExchange, raw: unknown) => out.data(`${JSON.stringify(raw)}\n`)
    : lineByLine(ctx);
  for await (const seen of watchProject(watching, project, wanted)) {
    switch (seen.kind) {
      case 'hello':
        out.note(
          `Watching what ${seen.sees === 'all' ? 'clients ask' : 'you ask'} of ${cell(project)}; Ctrl-C ends it.`,
        );
        break;
      case 'exchange':
        show(seen.exchange, seen.raw);
        break;
      case 'missed': {
        if (json) out.data(`${JSON.stringify({ missed: seen.count })}\n`);
        else out.note(seen.count === null ? '… some may be missing' : `… ${String(seen.count)} not captured`);
        break;
      }
      case 'away':
        out.note(`${seen.why} Going on when that is over …`);
        break;
      default:
        seen satisfies never;
    }
  }
}

function lineByLine({ out, terminal }: Context): (exchange: SeenExchange) => void {
  let widths: readonly number[] = terminal.tty.stdout ? [] : least;
  let isFirst = true;
  return (exchange) => {
    const cells = cellsOf([exchange], columns);
    const fit = terminal.tty.stdout ? terminal.size().columns : 0;
    const look = { headers: isFirst, paint: out.paint, least: widths, fit };
    for (const line of linesOf(cells, look)) out.styled(line);
    widths = widthsOf(cells, { headers: true, least: widths });
    isFirst = false;
    for (const line of detailLines(exchange)) out.styled(out.paint.dim(`    ${line}`));
  };
}

/** What there is to say besides: who was told what, and why; what became of the answer; what was said. */
function detailLines({ gate, stages, bodies, noBodies }: SeenExchange): string[] {
  const lines = gate.map((event) => {
    switch (event.kind) {
      case 'briefed': {
        const by = event.llm === null ? 'by its words' : `by the llm ${event.llm}`;
        const chosen = event.chosen.map(({ name, why }) => `${name} (${why})`);
        const rest = [
          ...(event.more > 0 ? [`${String(event.more)} more`] : []),
          ...(event.listed > 0 ? [`${String(event.listed)} only listed`] : []),
          ...event.dead.map((name) => `${name}: its link is dead`),
        ];
        return `briefed ${by}, in ${event.by === 'begin_session' ? 'begin_session' : 'the first result'}: ${[...chosen, ...rest].join('; ') || 'no prompt'}`;
      }
      case 'gated':
        return 'not run: its caller is to be briefed first';
      case 'read':
        return `read: ${event.names.join(', ') || 'no prompt'}`;
    }
  });
  return [
    ...lines,
    ...(stages.length > 0 ? [`answer: ${stages.join(', ')}`] : []),
    ...(bodies
      ? [`asked ${JSON.stringify(bodies.request)}`, `answered ${JSON.stringify(bodies.answer)}`]
      : []),
    ...(bodies?.isCut === true ? ['(cut; "mcpctl get task" has all of it)'] : []),
    ...(noBodies === undefined ? [] : [noBodies]),
  ].map(cell);
}
