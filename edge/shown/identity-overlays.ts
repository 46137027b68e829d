import type { Overlay } from '../resources/overlay.ts';

const idsOf = (rows: readonly { id: string }[]): string[] => rows.map(({ id }) => id);

/** A user with the groups that they are in, beside `everyone`. */
export const userOverlay: Overlay = async (rows, { registry }) => {
  const groups = await registry.groups.groupsOf(idsOf(rows));
  return rows.map(({ id }) => ({ groups: groups.get(id) ?? [] }));
};

/** A group with its members; of `everyone`, who are all, none are shown. */
export const groupOverlay: Overlay = async (rows, { registry }) => {
  const members = await registry.groups.membersOf(idsOf(rows));
  return rows.map(({ id }) => ({ members: members.get(id) ?? [] }));
};
