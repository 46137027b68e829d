import { z } from 'zod';
import { MOST_PERSONA_BYTES, type Composed, type Persona } from '../../agent/compose.ts';
import type { Scope } from '../../access.ts';
import { extrasOf } from '../../agent/extras.ts';
import { McpctlError } from '../../errors.ts';
import type { Connection } from '../database/connect.ts';
import {
  createAgentPublishers,
  publisherSchema,
  publisherSql,
  type AgentPublishers,
  type Publisher,
} from './publishers.ts';
import { createPersonalities, MOST_SHOWN, noPersonality, type Personalities } from './personalities.ts';

/** An agent as a model that may be called, with where it leads to. */
const callableSchema = z.object({
  name: z.string(),
  description: z.string(),
  ownerId: z.string(),
  visibility: z.enum(['shared', 'private']),
  pinMode: z.enum(['pool', 'only']),
  llmId: z.string(),
  poolKey: z.string(),
  createdAt: z.date(),
  /** Names of its personalities, some of them. */
  personalities: z.array(z.string()),
  /** Null: it is kept here, and not by a worker. */
  publisher: publisherSchema.nullable(),
});
export type CallableAgent = z.infer<typeof callableSchema>;

/** What was composed into a task's body, by which agent, and whose that was; null: the agent is there no more. */
export interface TaskComposition extends Pick<Composed, 'system' | 'params'> {
  ownerId: string | null;
  name: string | null;
}

export interface Agents extends Personalities {
  published: AgentPublishers;
  /**
   * Its texts as they are now, one statement. Whoever asks has asked for the right to run it.
   * @param personality by its name; null = none, undefined = the agent's default.
   * @throws McpctlError `invalid_request` where they are more than is sent, `personality_not_found`.
   */
  persona(
    id: string,
    personality?: string | null,
  ): Promise<(Persona & { publisher: Publisher | null }) | undefined>;
  /** Of the user's own first. @param scope what may be run. */
  callable(query: {
    userId: string;
    scope: Scope;
    name?: string | undefined;
    limit: number;
  }): Promise<CallableAgent[]>;
  /** Undefined: no agent was asked. */
  compositionOf(taskId: string): Promise<TaskComposition | undefined>;
}

/**
 * Long texts are read only where they are not too long together. A prompt that a personality has is said there, and not where it
 * would be said anyhow.
 */
const personaSql = `
  with own as (
    select id, name, revision, system_prompt, default_params::text as default_params, extras, project_id, owner_id, ${publisherSql} as publisher,
      case when server_tools then (select json_build_object('id', p.id, 'name', p.name) from projects p where p.id = a.project_id) end as tools_of,
      case when cast(:isAsked as boolean) then cast(:personality as text) else default_personality end as asked
    from agents a where id = :id
  ), chosen as (
    select p.id, p.name, p.revision from own join personalities p on p.agent_id = own.id and p.name = own.asked
  ), bound as (
    select b.prompt_id, b.priority from chosen join personality_prompts b on b.personality_id = chosen.id
  ), reach as (
    select p.* from own join prompts p on p.agent_id = own.id
    union all select p.* from own join prompts p on p.project_id = own.project_id
    union all select p.* from own, bound join prompts p on p.id = bound.prompt_id
      where p.agent_id is null and p.project_id is null and p.owner_id = own.owner_id
  ), texts as (
    select p.id, p.name, coalesce(b.priority, p.priority) as priority, p.revision, p.content,
      case when b.prompt_id is not null then 'personality' when p.agent_id is null then 'project' else 'agent' end as of
    from reach p left join bound b on b.prompt_id = p.id
  ), weight as (
    select coalesce(sum(octet_length(content)), 0)::float8 as bytes from texts
  )
  select own.*, bytes + octet_length(system_prompt) as bytes, (select row_to_json(chosen) from chosen) as personality,
    (select coalesce(json_agg(json_build_object('id', p.id, 'name', p.name) order by p.name, p.id), '[]')
      from bound join prompts p on p.id = bound.prompt_id where not exists (select 1 from reach where reach.id = p.id)) as out_of_reach,
    case when bytes <= :most then (select json_agg(texts) from texts) end as prompts from own, weight`;

