import type { Knex } from 'knex';
import { z } from 'zod';
import { can, type Actor } from '../../access.ts';
import { tellable } from '../../audit/event.ts';
import { McpctlError } from '../../errors.ts';
import type { Approve, ApprovedView, ChangesView, ToolChange } from '../../mcp/pinned/approvals.ts';
import { storedBindingsSchema } from '../../mcp/bindings.ts';
import { mayCall, noServer } from '../../mcp/may-call.ts';
import { pinOf, pinSchema, stateOf, type Pin } from '../../mcp/pinned/pins.ts';
import { diffOfTools } from '../../mcp/pinned/tool-diff.ts';
import { didYouMean, nearest } from '../../runtime/nearest.ts';
import { record } from '../audit/record.ts';
import type { Connection } from '../database/connect.ts';
import { keepPins, trust, withPins } from './pins.ts';

/** What projects have approved of their servers' tools. Each call asks for the actor's rights itself. */
export interface Approvals {
  /** @throws McpctlError `server_not_found`, `project_not_found`, also where the actor may not see it. */
  changes(
    server: string,
    asked: { project?: string | undefined; tool?: string | undefined },
    actor: Actor,
  ): Promise<ChangesView>;
  /**
   * All of them in the named project, or in all of the actor's own; or nothing. @throws McpctlError as `changes`, `forbidden`, and `stale_revision` where a tool is
   * another by now than was seen.
   */
  approve(server: string, asked: Approve, actor: Actor): Promise<ApprovedView>;
}

/** Shown in one answer. */
const MOST_PROJECTS = 50;
const MOST_DIFFS = 32;
/** Of an approval so many tools are told by their names in the audit. */
const MOST_TOLD = 20;

const serverSchema = z.object({ id: z.string(), name: z.string(), ownerId: z.string() });
type ServerRow = z.infer<typeof serverSchema>;
const projectSchema = z.object({
  id: z.string(),
  name: z.string(),
  ownerId: z.string(),
  servers: storedBindingsSchema,
});
type ProjectRow = z.infer<typeof projectSchema>;
const toolSchema = z.object({
  name: z.string(),
  hash: z.string(),
  approvedHash: z.string().nullable(),
  isPinned: z.boolean(),
  isTooLarge: z.boolean(),
});
type ToolRow = z.infer<typeof toolSchema>;
const definitionSchema = z.record(z.string(), z.unknown());

