import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import { v7 } from 'uuid';
import { z } from 'zod';
import { McpctlError } from '../../errors.ts';
import { prefixSchema, storedBindingsSchema, type Binding, type Prefix } from '../../mcp/bindings.ts';
import { gateSchema, type Gate } from '../../mcp/gate.ts';
import { MCP_TYPE, poolOfServer } from '../../mcp/names.ts';
import type { OfferKind } from '../../mcp/offers.ts';
import { pipelineSchema, type Pipeline } from '../../mcp/pipeline/settings.ts';
import {
  isTooLarge,
  MOST_TOOLS,
  serverToolSchema,
  type ServerTool,
  type ToldOfServer,
  type ToolsReport,
} from '../../mcp/tools.ts';
import { storableJson, storableText } from '../../text/storable.ts';
import { canonical } from '../canonical.ts';
import type { Connection } from '../database/connect.ts';
import {
  MEANT_LLM,
  llmOwnersIn,
  meantNameSchema,
  meansServer,
  unboundIn,
  type MeantName,
  type UnboundName,
} from '../names/meant.ts';
import {
  keepGone,
  keepOffers,
  listOfferNames,
  listOffers,
  nameOf,
  pinnedRowSchema,
  type NameOf,
  type OffersAsked,
} from './offers.ts';
import { NOT_KEPT, trust, withPins } from './pinned/pins.ts';
import { pageTitlesIn, type PageTitles } from './page-titles.ts';
import { projectPrompts, type ProjectPrompts } from './project-prompts.ts';
import { believedSessionKey } from './session-key.ts';
import { listStamps, promptsRevision, type ListStamps } from './stamps.ts';

/** A project as its MCP endpoint needs it. */
export interface McpProject {
  id: string;
  name: string;
  description: string;
  ownerId: string;
  /** Whether the alias of a server is before the names of what it has. */
  prefix: Prefix;
  /** What becomes of results. */
  pipeline: Pipeline;
  gate: Gate;
  /** It chooses among the project's prompts, and titles pages. Null: none does. */
  llm: MeantName | null;
  /** Another one after each change of its prompts; '' where nobody is told them. */
  promptsRevision: string;
  /** In the order in which they were bound; those that are there. */
  servers: readonly BoundServer[];
}

export interface BoundServer extends Binding {
  id: string;
  ownerId: string;
  /** Of the machine that serves it; null: none has told yet. */
  journal: string | null;
}

export interface HostedServerRow {
  id: string;
  name: string;
  poolKey: string;
}

export interface McpServerRows extends ProjectPrompts, PageTitles {
  /**
   * What the worker of a session has told of one of its servers; the server is made where there is none of that name. Said
   * twice it changes nothing. @throws McpctlError `session_not_found` where no such server is published by it, `name_taken`.
   */
  report(ownerId: string, toolsReport: ToolsReport): Promise<void>;
  /** Undefined: there is none. Whoever asks has rights to ask for. */
  server(name: string): Promise<{ id: string; name: string; ownerId: string } | undefined>;
  /** Whether that session publishes that server, as that user's. */
  isPublished(published: Published): Promise<boolean>;
  /** Those that hosted workers run or dial. */
  hosted(): Promise<HostedServerRow[]>;
  /** What its hosted worker has told of one; nothing, where there is none of that id. */
  reportHosted(id: string, report: ToldOfServer): Promise<void>;
  /** Undefined: there is none. Whoever asks has rights to ask for. */
  project(name: string): Promise<McpProject | undefined>;
  /** Of servers their tools, those first that were seen first. */
  toolNames(projectId: string, serverIds: readonly string[]): Promise<NameOf[]>;
  tools(projectId: string, serverIds: readonly string[]): Promise<(NameOf & { tool: ServerTool })[]>;
  /** Of one, as its server has told it; undefined where it is gone. */
  tool(serverId: string, name: string): Promise<ServerTool | undefined>;
  /** What servers have beside tools, of one kind. */
  offers<Kind extends OfferKind>(asked: OffersAsked<Kind>): ReturnType<typeof listOffers<Kind>>;
  offerNames(asked: OffersAsked<OfferKind>): Promise<NameOf[]>;
  /** What changes when a list of those projects does. */
  stamps(projectIds: readonly string[]): Promise<ReadonlyMap<string, ListStamps>>;
  /** Names in those projects that lead to nothing that they mean. */
  unbound(projectIds: readonly string[]): Promise<UnboundName[]>;
  /** Whose llms those projects mean, by their ids: names of users. */
  llmOwners(projectIds: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** What session ids are signed with; believed for a second. */
  sessionKey(): Promise<string>;
}

const projectSchema = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string(),
  ownerId: z.string(),
  prefix: prefixSchema.catch('always'),
  pipeline: pipelineSchema,
  // One that only a later release knows is a gate all the same.
  gate: gateSchema.catch('require'),
  meantLlm: meantNameSchema.nullable(),
  promptsRevision: z.string(),
  servers: storedBindingsSchema,
});
const serverSchema = z.object({
  id: z.string(),
  name: z.string(),
  ownerId: z.string(),
  journal: z.string().nullable(),
});
/** Asked with each call of a project that has a gate. */
const REVISION = `case when p.gate = 'off' then '' else ${promptsRevision('p.id')} end as prompts_revision`;
const toolSchema = pinnedRowSchema.extend({ definition: z.string() });

