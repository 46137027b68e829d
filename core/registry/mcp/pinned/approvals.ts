import type { Knex } from 'knex';
import { z } from 'zod';
import { can, type Actor } from '../../../access.ts';
import { tellable } from '../../../audit/event.ts';
import { McpctlError } from '../../../errors.ts';
import type { Approve, ApprovedView, ChangesView, Only } from '../../../mcp/pinned/approvals.ts';
import { offerKinds } from '../../../mcp/offers.ts';
import { mayCall, noServer } from '../../../mcp/may-call.ts';
import { didYouMean, nearest } from '../../../runtime/nearest.ts';
import { record } from '../../audit/record.ts';
import type { Connection } from '../../database/connect.ts';
import { meansServer } from '../../names/meant.ts';
import {
  changesIn,
  fullBudget,
  keyOf,
  projectSchema,
  serverSchema,
  type At,
  type ProjectRow,
  type ServerRow,
  type Thing,
} from './changes.ts';
import { keepPins, places, trust } from './pins.ts';

/** What projects have approved of their servers' tools, prompts and resources. Each call asks for the actor's rights itself. */
export interface Approvals {
  /** @throws McpctlError `server_not_found`, `project_not_found`, also where the actor may not see it. */
  changes(server: string, asked: Only & { project?: string | undefined }, actor: Actor): Promise<ChangesView>;
  /**
   * All of them in the named project, or in all of the actor's own; or nothing. @throws McpctlError as `changes`, `forbidden`, and `stale_revision` where one is
   * another by now than was seen.
   */
  approve(server: string, asked: Approve, actor: Actor): Promise<ApprovedView>;
}

/** Shown in one answer. */
const MOST_PROJECTS = 50;
/** Of an approval so many are told by their names in the audit. */
const MOST_TOLD = 20;

export function createApprovals({ db, transaction }: Connection): Approvals {
  return {
    async changes(name, { project, ...only }, actor) {
      const { server, projects } = await visible(db, actor, { server: name, project });
      const shown = projects.slice(0, MOST_PROJECTS);
      const budget = fullBudget();
      const each = [];
      for (const one of shown) each.push(await changesIn(db, { server, project: one, only, budget }));
      return { server: name, projects: each, more: projects.length - shown.length };
    },
    approve: (name, asked, actor) =>
      transaction(async (trx) => {
        const { server, projects } = await visible(trx, actor, { server: name, project: asked.project });
        const own = projects.filter(
          (target) =>
            (asked.project !== undefined || target.ownerId === actor.userId) &&
            can(actor, 'edit', { resource: 'project', target }),
        );
        if (own.length === 0 && projects.length > 0) throw refused(name, asked.project);
        const things: Seen[] = [
          ...asked.tools.map((tool) => ({ kind: 'tool' as const, ...tool })),
          ...asked.offers,
        ];
        await needSeen(trx, server, things);
        const approved = [];
        for (const project of own) approved.push(await approveIn(trx, { server, project, actor }, things));
        return { server: name, projects: approved };
      }),
  };
}

const refused = (server: string, project: string | undefined): McpctlError =>
  new McpctlError(
    'forbidden',
    project === undefined
      ? `No project of yours that your token may edit has the server '${server}'; say which project.`
      : `Your token may not edit the project '${project}'.`,
  );

/** A server, and the projects that have it, as far as an actor may see and call. */
async function visible(
  db: Knex,
  actor: Actor,
  { server: name, project }: { server: string; project?: string | undefined },
): Promise<{ server: ServerRow; projects: ProjectRow[] }> {
  const row: unknown = await db('servers').where({ name }).first('id', 'name', 'ownerId');
  const server = row === undefined ? undefined : serverSchema.parse(row);
  const rows: unknown[] = await db('projects')
    .whereRaw('servers @> ?::jsonb', [JSON.stringify([{ server: name }])])
    .whereExists(
      db('servers as s')
        .where({ 's.name': name })
        .whereRaw(meansServer('projects.id', 's'))
        .select(db.raw('1')),
    )
    .orderBy('name')
    .select('id', 'name', 'ownerId', 'servers');
  const seen = z
    .array(projectSchema)
    .parse(rows)
    .filter(
      (target) =>
        server &&
        can(actor, 'view', { resource: 'project', target }) &&
        mayCall(actor, { project: target, server }),
    );
  if (!server || (seen.length === 0 && !can(actor, 'view', { resource: 'server', target: server })))
    throw noServer(name);
  if (project === undefined) return { server, projects: seen };
  const projects = seen.filter((one) => one.name === project);
  if (projects.length > 0) return { server, projects };
  const near = nearest(
    project,
    seen.map((one) => one.name),
  );
  throw new McpctlError(
    'project_not_found',
    `There is no project '${project}' that has the server '${name}'.${didYouMean(near)}`,
  );
}

