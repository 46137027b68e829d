import type { Knex } from 'knex';
import { z } from 'zod';
import { storedBindingsSchema } from '../../../mcp/bindings.ts';
import {
  thingKinds,
  type ChangesView,
  type Only,
  type ThingChange,
  type ThingKind,
} from '../../../mcp/pinned/approvals.ts';
import { pinOf, pinSchema, stateOf, type Pin } from '../../../mcp/pinned/pins.ts';
import { diffOfTools } from '../../../mcp/pinned/tool-diff.ts';
import { withPins } from './pins.ts';

export const serverSchema = z.object({ id: z.string(), name: z.string(), ownerId: z.string() });
export type ServerRow = z.infer<typeof serverSchema>;
export const projectSchema = z.object({
  id: z.string(),
  name: z.string(),
  ownerId: z.string(),
  servers: storedBindingsSchema,
});
export type ProjectRow = z.infer<typeof projectSchema>;
const thingSchema = z.object({
  kind: z.enum(thingKinds),
  name: z.string(),
  hash: z.string(),
  approvedHash: z.string().nullable(),
  isPinned: z.boolean(),
  isTooLarge: z.boolean(),
  /** Of both its definitions. */
  bytes: z.number(),
});
type ThingRow = z.infer<typeof thingSchema>;
/** Something that a server has, or that a project approved of it. */
export type Thing = Pick<ThingRow, 'kind' | 'name'>;
const thingsSchema = z.array(thingSchema.pick({ kind: true, name: true }));
const definitionSchema = z.record(z.string(), z.unknown());

/** A server of a project. */
export interface At {
  server: ServerRow;
  project: ProjectRow;
}
/** What is left of what one answer shows: of tools, and of what servers have beside them, whose names and definitions are others'. */
interface Budget {
  diffs: number;
  offers: number;
  /** Of definitions of the latter that differ. */
  bytes: number;
}
export const fullBudget = (): Budget => ({ diffs: 32, offers: 512, bytes: 262_144 });

/** The kinds that are asked for, and the name of the only one of each. */
const narrow = (query: Knex.QueryBuilder, table: string, only: Only): Knex.QueryBuilder => {
  const named = Object.entries(only).filter(([, name]) => name !== undefined);
  return named.length === 0
    ? query
    : query.whereIn(
        [`${table}.kind`, `${table}.name`],
        named.map(([kind, name]) => [kind, name ?? '']),
      );
};

/** What one project has not approved of a server as it is. */
export async function changesIn(
  db: Knex,
  { server, project, only, budget }: At & { only: Only; budget: Budget },
): Promise<ChangesView['projects'][number]> {
  const things = withPins(db, project.id, 'things')
    .where({ 't.serverId': server.id, 't.gone': false })
    .orderByRaw(`t.kind <> 'tool', t.kind, t.name`)
    .select(
      't.isTooLarge',
      db.raw('octet_length(t.definition) + coalesce(octet_length(a.definition), 0) as bytes'),
    );
  const rows = z.array(thingSchema).parse(await narrow(things, 't', only));
  const differing = rows.filter((row) => stateOf(row) !== 'approved');
  const gone = (await goneFrom(db, { server, project }, only)).map((one): ThingChange => ({
    ...one,
    state: 'gone',
    reason: null,
    hash: null,
    diff: [],
  }));
  const shown = takeShown(budget, [...differing, ...gone]);
  const diffs = await diffsOf(
    db,
    { server, project },
    takeDiffs(
      budget,
      differing.filter((row) => shown.has(row)),
    ),
  );
  const approved = rows.filter((row) => stateOf(row) === 'approved');
  const count = (kind: ThingKind): number => approved.filter((one) => one.kind === kind).length;
  return {
    project: project.name,
    pin: strictest(server, project),
    approved: approved.flatMap(({ kind, name }) => (kind === 'tool' ? name : [])),
    approvedOffers: { prompt: count('prompt'), resource: count('resource'), template: count('template') },
    changes: [
      ...differing.filter((row) => shown.has(row)).map((row) => changeOf(row, diffs.get(keyOf(row)) ?? null)),
      ...gone.filter((one) => shown.has(one)),
    ],
    unshown: differing.length + gone.length - shown.size,
  };
}