export function createMcpServerRows({ db, transaction }: Connection): McpServerRows {
  const listed = (projectId: string, serverIds: readonly string[]): Knex.QueryBuilder =>
    withPins(db, projectId, 'tools')
      .whereIn('t.serverId', [...serverIds])
      .where('t.gone', false)
      .whereNot('t.definition', NOT_KEPT)
      .orderBy(['t.firstSeenAt', 't.position', 't.name']);
  return {
    report: (ownerId, toolsReport) => transaction((trx) => report(trx, ownerId, toolsReport)),
    server: (name) => db('servers').where({ name }).first('id', 'name', 'ownerId'),
    isPublished: (published) => isPublished(db, published),
    ...hostedRows({ db, transaction }),
    project: (name) => projectNamed(db, name),
    toolNames: async (projectId, serverIds) =>
      serverIds.length === 0
        ? []
        : z
            .array(pinnedRowSchema)
            .parse(await listed(projectId, serverIds))
            .map(nameOf),
    async tools(projectId, serverIds) {
      if (serverIds.length === 0) return [];
      const rows = z.array(toolSchema).parse(await listed(projectId, serverIds).select('t.definition'));
      return rows.flatMap((row) => {
        const tool = toolIn(row.definition);
        return tool ? [{ ...nameOf(row), tool }] : [];
      });
    },
    async tool(serverId, name) {
      const row = await db('serverTools')
        .where({ serverId, name, gone: false })
        .first<{ definition: string } | undefined>('definition');
      return row && toolIn(row.definition);
    },
    offers: (asked) => listOffers(db, asked),
    offerNames: (asked) => listOfferNames(db, asked),
    ...projectPrompts(db),
    ...pageTitlesIn(db),
    stamps: (projectIds) => listStamps(db, projectIds),
    unbound: (projectIds) => unboundIn(db, projectIds),
    llmOwners: (projectIds) => llmOwnersIn(db, projectIds),
    sessionKey: believedSessionKey(db),
  };
}

/**
 * A name that its owner gave up may be another's by now, whose worker takes what waits in that pool: rights are asked of the
 * server's owner, so that one is not called by it.
 */
const SERVED_BY_ITS_OWNER = `not exists (select 1 from llms l
  where l.pool_key = 'mcp.' || servers.name and l.type = 'mcp' and l.owner_id <> servers.owner_id)`;

async function projectNamed(db: Knex, name: string): Promise<McpProject | undefined> {
  const row: unknown = await db('projects as p')
    .where({ name })
    .first('*', db.raw(REVISION), db.raw(MEANT_LLM));
  if (row === undefined) return undefined;
  const { servers, meantLlm: llm, ...project } = projectSchema.parse(row);
  const names = servers.map((binding) => binding.server);
  const rows =
    names.length === 0
      ? []
      : z
          .array(serverSchema)
          .parse(
            await db('servers')
              .leftJoin('serverJournals', 'serverJournals.serverId', 'servers.id')
              .whereIn('name', names)
              .whereRaw(SERVED_BY_ITS_OWNER)
              .whereRaw(meansServer('?', 'servers'), [project.id])
              .select('id', 'name', 'ownerId', 'journal'),
          );
  const byName = new Map(rows.map(({ name: server, ...rest }) => [server, rest]));
  const bound = servers.flatMap((binding) => {
    const server = byName.get(binding.server);
    return server ? [{ ...binding, ...server }] : [];
  });
  return { ...project, llm, servers: bound };
}

const hostedRows = ({
  db,
  transaction,
}: Pick<Connection, 'db' | 'transaction'>): Pick<McpServerRows, 'hosted' | 'reportHosted'> => ({
  hosted: () => hostedServers(db),
  reportHosted: (id, of) => transaction((trx) => reportHosted(trx, id, of)),
});