const personaSchema = z.object({
  id: z.string(),
  name: z.string(),
  revision: z.number(),
  systemPrompt: z.string(),
  defaultParams: z.string(),
  extras: z.unknown().transform(extrasOf),
  toolsOf: z.object({ id: z.string(), name: z.string() }).nullable(),
  bytes: z.number(),
  asked: z.string().nullable(),
  publisher: publisherSchema.nullable(),
  personality: z.object({ id: z.string(), name: z.string(), revision: z.number() }).nullable(),
  outOfReach: z.array(z.object({ id: z.string(), name: z.string() })),
  prompts: z
    .array(
      z.object({
        id: z.string(),
        name: z.string(),
        of: z.enum(['agent', 'project', 'personality']),
        priority: z.number(),
        revision: z.number(),
        content: z.string(),
      }),
    )
    .nullable(),
});

const compositionSchema = z.object({
  ownerId: z.string().nullable(),
  name: z.string().nullable(),
  // Of a release that says it in another way nothing is known but that all of it is to be hidden.
  system: z.number().nullable(),
  params: z.array(z.string()).nullable(),
});

export function createAgents(connection: Connection): Agents {
  const { db } = connection;
  return {
    published: createAgentPublishers(connection),
    ...createPersonalities(db),
    async persona(id, personality) {
      const asking = { isAsked: personality !== undefined, personality: personality ?? null };
      const { rows } = await db.raw<{ rows: unknown[] }>(personaSql, {
        id,
        ...asking,
        most: MOST_PERSONA_BYTES,
      });
      if (rows.length === 0) return undefined;
      const { bytes, prompts, asked, ...persona } = personaSchema.parse(rows[0]);
      if (asked !== null && !persona.personality) throw await noPersonality(db, persona, asked);
      if (bytes > MOST_PERSONA_BYTES)
        throw new McpctlError(
          'invalid_request',
          `The texts of the agent '${persona.name}' are ${bytes} bytes together, and at most ${MOST_PERSONA_BYTES} are sent; its owner must shorten its prompts.`,
        );
      return { ...persona, prompts: prompts ?? [] };
    },
    async callable({ userId, scope, name, limit }) {
      const query = db('agents as a')
        .join('llms', 'llms.id', 'a.llmId')
        .select('a.name', 'a.description', 'a.ownerId', 'a.visibility', 'a.pinMode')
        .select('a.llmId', 'llms.poolKey', 'a.createdAt', db.raw(`${publisherSql} as publisher`))
        .select(
          db.raw(
            `array(select name from personalities where agent_id = a.id order by priority desc, name limit ${MOST_SHOWN}) as personalities`,
          ),
        )
        .orderByRaw('a.owner_id = ? desc, a.name', [userId])
        .limit(limit);
      const { ownerId, orNames, orShared, pools, within } = scope;
      if (ownerId !== null)
        query.whereRaw(`(a.owner_id = ? or a.name = any(?) or (? and a.visibility = 'shared'))`, [
          ...[ownerId, [...orNames], orShared],
        ]);
      if (within !== null)
        query.whereRaw('(a.owner_id = ? or a.name = any(?))', [within.ownerId, [...within.names]]);
      if (pools) query.whereIn('llms.poolKey', [...pools]);
      if (name !== undefined) query.where('a.name', name);
      return z.array(callableSchema).parse(await query);
    },
    async compositionOf(taskId) {
      const { rows } = await db.raw<{ rows: unknown[] }>(
        `select a.owner_id, a.name, t.request_headers #> '{composed,system}' as system, t.request_headers #> '{composed,params}' as params
           from tasks t left join agents a on a.id = t.agent_id where t.id = :taskId and t.agent_id is not null`,
        { taskId },
      );
      if (rows.length === 0) return undefined;
      const { ownerId, name, system, params } = compositionSchema.parse(rows[0]);
      return { ownerId, name, system: system ?? Number.MAX_SAFE_INTEGER, params: params ?? [] };
    },
  };
}