interface Seen extends Thing {
  hash: string;
}

/** @throws McpctlError `stale_revision` unless each is there and is what it was seen to be. */
async function needSeen(
  trx: Knex.Transaction,
  { id: serverId }: ServerRow,
  things: readonly Seen[],
): Promise<void> {
  // Its worker tells of no others while these are approved.
  await trx('servers').where({ id: serverId }).forShare().first('id');
  if (things.length === 0) return;
  const rows = await trx('serverThings')
    .where({ serverId, gone: false })
    .whereIn(
      ['kind', 'name'],
      things.map(({ kind, name }) => [kind, name]),
    )
    .select<Seen[]>('kind', 'name', 'hash');
  const there = new Map(rows.map((row) => [keyOf(row), row.hash]));
  for (const thing of things)
    if (there.get(keyOf(thing)) !== thing.hash)
      throw new McpctlError(
        'stale_revision',
        `The ${thing.kind} ${JSON.stringify(thing.name)} is another than was seen, or is gone; look at it again: mcpctl diff server.`,
      );
}

const AGAIN = `set hash = excluded.hash, definition = excluded.definition,
  approved_by = excluded.approved_by, approved_at = now()`;

async function approveIn(
  trx: Knex.Transaction,
  { server, project, actor }: At & { actor: Actor },
  things: readonly Seen[],
): Promise<ApprovedView['projects'][number]> {
  await trust(trx, { servers: [server.name], projectId: project.id });
  const at = { projectId: project.id, server: server.name };
  const bound = {
    ...at,
    by: actor.userId,
    tools: things.flatMap(({ kind, name }) => (kind === 'tool' ? name : [])),
    kinds: things.map(({ kind }) => kind),
    names: things.map(({ name }) => name),
  };
  const fresh = `
    select b.project_id, b.server, :by::uuid as approved_by from server_pins b
    where b.project_id = :projectId and b.server = :server`;
  const tools = await trx.raw<{ rows: { name: string }[] }>(
    `${keepPins('tools', { fresh, things: 't.name = any(:tools)' })}
     on conflict (project_id, server, name) do update ${AGAIN} where tool_pins.hash <> excluded.hash
     returning name`,
    bound,
  );
  const asked = '(t.kind, t.name) in (select * from unnest(:kinds::text[], :names::text[]))';
  const offers = await trx.raw<{ rows: Thing[] }>(
    `${keepPins('offers', { fresh, things: asked })}
     on conflict (project_id, server, kind, name) do update ${AGAIN} where offer_pins.hash <> excluded.hash
     returning kind, name`,
    bound,
  );
  await forget(trx, { server, project });
  const approved = {
    tools: tools.rows.map(({ name }) => name).sort(),
    offers: approvedOffersSchema.parse(offers.rows).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)),
  };
  const changed = [...approved.tools, ...approved.offers.map(({ kind, name }) => `${kind} ${name}`)];
  if (changed.length > 0)
    await record(trx, actor, {
      ...{ verb: 'edit', resource: 'project', id: project.id, name: project.name, ownerId: project.ownerId },
      changes: [{ field: 'approved', to: { server: server.name, ...toldOf(changed) } }],
    });
  return { project: project.name, approved: approved.tools, offers: approved.offers };
}

const approvedOffersSchema = z.array(z.object({ kind: z.enum(offerKinds), name: z.string() }));

/** What its server has forgotten, too, is not kept. */
async function forget(trx: Knex.Transaction, { server, project }: At): Promise<void> {
  for (const { pins, rows, key } of [places.tools, places.offers])
    await trx(pins)
      .where({ projectId: project.id, server: server.name })
      .whereNotIn([...key], trx(rows).where({ serverId: server.id }).select(key))
      .delete();
}

const toldOf = (names: readonly string[]): { tools: string[]; more?: number } => {
  const tools = names.slice(0, MOST_TOLD).map((name) => tellable(name) ?? '…');
  return { tools, ...(names.length > MOST_TOLD && { more: names.length - MOST_TOLD }) };
};
