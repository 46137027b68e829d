import type { Knex } from 'knex';
import { z } from 'zod';
import { NOBODY, type Actor } from '../../access.ts';
import { builtIn } from '../../access/built-in.ts';
import { needCover } from '../../access/covers.ts';
import type { BackupDocument } from '../../backup/format.ts';
import type { RestoreBody } from '../../backup/calls.ts';
import { McpctlError } from '../../errors.ts';
import { storedIdSchema } from '../../names.ts';
import { poolKind } from '../../declared/kinds.ts';
import type { Keeper, Put } from '../declared/keeper.ts';
import { record } from '../audit/record.ts';
import { addMembers } from '../identity/members.ts';
import { rightsIn, rightsOfGroup } from '../identity/rights.ts';
import { referencesOf, type Made, type Values } from '../resources/rows.ts';
import type { Chosen } from './chosen.ts';
import { userCalled } from '../people/users-there.ts';

/** Another is here, and nobody said what becomes of it. */
export class Clash extends Error {
  readonly error: McpctlError;
  constructor(why: string) {
    super();
    this.error = new McpctlError('restore_conflict', why);
  }
}

/** It is left out, and that is told. */
export class Skip extends Error {}
/** It is built in, changed here, and stays as it is: that is no clash. */
export class Kept extends Error {}

/** Of one restore. */
export interface Restoring extends Pick<RestoreBody, 'onConflict' | 'enableUsers'> {
  by: Actor;
  /** What is not made, as its name is retired here: `user:ada`. */
  left: Set<string>;
  /** Ids by names, of those who were looked for. */
  users: Map<string, string | undefined>;
}

interface One extends Chosen {
  restoring: Restoring;
}

/** What the group of that id is called, as long as there is one. */
const ADMINS = 'admins';

interface MayBeHere {
  /** False where it is known that nothing of its name is. */
  isHere?: boolean;
}

/** Migration 0027 makes it, and anybody who may changes it. */
const EVERYONE_DOCUMENT = '00000000-0000-7000-8000-000000000003';
/** What a release makes by itself. */
export const builtInIds: readonly string[] = [...Object.values(builtIn), EVERYONE_DOCUMENT];
/** What fits into an ETag that is read again, with room for what is written later. */
const MOST_REVISION = 900_000_000;

/**
 * One document, in a transaction of its own within the restore's. @throws Clash, Skip, Kept, and what the store refuses with.
 */
export async function restoreOne(trx: Knex.Transaction, keeper: Keeper, one: One): Promise<Put> {
  const { kind, restoring } = one;
  const { by, onConflict } = restoring;
  await needNotRetiredHere(trx, one);
  const [values, isBuiltIn] = [await valuesHere(trx, one), await isKeptHere(trx, one)];
  const as = { id: await freeId(trx, one), ...(await whoseOf(trx, one)) };
  let written: Put;
  try {
    await needCovered(trx, by, { ...one, values });
    written = await keeper.put(trx, values, { actor: by, ifMatch: null, as });
    written = await withMany(trx, one, written);
  } catch (thrown) {
    if (onConflict === 'skip' && thrown instanceof McpctlError && isMissing(one, thrown))
      throw new Skip(`refers to what is not here: ${thrown.details?.[0]?.message ?? thrown.message}`);
    if (onConflict === 'replace' || !(thrown instanceof McpctlError) || !isTaken(thrown)) throw thrown;
    if (onConflict === 'skip') throw new Skip(thrown.message);
    throw new Clash(thrown.message);
  }
  const { created, changed } = written;
  if (created && kind.word === 'user') restoring.users.set(written.name, written.id);
  if (!created && changed.length > 0 && !isBuiltIn) {
    const why = `is here, and has other ${changed.join(', ')}`;
    if (onConflict === 'fail') throw new Clash(why);
    if (onConflict === 'skip') throw new Skip(why);
  }
  if (created || changed.length > 0) await jumpAhead(trx, one, written.id);
  return written;
}

/** With the members of a group that no document may name all at once; those who are in it besides stay. */
async function withMany(trx: Knex.Transaction, { kind, many, restoring }: One, written: Put): Promise<Put> {
  const { by: actor, left } = restoring;
  if (!many) return written;
  const names = many.filter((name) => !left.has(`user:${name}`));
  if (!(await addMembers(trx, written.id, { names, actor })) || written.created) return written;
  const { id, name } = written;
  const changes = [{ field: 'members', to: String(names.length) }];
  await record(trx, actor, { verb: 'edit', resource: kind.word, id, name, changes });
  return { ...written, changed: [...written.changed, 'members'] };
}

/** Whose names are kept back for a while. */
export const retiring: readonly string[] = ['user', 'group', 'secret', 'agent'];

/** Whoever was taken away here stays so: nobody takes up what is said of them. @throws Skip */
async function needNotRetiredHere(trx: Knex.Transaction, { kind, document, restoring }: One): Promise<void> {
  const { word: resource, plural } = kind;
  const name = document['name'];
  if (typeof name !== 'string' || !retiring.includes(resource)) return;
  const here = resource === 'user' ? userCalled(trx, name) : trx(plural).where({ name });
  if ((await here.first<unknown>('id')) !== undefined) return;
  const retired = trx('retiredNames').where({ resource, name }).whereRaw('until > now()');
  if ((await retired.first<unknown>('name')) === undefined) return;
  restoring.left.add(`${resource}:${name}`);
  throw new Skip('was deleted or renamed here, and its name is retired');
}

const namesSchema = z.array(z.string()).catch([]);
const subjectsSchema = z.array(z.looseObject({ kind: z.string(), name: z.string() })).catch([]);

