import { canToAll, type Actor } from '../../core/access.ts';
import { grantText } from '../../core/access/covers.ts';
import { rightsIn, type Way } from '../../core/registry/identity/rights.ts';
import { tellable } from '../resources/doubts.ts';
import type { Overlay } from '../resources/overlay.ts';

type Rows = readonly { id: string }[];
const idsOf = (rows: Rows): string[] => rows.map(({ id }) => id);

/** `run:llm:gpt (rbac gpu-users, group:gpu)` */
const lineOf = ({ rbac, via, grants, operations }: Way, shows: boolean): string[] =>
  [...grants.map(grantText), ...operations].map((what) => `${what} (rbac ${rbac}${shows ? `, ${via}` : ''})`);

/** Of one that is shown alone, to who may view documents: what is granted to it, and what comes by another way. */
async function grantedTo(
  rows: Rows,
  actor: Actor,
  { kind, waysOf }: { kind: 'user' | 'group'; waysOf: (id: string) => Promise<Way[]> },
): Promise<{ direct?: string[]; inherited?: string[] }> {
  const [one] = rows;
  if (!one || rows.length > 1 || !canToAll(actor, 'view', 'rbac')) return {};
  const ways = await waysOf(one.id);
  const isDirect = ({ via, viaId }: Way): boolean => via.startsWith(kind) && viaId === one.id;
  return {
    direct: ways.filter(isDirect).flatMap((way) => lineOf(way, false)),
    inherited: ways.filter((way) => !isDirect(way)).flatMap((way) => lineOf(way, true)),
  };
}

/** A user with the groups that they are in, beside `everyone`. */
export const userOverlay: Overlay = async (rows, { registry }, actor) => {
  const [groups, granted] = await Promise.all([
    registry.groups.groupsOf(idsOf(rows)),
    grantedTo(rows, actor, { kind: 'user', waysOf: (id) => registry.groups.waysOf(id) }),
  ]);
  return rows.map(({ id }) => ({ groups: groups.get(id) ?? [], ...granted }));
};

export const groupOverlay: Overlay = async (rows, { registry }, actor) => {
  const granted = await grantedTo(rows, actor, {
    kind: 'group',
    waysOf: (id) => registry.groups.waysOfGroup(id),
  });
  return rows.map(() => granted);
};

/** A document that is shown alone, with the bindings that lead nowhere: of what one may see, or it would tell of the rest. */
export const rbacOverlay: Overlay = async (rows, { registry }, actor) => {
  const [one] = rows;
  if (!one || rows.length > 1) return rows.map(() => ({}));
  return [{ dangling: tellable(await registry.groups.danglingOf(rightsIn([one.values]).grants), actor) }];
};
