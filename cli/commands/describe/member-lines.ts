import { statusOf } from '../../say/columns.ts';
import { tableLines } from '../../say/table.ts';
import type { SeenMember } from '../../net/views.ts';
import type { Look } from './look.ts';

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
    ],
    { headers: true, paint },
  );
  return lines.map((line) => `  ${line}`);
}
