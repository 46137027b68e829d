import type { SystemView } from '../../../core/operator/system.ts';
import { instantsFor } from '../../say/columns.ts';
import { factLines, tableLines } from '../../say/table.ts';
import type { Context } from '../../who/context.ts';

const scheduler = (leads: boolean | null): string =>
  leads === null
    ? 'cannot be asked now'
    : leads
      ? 'one leads'
      : 'none leads: no task is expired, swept or taken back';

/** As all labels are written. */
const titled = (name: string): string => `${name.charAt(0).toUpperCase()}${name.slice(1)}`;

/** Facts first, then a table each of what there are several of. */
export function systemLines(ctx: Context, { edges, stores, schedulerLeads, duties }: SystemView): string[] {
  const look = { headers: true, paint: ctx.out.paint };
  const instant = instantsFor({ clock: ctx.clock, tty: ctx.terminal.tty.stdout });
  return [
    ...factLines([
      ...stores.map(({ name, status }): [string, string] => [titled(name), status]),
      ['Scheduler', scheduler(schedulerLeads)],
    ]),
    '',
    ...tableLines(
      edges,
      [
        { head: 'EDGE', of: ({ id }) => id },
        { head: 'VERSION', of: ({ version }) => version },
        { head: 'SINCE', of: ({ startedAt }) => instant(startedAt) },
      ],
      look,
    ),
    '',
    ...tableLines(
      duties,
      [
        { head: 'DUTY', of: ({ name }) => name },
        { head: 'RUNS', of: ({ ok }) => ok },
        { head: 'FAILED', of: ({ failed }) => failed },
        { head: 'LEFT', of: ({ left }) => left },
        { head: 'LAST', of: ({ lastOkAt }) => (lastOkAt === null ? '-' : instant(lastOkAt)) },
      ],
      look,
    ),
  ];
}
