import type { Knex } from 'knex';
import { z } from 'zod';
import { builtIn } from '../../access/built-in.ts';
import type { Actor } from '../../access.ts';
import { McpctlError, type Fault } from '../../errors.ts';
import type { Subject } from '../../resources/people/identity.ts';
import { revokeAllOf } from '../people/tokens.ts';
import type { Hooks } from '../resources/hooks.ts';
import type { ResourceRow, Values } from '../resources/rows.ts';
import { enterIdentity } from './actors.ts';
import { needCoverOrOwn } from './cover.ts';
import { handOver, needNothingLeft } from './hand-over.ts';
import { needAdminLeft } from './last-admin.ts';
import { writeMembers } from './members.ts';
import { namesNow, needNotRetired, retireName } from './retired-names.ts';
import { rightsIn, rightsOfGroup, rightsOfUser } from './rights.ts';
import { userCalled } from '../people/users-there.ts';

const enter: Hooks['enter'] = enterIdentity;

/** A name that a document was written with leads nowhere any more. */
async function forget(trx: Knex.Transaction, kind: Subject['kind'], name: string): Promise<void> {
  await trx.raw(
    `update rbac set revision = revision + 1, updated_at = now(), subjects = (
       select coalesce(jsonb_agg(s), '[]') from jsonb_array_elements(subjects) s where s <> cast(:subject as jsonb))
     where subjects @> jsonb_build_array(cast(:subject as jsonb))`,
    { subject: JSON.stringify({ kind, name }) },
  );
}

/** Documents are written with names: those that say the former one say the new one from now on, which nobody else is. */
async function callOtherwise(
  trx: Knex.Transaction,
  kind: Subject['kind'],
  { before, row }: { before: ResourceRow; row: ResourceRow },
): Promise<void> {
  const [from, to] = [String(before.values['name']), String(row.values['name'])];
  if (from === to) return;
  await trx.raw(
    `update rbac set revision = revision + 1, updated_at = now(), subjects = (
       select jsonb_agg(case when s = cast(:was as jsonb) then cast(:is as jsonb) else s end order by at)
         from jsonb_array_elements(subjects) with ordinality each (s, at))
     where subjects @> jsonb_build_array(cast(:was as jsonb))`,
    { was: JSON.stringify({ kind, name: from }), is: JSON.stringify({ kind, name: to }) },
  );
  await retireName(trx, { resource: kind, name: from, formerOwnerId: null, renamedId: row.id });
}

/** @throws McpctlError `name_retired` */
async function needFreeName(
  trx: Knex.Transaction,
  resource: Subject['kind'],
  { id, asked, actor }: { id: string; asked: Values | null; actor: Actor },
): Promise<void> {
  const name = asked?.['name'];
  if (typeof name === 'string') await needNotRetired(trx, { resource, name, id }, actor);
}

export const userHooks: Hooks = {
  enter,
  async admit(trx, { id, row, asked, actor }) {
    // Whoever is disabled, enabled, called otherwise or taken away loses or gets all that they are granted.
    if (row) await needCoverOrOwn(trx, actor, await rightsOfUser(trx, row.id));
    await needFreeName(trx, 'user', { id, asked, actor });
    return {};
  },
  async after(trx, { before, row, actor, transferTo }) {
    if (!before) return;
    if (row) await callOtherwise(trx, 'user', { before, row });
    if (!row) {
      const name = String(before.values['name']);
      const leaving = { id: before.id, name };
      if (transferTo === undefined) await needNothingLeft(trx, leaving);
      else await handOver(trx, leaving, { to: transferTo, actor });
      await trx('poolAllowed').where({ userId: before.id }).delete();
      await trx('users').where({ id: before.id }).update({ enabled: false });
      await revokeAllOf(trx, before.id);
      await trx('memberships').where({ userId: before.id }).delete();
      await trx('rbacSubjects').where({ userId: before.id }).delete();
      await forget(trx, 'user', name);
      await retireName(trx, { resource: 'user', name, formerOwnerId: null });
    }
    await needAdminLeft(trx);
  },
};

