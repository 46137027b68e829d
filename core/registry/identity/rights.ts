import type { Knex } from 'knex';
import { z } from 'zod';
import { builtIn } from '../../access/built-in.ts';
import { Granted, operations, type Grant, type Operation, type Rights } from '../../access/grants.ts';
import { roleSchema } from '../../resources/people/grant.ts';

const grantSchema = z
  .object({ role: roleSchema, resource: z.string(), name: z.string().optional() })
  .transform(({ name = null, ...grant }): Grant => ({ ...grant, name }));
const operationSchema = z.enum(operations);

/** What a newer release writes, and we do not know, gives nothing here. */
function wellFormedOf<T>(schema: z.ZodType<T>, all: unknown): T[] {
  return (Array.isArray(all) ? all : []).flatMap((each) => {
    const { success, data } = schema.safeParse(each);
    return success ? [data] : [];
  });
}

/** Documents' rights together. @param documents objects with `bindings` and `operations`, as they are kept. */
export const rightsIn = (documents: readonly { bindings?: unknown; operations?: unknown }[]): Rights => ({
  grants: documents.flatMap(({ bindings }) => wellFormedOf(grantSchema, bindings)),
  operations: [
    ...new Set(documents.flatMap((document) => wellFormedOf(operationSchema, document.operations))),
  ],
});

const granting = (where: string): string => `
  select bindings, operations from rbac where id in (select s.rbac_id from rbac_subjects s where ${where}) order by id`;

const isToUser = `s.user_id = :userId or s.group_id = :everyone
  or s.group_id in (select m.group_id from memberships m where m.user_id = :userId)`;
const toUser = granting(isToUser);

interface Document {
  bindings: unknown;
  operations: unknown;
}

/** All that a user is granted: themselves, by their groups, and as everybody is. */
export async function rightsOfUser(db: Knex, userId: string): Promise<Rights> {
  const { rows } = await db.raw<{ rows: Document[] }>(toUser, { userId, everyone: builtIn.everyone });
  return rightsIn(rows);
}

/** One way by which a user is granted something. */
export interface Way {
  rbac: string;
  /** `user:ada`, `group:gpu` */
  via: string;
  /** Of that user or group. */
  viaId: string;
  grants: readonly Grant[];
  operations: readonly Operation[];
}

const waysWhere = (where: string): string => `
  select r.name as rbac, r.bindings, r.operations, coalesce(s.user_id, s.group_id) as via_id,
    case when s.user_id is null then 'group:' || g.name else 'user:' || u.name end as via
  from rbac r join rbac_subjects s on s.rbac_id = r.id
    left join groups g on g.id = s.group_id left join users u on u.id = s.user_id
  where ${where}
  order by r.name, via`;

const toAUser = waysWhere(isToUser);
const toAGroup = waysWhere('s.group_id = :groupId or s.group_id = :everyone');

type WayRow = Pick<Way, 'rbac' | 'via' | 'viaId'> & Document;

const wayOf = ({ bindings, operations: ops, ...way }: WayRow): Way => ({
  ...way,
  ...rightsIn([{ bindings, operations: ops }]),
});

/** The same, each with where it comes from. */
export async function waysOfUser(db: Knex, userId: string): Promise<Way[]> {
  const { rows } = await db.raw<{ rows: WayRow[] }>(toAUser, { userId, everyone: builtIn.everyone });
  return rows.map(wayOf);
}

/** What is granted to a group, and to all. */
export async function waysOfGroup(db: Knex, groupId: string): Promise<Way[]> {
  const { rows } = await db.raw<{ rows: WayRow[] }>(toAGroup, { groupId, everyone: builtIn.everyone });
  return rows.map(wayOf);
}

/** A document with what it grants. */
interface Granting extends Rights {
  id: string;
}

/** Every document; there are no more than so many (its quota). */
export async function allDocuments(db: Knex): Promise<Granting[]> {
  const rows = await db('rbac').select<(Document & { id: string })[]>('id', 'bindings', 'operations');
  return rows.map(({ id, ...document }) => ({ id, ...rightsIn([document]) }));
}

/** Who has a document, and by which way. */
export interface Holder {
  user: string;
  /** Empty where it is theirs. */
  rbacId: string;
  rbac: string;
  via: string;
}

const holdersSql = `
  select u.name as "user", r.id::text as rbac_id, r.name as rbac,
    case when s.user_id is null then 'group:' || g.name else 'user:' || u.name end as via
  from rbac r join rbac_subjects s on s.rbac_id = r.id
    left join groups g on g.id = s.group_id
    join users u on u.id = s.user_id or s.group_id = :everyone
      or exists (select 1 from memberships m where m.group_id = s.group_id and m.user_id = u.id)
  where r.id = any(:ids) and u.enabled and u.deleted_at is null
  union all
  select u.name, '', '', 'owner' from users u where u.id = :ownerId and u.enabled and u.deleted_at is null
  order by 1, 3, 4 limit :limit`;

/** In the order of users' names. @param ownerId whose it is, who needs no document; null: nobody's. */
export async function holdersOf(
  db: Knex,
  { ids, ownerId, limit }: { ids: readonly string[]; ownerId: string | null; limit: number },
): Promise<Holder[]> {
  const asked = { ids: [...ids], ownerId, limit, everyone: builtIn.everyone };
  return (await db.raw<{ rows: Holder[] }>(holdersSql, asked)).rows;
}

/** What each member of a group has by it. */
export async function rightsOfGroup(db: Knex, groupId: string): Promise<Rights> {
  const { rows } = await db.raw<{ rows: Document[] }>(granting('s.group_id = :groupId'), { groupId });
  return rightsIn(rows);
}

const MOST = 10_000;

/**
 * Rights of users, compiled once for as long as nobody writes to identity. They are read behind the epoch that they are kept
 * under, so that they may be newer than it, and never older.
 */
export function createGrantedByEpoch(db: Knex): (userId: string, epoch: string) => Promise<Granted> {
  let at = '';
  const kept = new Map<string, Promise<Granted>>();
  return async (userId, epoch) => {
    if (epoch !== at || kept.size >= MOST) kept.clear();
    at = epoch;
    const before = kept.get(userId);
    if (before) return before;
    const read = rightsOfUser(db, userId).then((rights) => new Granted(rights));
    kept.set(userId, read);
    read.catch(() => kept.get(userId) === read && kept.delete(userId));
    return read;
  };
}
