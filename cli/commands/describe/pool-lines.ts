import { catalogueEntry } from '../../../core/resources/catalogue.ts';
import { resources } from '../../../core/resources/index.ts';
import type { SeenPool, SeenMember } from '../../net/views.ts';
import { linesFor } from '../../resources/shown.ts';
import type { Look } from './look.ts';
import { statusOf } from '../../say/columns.ts';
import { factLines, tableLines, type Column } from '../../say/table.ts';

/** A pool as its definition says, then each member. */
export function poolLines(pool: SeenPool, look: Look): string[] {
  return [
    ...linesFor(catalogueEntry(resources.pool), pool, look.instant),
    '',
    look.paint.bold('Members:'),
    ...memberLines(pool.members, look),
  ];
}

/** The pool of an llm, with each member. */
export const poolBlock = (pool: SeenPool, look: Look): string[] => [
  '',
  look.paint.bold('Pool:'),
  ...factLines(
    [
      ['Key', pool.key],
      ['Size', pool.view.size],
      ['Active', pool.view.activeCount],
    ],
    2,
  ),
  ...memberLines(pool.members, look),
];

/** Why one takes nothing now, as its worker says; shown where one says so. */
const reason: Column<SeenMember> = { head: 'REASON', of: (m) => m.view.statusReason };

const inSeconds = (ms: number | undefined): string | undefined =>
  ms === undefined ? undefined : `${(ms / 1_000).toFixed(1)} s`;

/** What came of the last minutes' tasks, where one of them has something to say of it. */
const recently: Column<SeenMember>[] = [
  { head: 'FIRST-TOKEN', of: (m) => inSeconds(m.view.ttftP50) },
  { head: 'TOKENS/S', of: (m) => m.view.tokensPerS },
  { head: 'LAST-ERROR', of: (m) => m.view.lastError?.code },
];

/** It takes nothing until then; shown where one rests. */
const resting: Column<SeenMember> = { head: 'RESTS-UNTIL', of: (m) => m.view.restingUntil };

/** Each member of a pool, a line each, indented. */
export function memberLines(members: readonly SeenMember[], { instant, paint }: Look): string[] {
  if (members.length === 0) return ['  No members.'];
  const lines = tableLines(
    members,
    [
      { head: 'MEMBER', of: (m) => m.key },
      { head: 'KIND', of: (m) => m.view.kind },
      { head: 'STATUS', of: (m) => statusOf(m.view) },
      { head: 'MODEL', of: (m) => m.view.model },
      { head: 'RUNNING', of: (m) => m.view.running },
      { head: 'SLOTS', of: (m) => m.view.slots },
      { head: 'LAST-SEEN', of: (m) => instant(m.view.lastSeenAt) },
      ...recently.filter(({ of }) => members.some((member) => of(member) !== undefined)),
      ...(members.some(({ view }) => view.restingUntil) ? [resting] : []),
      ...(members.some(({ view }) => view.statusReason) ? [reason] : []),
    ],
    { headers: true, paint },
  );
  return lines.map((line) => `  ${line}`);
}