/** As they are to be here: who is disabled stays so, who is new is, and who was deleted is nowhere. */
export async function valuesHere(
  trx: Knex.Transaction,
  { kind, document, values, restoring, isHere = true }: One & MayBeHere,
): Promise<Values> {
  const { left, enableUsers } = restoring;
  if (kind.word === 'user') {
    const user = userCalled(trx, document['name']);
    const here = isHere ? await user.first<{ enabled: boolean } | undefined>('enabled') : undefined;
    const may = here ? here.enabled : enableUsers;
    return { ...values, enabled: values['enabled'] !== false && may };
  }
  if (kind.word === 'rbac') {
    const isLeft = ({ kind, name }: { kind: string; name: string }): boolean => left.has(`${kind}:${name}`);
    return { ...values, subjects: subjectsSchema.parse(values['subjects']).filter((each) => !isLeft(each)) };
  }
  if (kind.word === poolKind.word && values['allowed'] !== undefined) {
    const allowed = namesSchema.parse(values['allowed']).filter((name) => !left.has(`user:${name}`));
    return { ...values, allowed };
  }
  if (kind.word !== 'group' || values['members'] === undefined) return values;
  const members = namesSchema.parse(values['members']).filter((name) => !left.has(`user:${name}`));
  if (document.id !== builtIn.admins || document['name'] !== ADMINS) return { ...values, members };
  // Whoever is an admin here is one still.
  const here = await trx('users as u')
    .join('memberships as m', 'm.userId', 'u.id')
    .where('m.groupId', builtIn.admins)
    .whereNull('u.deletedAt')
    .select<{ name: string }[]>('u.name');
  return { ...values, members: [...new Set([...here.map(({ name }) => name), ...members])].sort() };
}

/**
 * Built-in documents never clash: one that nobody has changed here becomes what the backup says, one that somebody has stays
 * as it is, unless all are replaced. @throws Kept @returns whether it is one.
 */
async function isKeptHere(trx: Knex.Transaction, { kind, document, restoring }: One): Promise<boolean> {
  const { id = '' } = document;
  if (!builtInIds.includes(id)) return false;
  if (id === builtIn.everyone || id === builtIn.rbacAdmins) throw new Kept();
  // One that says its id, and is called otherwise, is another.
  const here = trx(kind.plural).where({ id, name: document['name'] ?? null });
  const row = await here.first<{ revision: number } | undefined>('revision');
  const isChanged = (row?.revision ?? 1) > 1 && id !== builtIn.admins;
  if (isChanged && restoring.onConflict !== 'replace') throw new Kept();
  return row !== undefined;
}

/** Whose it was, where they are here by their name; else it is whose who restores. */
export async function whoseOf(
  trx: Knex.Transaction,
  { document, kind, restoring }: Pick<One, 'document' | 'kind' | 'restoring'>,
): Promise<Pick<Made, 'ownerId' | 'isItsOwn'>> {
  const { owner, name } = document as { owner?: unknown; name?: unknown };
  if (typeof owner !== 'string' || owner === '') return {};
  if (kind.word === 'user' && owner === name) return { isItsOwn: true };
  if (!restoring.users.has(owner)) {
    const user = userCalled(trx, owner);
    restoring.users.set(owner, (await user.first<{ id: string } | undefined>('id'))?.id);
  }
  return { ownerId: restoring.users.get(owner) };
}

/** The id that it had, where nothing has it here, and somebody can have it. */
async function freeId(
  trx: Knex.Transaction,
  { document, kind }: Pick<One, 'document' | 'kind'>,
): Promise<string | undefined> {
  const { success, data: id } = storedIdSchema.safeParse(document.id);
  if (!success || id === NOBODY) return undefined;
  const taken: unknown = await trx(kind.plural).where({ id }).first('id');
  return taken === undefined ? id : undefined;
}

/** Asked before whether one may write it at all, so that it is said what they lack. @throws McpctlError `escalation` */
export async function needCovered(
  trx: Knex.Transaction,
  by: Actor,
  { kind, document, values, isHere = true }: Chosen & MayBeHere,
): Promise<void> {
  if (kind.word === 'rbac')
    needCover(by, rightsIn([{ bindings: values['bindings'], operations: values['operations'] }]));
  if (kind.word !== 'group' || !isHere) return;
  const group = await trx('groups').where({ name: document['name'] }).first<{ id: string } | undefined>('id');
  if (group) needCover(by, await rightsOfGroup(trx, group.id));
}

/** Whether nothing but references that lead nowhere is wrong with it. */
function isMissing({ kind }: One, { code, details = [] }: McpctlError): boolean {
  if (code === 'server_not_found') return true;
  const names = new Set([
    ...referencesOf(kind).map(([name]) => name),
    'subjects',
    'members',
    'prompts',
    'apiKeyRef',
    'allowed',
  ]);
  return (
    code === 'invalid_request' &&
    details.length > 0 &&
    details.every(({ path }) => names.has(path.split('.')[0] ?? ''))
  );
}

/** Whether something else here has its name, or its pool: a worker's, or another user's. */
const isTaken = ({ code }: McpctlError): boolean =>
  ['name_taken', 'llm_published', 'agent_published', 'pool_not_yours'].includes(code);

/** Behind what it was here, and there. */
async function jumpAhead(trx: Knex.Transaction, { document, kind }: One, id: string): Promise<void> {
  if (kind.word === poolKind.word) return; // it has none
  const least = revisionBehind(document);
  await trx.raw('update ?? set revision = greatest(revision, ?) where id = ?', [kind.plural, least, id]);
}

/** The least that follows what it was there. */
export const revisionBehind = ({ revision }: BackupDocument): number =>
  1 + z.int().min(0).max(MOST_REVISION).catch(0).parse(revision);
