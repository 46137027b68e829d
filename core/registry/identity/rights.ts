import type { Knex } from 'knex';
import { z } from 'zod';
import { builtIn } from '../../access/built-in.ts';
import { Granted, operations, type Grant, type Rights } from '../../access/grants.ts';
import { roleSchema } from '../../resources/people/grant.ts';

const grantSchema = z
  .object({ role: roleSchema, resource: z.string(), name: z.string().optional() })
  .transform(({ name = null, ...grant }): Grant => ({ ...grant, name }));
const operationSchema = z.enum(operations);

/** What a newer release writes, and we do not know, gives nothing here. */
function known<T>(schema: z.ZodType<T>, all: unknown): T[] {
  return (Array.isArray(all) ? all : []).flatMap((each) => {
    const { success, data } = schema.safeParse(each);
    return success ? [data] : [];
  });
}

/** Documents' rights together. @param documents objects with `bindings` and `operations`, as they are kept. */
export const rightsIn = (documents: readonly { bindings?: unknown; operations?: unknown }[]): Rights => ({
  grants: documents.flatMap(({ bindings }) => known(grantSchema, bindings)),
  operations: [...new Set(documents.flatMap((document) => known(operationSchema, document.operations)))],
});

const granting = (where: string): string => `
  select bindings, operations from rbac where id in (select s.rbac_id from rbac_subjects s where ${where}) order by id`;

const toUser = granting(`s.user_id = :userId or s.group_id = :everyone
  or s.group_id in (select m.group_id from memberships m where m.user_id = :userId)`);

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
  grants: readonly Grant[];
}

const waysSql = `
  select r.name as rbac, r.bindings,
    case when s.user_id is null then 'group:' || g.name else 'user:' || u.name end as via
  from rbac r join rbac_subjects s on s.rbac_id = r.id
    left join groups g on g.id = s.group_id left join users u on u.id = s.user_id
  where s.user_id = :userId or s.group_id = :everyone
    or s.group_id in (select m.group_id from memberships m where m.user_id = :userId)
  order by r.name, via`;

/** The same, each with where it comes from. */
export async function waysOfUser(db: Knex, userId: string): Promise<Way[]> {
  const { rows } = await db.raw<{ rows: { rbac: string; bindings: unknown; via: string }[] }>(waysSql, {
    userId,
    everyone: builtIn.everyone,
  });
  return rows.map(({ bindings, ...way }) => ({ ...way, grants: rightsIn([{ bindings }]).grants }));
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