export function createApprovals({ db, transaction }: Connection): Approvals {
  return {
    async changes(name, { project, tool }, actor) {
      const { server, projects } = await visible(db, actor, { server: name, project });
      const shown = projects.slice(0, MOST_PROJECTS);
      const budget = { diffs: MOST_DIFFS };
      const each = [];
      for (const one of shown) each.push(await changesIn(db, { server, project: one, tool, budget }));
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
        await needSeen(trx, server, asked.tools);
        const approved = [];
        for (const project of own)
          approved.push(await approveIn(trx, { server, project, actor }, asked.tools));
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

interface At {
  server: ServerRow;
  project: ProjectRow;
}

async function changesIn(
  db: Knex,
  { server, project, tool, budget }: At & { tool: string | undefined; budget: { diffs: number } },
): Promise<ChangesView['projects'][number]> {
  const tools = withPins(db, project.id)
    .where('t.serverId', server.id)
    .where('t.gone', false)
    .orderBy('t.name')
    .select('t.isTooLarge');
  if (tool !== undefined) tools.where('t.name', tool);
  const rows = z.array(toolSchema).parse(await tools);
  const differing = rows.filter((row) => stateOf(row) !== 'approved');
  const diffs = await diffsOf(db, { server, project }, takeFrom(budget, differing));
  const gone = await goneFrom(db, { server, project }, tool);
  return {
    project: project.name,
    pin: strictest(server, project),
    approved: rows.filter((row) => stateOf(row) === 'approved').map(({ name }) => name),
    changes: [
      ...differing.map((row) => changeOf(row, diffs.get(row.name) ?? null)),
      ...gone.map((name): ToolChange => ({ name, state: 'gone', reason: null, hash: null, diff: [] })),
    ],
  };
}

function takeFrom(budget: { diffs: number }, rows: readonly ToolRow[]): string[] {
  const names = rows.slice(0, budget.diffs).map(({ name }) => name);
  budget.diffs -= names.length;
  return names;
}

function changeOf(row: ToolRow, diff: string[] | null): ToolChange {
  const { name, isTooLarge } = row;
  const state = stateOf(row) === 'changed' ? 'changed' : 'pending';
  const hash = row.hash === '' ? null : row.hash;
  const reason = isTooLarge ? 'too_large' : state === 'pending' ? 'new' : null;
  return { name, state, reason, hash, diff: hash === null ? [] : diff };
}

const strictness: readonly Pin[] = ['enforce', 'warn', 'off'];

function strictest({ name, ownerId }: ServerRow, project: ProjectRow): Pin {
  const pins = project.servers
    .filter(({ server }) => server === name)
    .map(({ pin }) => pinOf({ pin, ownerId }, project));
  return strictness.find((pin) => pins.includes(pin)) ?? pinSchema.enum.enforce;
}

async function diffsOf(
  db: Knex,
  { server, project }: At,
  names: readonly string[],
): Promise<ReadonlyMap<string, string[]>> {
  if (names.length === 0) return new Map();
  const rows = await withPins(db, project.id)
    .where('t.serverId', server.id)
    .whereIn('t.name', [...names])
    .select<{ name: string; definition: string; approved: string | null }[]>(
      't.definition',
      'a.definition as approved',
    );
  return new Map(
    rows.map(({ name, definition, approved }) => [
      name,
      diffOfTools(approved === null ? null : parsed(approved), parsed(definition)),
    ]),
  );
}

const parsed = (definition: string): object => definitionSchema.catch({}).parse(JSON.parse(definition));

/** What was approved and is not there now. */
async function goneFrom(db: Knex, { server, project }: At, tool: string | undefined): Promise<string[]> {
  const rows = db('toolPins as a')
    .where({ 'a.projectId': project.id, 'a.server': server.name })
    .whereNotExists(
      db('serverTools as t')
        .where({ 't.serverId': server.id, 't.gone': false })
        .whereRaw('t.name = a.name')
        .select(db.raw('1')),
    )
    .orderBy('a.name')
    .select<{ name: string }[]>('a.name');
  if (tool !== undefined) rows.where('a.name', tool);
  return (await rows).map(({ name }) => name);
}

/** @throws McpctlError `stale_revision` unless each is there and is what it was seen to be. */
async function needSeen(
  trx: Knex.Transaction,
  { id: serverId }: ServerRow,
  tools: Approve['tools'],
): Promise<void> {
  // Its worker tells of no others while these are approved.
  await trx('servers').where({ id: serverId }).forShare().first('id');
  const rows = await trx('serverTools')
    .where({ serverId, gone: false })
    .whereIn(
      'name',
      tools.map(({ name }) => name),
    )
    .select<{ name: string; hash: string }[]>('name', 'hash');
  for (const { name, hash } of tools)
    if (!rows.some((row) => row.name === name && row.hash === hash))
      throw new McpctlError(
        'stale_revision',
        `The tool ${JSON.stringify(name)} is another than was seen, or is gone; look at it again: mcpctl diff server.`,
      );
}

async function approveIn(
  trx: Knex.Transaction,
  { server, project, actor }: At & { actor: Actor },
  tools: Approve['tools'],
): Promise<ApprovedView['projects'][number]> {
  await trust(trx, { servers: [server.name], projectId: project.id });
  const at = { projectId: project.id, server: server.name };
  const fresh = `
    select b.project_id, b.server, :by::uuid as approved_by from server_pins b
    where b.project_id = :projectId and b.server = :server`;
  const { rows } = await trx.raw<{ rows: { name: string }[] }>(
    `${keepPins(fresh, 't.name = any(:names)')}
     on conflict (project_id, server, name) do update set hash = excluded.hash, definition = excluded.definition,
       approved_by = excluded.approved_by, approved_at = now() where tool_pins.hash <> excluded.hash
     returning name`,
    { ...at, names: tools.map(({ name }) => name), by: actor.userId },
  );
  const approved = rows.map(({ name }) => name).sort();
  // What its server has forgotten, too, is not kept.
  await trx('toolPins')
    .where(at)
    .whereNotIn('name', trx('serverTools').where({ serverId: server.id }).select('name'))
    .delete();
  if (approved.length > 0)
    await record(trx, actor, {
      ...{ verb: 'edit', resource: 'project', id: project.id, name: project.name, ownerId: project.ownerId },
      changes: [{ field: 'approved', to: { server: server.name, ...toldOf(approved) } }],
    });
  return { project: project.name, approved };
}

const toldOf = (names: readonly string[]): { tools: string[]; more?: number } => {
  const tools = names.slice(0, MOST_TOLD).map((name) => tellable(name) ?? '…');
  return { tools, ...(names.length > MOST_TOLD && { more: names.length - MOST_TOLD }) };
};