/** All that changed of tools; of the rest as much as an answer has room for. */
function takeShown<T extends Thing>(budget: Budget, things: readonly T[]): ReadonlySet<T> {
  const shown = new Set<T>();
  for (const thing of things) {
    if (thing.kind !== 'tool' && budget.offers-- <= 0) continue;
    shown.add(thing);
  }
  return shown;
}

function takeDiffs(budget: Budget, rows: readonly ThingRow[]): ThingRow[] {
  return rows.filter(({ kind, bytes }) => {
    if (kind === 'tool') return budget.diffs-- > 0;
    if (bytes > budget.bytes) return false;
    budget.bytes -= bytes;
    return true;
  });
}

/** One of each kind and name. */
export const keyOf = ({ kind, name }: Thing): string => `${kind} ${name}`;

function changeOf(row: ThingRow, diff: string[] | null): ThingChange {
  const { kind, name, isTooLarge } = row;
  const state = stateOf(row) === 'changed' ? 'changed' : 'pending';
  const hash = row.hash === '' ? null : row.hash;
  const reason = isTooLarge ? 'too_large' : state === 'pending' ? 'new' : null;
  return { kind, name, state, reason, hash, diff: hash === null ? [] : diff };
}

const strictness: readonly Pin[] = ['enforce', 'warn', 'off'];

function strictest({ name, ownerId }: ServerRow, project: ProjectRow): Pin {
  const pins = project.servers
    .filter(({ server }) => server === name)
    .map(({ pin }) => pinOf({ pin, ownerId }, project));
  return strictness.find((pin) => pins.includes(pin)) ?? pinSchema.enum.enforce;
}

/** A resource is no other one because it has grown, or was written to: the migration that hashes them leaves out the same. */
const seenPart = (definition: string): string =>
  `((${definition}::jsonb - 'size') #- '{annotations,lastModified}')::text`;

async function diffsOf(
  db: Knex,
  { server, project }: At,
  things: readonly Thing[],
): Promise<ReadonlyMap<string, string[]>> {
  if (things.length === 0) return new Map();
  const part = (table: string, as: string) =>
    db.raw(
      `case when t.kind = 'tool' then ${table}.definition else ${seenPart(`${table}.definition`)} end as ${as}`,
    );
  const rows = await withPins(db, project.id, 'things')
    .where('t.serverId', server.id)
    .whereIn(
      ['t.kind', 't.name'],
      things.map(({ kind, name }) => [kind, name]),
    )
    .select<(Thing & { definition: string; approved: string | null })[]>(
      part('t', 'definition'),
      part('a', 'approved'),
    );
  return new Map(
    rows.map(({ kind, name, definition, approved }) => [
      keyOf({ kind, name }),
      diffOfTools(approved === null ? null : parsed(approved), parsed(definition)),
    ]),
  );
}

const parsed = (definition: string): object => definitionSchema.catch({}).parse(JSON.parse(definition));

/** What was approved and is not there now. */
async function goneFrom(db: Knex, { server, project }: At, only: Only): Promise<Thing[]> {
  const rows = db('thingPins as a')
    .where({ 'a.projectId': project.id, 'a.server': server.name })
    .whereNotExists(
      db('serverThings as t')
        .where({ 't.serverId': server.id, 't.gone': false })
        .whereRaw('t.kind = a.kind and t.name = a.name')
        .select(db.raw('1')),
    )
    .orderByRaw(`a.kind <> 'tool', a.kind, a.name`)
    .select('a.kind', 'a.name');
  return thingsSchema.parse(await narrow(rows, 'a', only));
}