const namesSchema = z.array(z.string());

export const groupHooks: Hooks = {
  enter,
  async admit(trx, { id, row, asked, actor }) {
    await needFreeName(trx, 'group', { id, asked, actor });
    if (!row || (asked && asked['name'] === undefined && asked['members'] === undefined)) return {};
    if (id === builtIn.everyone && asked?.['members'] !== undefined)
      throw new McpctlError('forbidden', 'Every user is in everyone; disable one who is not to be.');
    const isBuiltIn = id === builtIn.everyone || id === builtIn.admins;
    if (isBuiltIn && (!asked || asked['name'] !== undefined))
      throw new McpctlError('forbidden', 'This group is built in: it is not deleted, and keeps its name.');
    await needCoverOrOwn(trx, actor, await rightsOfGroup(trx, id));
    return {};
  },
  async after(trx, { before, row, asked, actor }) {
    const names = namesSchema.safeParse(asked?.['members']);
    if (row && names.success && (before || names.data.length > 0))
      await writeMembers(trx, row.id, { names: names.data, actor });
    if (!before) return;
    if (row) await callOtherwise(trx, 'group', { before, row });
    else await forget(trx, 'group', String(before.values['name']));
    await needAdminLeft(trx);
  },
};

const subjectsSchema = z.array(z.object({ kind: z.enum(['user', 'group']), name: z.string() })).catch([]);

async function noSubject(trx: Knex.Transaction, { kind, name }: Subject): Promise<string> {
  const now = (await namesNow(trx, kind, [name])).get(name);
  const hint = now === undefined ? '' : `; who was called so is '${now}' now`;
  return `there is no ${kind} named '${name}'${hint}`;
}

/** @throws McpctlError `invalid_request` that names each who is not there: nobody gets a right by coming later. */
async function idsOf(
  trx: Knex.Transaction,
  subjects: readonly Subject[],
): Promise<{ userId: string | null; groupId: string | null }[]> {
  const faults: Fault[] = [];
  const ids = [];
  for (const [at, { kind, name }] of subjects.entries()) {
    const query = kind === 'user' ? userCalled(trx, name) : trx('groups').where({ name });
    const [row] = await query.select<{ id: string }[]>('id').forKeyShare();
    if (!row) faults.push({ path: `subjects.${at}.name`, message: await noSubject(trx, { kind, name }) });
    else ids.push({ userId: kind === 'user' ? row.id : null, groupId: kind === 'group' ? row.id : null });
  }
  if (faults.length > 0) throw new McpctlError('invalid_request', undefined, { details: faults });
  return ids;
}

const rightsOfDocument = (values: Values) =>
  rightsIn([{ bindings: values['bindings'], operations: values['operations'] }]);

export const rbacHooks: Hooks = {
  enter,
  async admit(trx, { row, asked, actor }) {
    if (row?.id === builtIn.rbacAdmins)
      throw new McpctlError(
        'forbidden',
        'This document is built in, and stays as it is; say who is in the group admins instead.',
      );
    if (row) await needCoverOrOwn(trx, actor, rightsOfDocument(row.values));
    if (asked) await needCoverOrOwn(trx, actor, rightsOfDocument({ ...row?.values, ...asked }));
    return {};
  },
  async after(trx, { before, row }) {
    if (row) await writeSubjects(trx, row);
    if (before) await needAdminLeft(trx);
  },
};

async function writeSubjects(trx: Knex.Transaction, { id, values }: ResourceRow): Promise<void> {
  const ids = await idsOf(trx, subjectsSchema.parse(values['subjects']));
  await trx('rbacSubjects').where({ rbacId: id }).delete();
  if (ids.length > 0) await trx('rbacSubjects').insert(ids.map((each) => ({ rbacId: id, ...each })));
}