/** By name, with the pools in which their calls wait. */
async function hostedServers(db: Knex): Promise<HostedServerRow[]> {
  const rows = await db('servers')
    .join('serverRuns', 'serverRuns.serverId', 'servers.id')
    .orderBy('name')
    .select<{ id: string; name: string }[]>('id', 'name');
  return rows.map((row) => ({ ...row, poolKey: poolOfServer(row.name) }));
}

/** One that another release kept in another form is not shown. */
const toolIn = (definition: string): ServerTool | undefined =>
  serverToolSchema.safeParse(JSON.parse(definition)).data;

/** Tells one definition from another; of what the server said, and not of what is shown of it. */
const hashOfTool = (tool: ServerTool): string => createHash('sha256').update(canonical(tool)).digest('hex');

interface Published {
  server: string;
  ownerId: string;
  providerSessionId: string;
}

async function isPublished(db: Knex, { server, ownerId, providerSessionId }: Published): Promise<boolean> {
  const row: unknown = await db('llms')
    .where({ name: poolOfServer(server), type: MCP_TYPE, ownerId, providerSessionId })
    .first('id');
  return row !== undefined;
}

async function report(trx: Knex.Transaction, ownerId: string, toolsReport: ToolsReport): Promise<void> {
  const { providerSessionId, server: name } = toolsReport;
  if (!(await isPublished(trx, { server: name, ownerId, providerSessionId })))
    throw new McpctlError('session_not_found');
  const { kept, tools } = keptOf(toolsReport);
  // Who has it bound, and of whom it is not written down what it had then, trusts what it has still, and not what comes now.
  await trust(trx, { servers: [name] });
  const [row] = await trx('servers')
    .insert({ id: v7(), name, ownerId, ...kept })
    .onConflict('name')
    .merge({ ...kept, updatedAt: trx.raw('servers.updated_at') })
    .where('servers.ownerId', ownerId)
    .returning<{ id: string }[]>('id');
  if (!row)
    throw new McpctlError('name_taken', `The server '${name}' belongs to another user; choose another name.`);
  await keepAll(trx, row.id, { from: toolsReport, tools });
  // It has told of nothing before: this is what its first use is.
  await trust(trx, { servers: [name] });
}

function keptOf({ tools: all, info }: ToldOfServer) {
  const byName = new Map(
    all.map((tool) => storableJson(tool) as ServerTool).map((tool) => [tool.name, tool]),
  );
  const kept = { tools: JSON.stringify([...byName.keys()]), info: JSON.stringify(storableJson(info)) };
  return { kept, tools: [...byName.values()] };
}

async function keepAll(
  trx: Knex.Transaction,
  serverId: string,
  { from, tools }: { from: ToldOfServer; tools: readonly ServerTool[] },
): Promise<void> {
  const { journal } = from;
  await trx('serverJournals').insert({ serverId, journal }).onConflict('serverId').merge(['journal']);
  await keepOffers(trx, serverId, from);
  await keepTools(trx, serverId, { tools, tooLarge: from.tooLarge ?? [] });
}

async function reportHosted(trx: Knex.Transaction, id: string, from: ToldOfServer): Promise<void> {
  const row = await trx('servers')
    .where({ id })
    .whereExists(trx('serverRuns').select('serverId').where({ serverId: id }))
    .forUpdate()
    .first<{ name: string } | undefined>('name');
  if (!row) return;
  const { kept, tools } = keptOf(from);
  await trust(trx, { servers: [row.name] });
  await trx('servers').where({ id }).update(kept);
  await keepAll(trx, id, { from, tools });
  await trust(trx, { servers: [row.name] });
}

async function keepTools(
  trx: Knex.Transaction,
  serverId: string,
  { tools, tooLarge }: { tools: readonly ServerTool[]; tooLarge: readonly string[] },
): Promise<void> {
  const rows = new Map([
    ...tooLarge
      .map(storableText)
      .map((name) => [name, { definition: NOT_KEPT, hash: '', isTooLarge: true }] as const),
    ...tools.map(
      (tool) =>
        [
          tool.name,
          { definition: JSON.stringify(tool), hash: hashOfTool(tool), isTooLarge: isTooLarge(tool) },
        ] as const,
    ),
  ]);
  const names = [...rows.keys()].slice(0, MOST_TOOLS);
  await keepGone(trx, { table: 'serverTools', of: { serverId } }, { names, most: MOST_TOOLS });
  if (names.length === 0) return;
  // Its position is where it was first seen: of two that would be called alike the one that came first stays that.
  await trx('serverTools')
    .insert(names.map((name, position) => ({ serverId, name, ...rows.get(name), position, gone: false })))
    .onConflict(['serverId', 'name'])
    .merge(['definition', 'hash', 'isTooLarge', 'gone']);
}
