import type { Knex } from 'knex';
import { v7 } from 'uuid';
import { z } from 'zod';
import { McpctlError } from '../../errors.ts';
import type { AgentOffer } from '../../member/protocol.ts';
import { agent } from '../../resources/talk/agent.ts';
import { canonical } from '../canonical.ts';
import type { RegistryLimits } from '../names/limits.ts';
import type { Entry } from '../names/name-owners.ts';
import { takeNames } from '../names/names.ts';
import type { Counted } from '../names/quotas.ts';
import { checkQuota, quotaOf } from '../resources/quota.ts';
import { publishPrompts, type Prompted } from './publish-prompts.ts';

/** The agents of a registration. */
export interface AgentsOffered {
  offers: readonly AgentOffer[];
  /** Whether the session's user may publish one over that llm. @throws McpctlError `forbidden`, `invalid_request`. */
  needMay: (offer: AgentOffer, llm: { name: string; poolKey: string; isOfSession: boolean }) => void;
}

/** Who publishes them, as the registration has it. */
interface Publishing {
  sessionId: string;
  ownerId: string;
  offered: AgentsOffered;
  /** The session has published some before. */
  hasAgents: boolean;
  /** As in a registration: sessions that nobody asked about count as live. */
  isLive: (sessionId: string) => boolean;
}

const rowSchema = z.object({
  id: z.string(),
  name: z.string(),
  ownerId: z.string(),
  revision: z.number(),
  llmId: z.string(),
  description: z.string(),
  systemPrompt: z.string(),
  defaultParams: z.unknown(),
  extras: z.unknown(),
  pinMode: z.string(),
  visibility: z.string(),
  isVirtual: z.boolean(),
  sessionId: z.string().nullable(),
  isUnpublished: z.boolean(),
});
type Row = z.infer<typeof rowSchema>;

/** What a session publishes, as it stands now. */
export interface PublishedAgent {
  id: string;
  name: string;
  llmId: string;
  pinMode: 'pool' | 'only';
}

/** Agents that a registration is about, locked: they come before rows of llms, as where an agent is changed. */
export class HeldAgents {
  readonly #rows: ReadonlyMap<string, Row>;
  readonly #by: Publishing;

  private constructor(rows: readonly Row[], by: Publishing) {
    this.#rows = new Map(rows.map((row) => [row.name, row]));
    this.#by = by;
  }

  /** @throws McpctlError `name_taken` where one of that name is not to be had. */
  static async lock(trx: Knex.Transaction, by: Publishing): Promise<HeldAgents> {
    const names = by.offered.offers.map(({ name }) => name);
    if (names.length === 0 && !by.hasAgents) return new HeldAgents([], by);
    const { rows } = await trx.raw<{ rows: unknown[] }>(
      `select a.id, a.name, a.owner_id, a.revision, a.llm_id, a.description, a.system_prompt, a.default_params, a.extras,
         a.pin_mode, a.visibility, p.agent_id is not null as is_virtual, p.session_id,
         p.unpublished_at is not null as is_unpublished
       from agents a left join agent_publishers p on p.agent_id = a.id
       where a.name = any(:names) or p.session_id = :sessionId order by a.name for update of a`,
      { names, sessionId: by.sessionId },
    );
    const agents = z.array(rowSchema).parse(rows);
    for (const row of agents) if (names.includes(row.name)) checkRow(row, by);
    return new HeldAgents(agents, by);
  }

  /** Of those that are new. */
  get entries(): Entry[] {
    const fresh = this.#by.offered.offers.filter(({ name }) => !this.#rows.has(name));
    return fresh.map(({ name }) => ({ name, as: 'agent', poolKey: '' }));
  }

  /**
   * Writes them, once the names are entered and the llms of the registration are there.
   * @returns those that are published now, and whether that is other than before.
   */
  async publish(
    trx: Knex.Transaction,
    { llms, user, limits }: { llms: readonly Llm[]; user: Counted; limits: RegistryLimits },
  ): Promise<{ agents: PublishedAgent[]; isNew: boolean }> {
    const { offers } = this.#by.offered;
    let isNew = await this.#unpublishOthers(trx);
    if (offers.length === 0) return { agents: [], isNew };
    const llmIds = await this.#llmIdsOf(trx, llms);
    const agents: PublishedAgent[] = [];
    const prompted: Prompted[] = [];
    const fresh: ({ id: string; name: string; ownerId: string } & ReturnType<typeof columnsOf>)[] = [];
    for (const [at, offer] of offers.entries()) {
      const { name, pinMode, prompts } = offer;
      const llmId = llmIds[at] ?? '';
      const row = this.#rows.get(name);
      const id = row?.id ?? v7();
      agents.push({ id, name, llmId, pinMode });
      prompted.push({ id, name, prompts });
      isNew ||= row === undefined || row.isUnpublished || row.sessionId !== this.#by.sessionId;
      if (row) await change(trx, row, { offer, llmId });
      else fresh.push({ id, name, ownerId: this.#by.ownerId, ...columnsOf(offer, llmId) });
    }
    if (fresh.length > 0) await trx('agents').insert(fresh);
    await takeNames(
      trx,
      fresh.map(({ id, name }) => ({ name, resource: 'agent', id })),
    );
    await this.#hold(trx, agents);
    await publishPrompts(trx, prompted, { ownerId: this.#by.ownerId, user, limits });
    if (fresh.length > 0) await checkQuota(trx, agent, { user, quota: quotaOf(agent, limits) });
    return { agents, isNew };
  }

  async #hold(trx: Knex.Transaction, agents: readonly PublishedAgent[]): Promise<void> {
    await trx('agentPublishers')
      .insert(agents.map(({ id }) => ({ agentId: id, sessionId: this.#by.sessionId })))
      .onConflict('agentId')
      .merge({
        sessionId: this.#by.sessionId,
        publishedAt: trx.fn.now(),
        unpublishedAt: null,
        goneSince: null,
      });
  }

  async #unpublishOthers(trx: Knex.Transaction): Promise<boolean> {
    const named = new Set(this.#by.offered.offers.map(({ name }) => name));
    const dropped = [...this.#rows.values()].filter(
      ({ name, isUnpublished }) => !named.has(name) && !isUnpublished,
    );
    if (dropped.length === 0) return false;
    await trx('agentPublishers')
      .whereIn(
        'agentId',
        dropped.map(({ id }) => id),
      )
      .update({ unpublishedAt: trx.fn.now() });
    return true;
  }

  /** In the order of the offers. @throws McpctlError `invalid_request` naming each that leads nowhere, and as `needMay`. */
  async #llmIdsOf(trx: Knex.Transaction, own: readonly Llm[]): Promise<string[]> {
    const { offers, needMay } = this.#by.offered;
    const here = new Map(own.map((llm) => [llm.name, llm]));
    const elsewhere = offers.map(({ llm }) => llm).filter((name) => !here.has(name));
    const rows =
      elsewhere.length === 0
        ? []
        : await trx('llms')
            .whereIn('name', elsewhere)
            .orderBy('name')
            .forKeyShare()
            .select<Llm[]>('id', 'name', 'poolKey');
    const others = new Map(rows.map((llm) => [llm.name, llm]));
    return offers.map((offer, at) => {
      const isOfSession = here.has(offer.llm);
      const llm = here.get(offer.llm) ?? others.get(offer.llm);
      if (!llm) throw noLlm(offer, at);
      needMay(offer, { name: llm.name, poolKey: llm.poolKey, isOfSession });
      return llm.id;
    });
  }
}

interface Llm {
  id: string;
  name: string;
  poolKey: string;
}

function noLlm({ name, llm }: AgentOffer, at: number): McpctlError {
  const message = `the agent '${name}' is pinned to '${llm}', which is neither in this registration nor an llm that is here`;
  return new McpctlError('invalid_request', undefined, {
    details: [{ path: `agents.${at}.llm`, message }],
  });
}

function checkRow({ name, ownerId, isVirtual, sessionId, isUnpublished }: Row, by: Publishing): void {
  if (ownerId !== by.ownerId)
    throw new McpctlError(
      'name_taken',
      `The agent '${name}' belongs to another user; publish yours under another name.`,
    );
  if (!isVirtual)
    throw new McpctlError(
      'name_taken',
      `The agent '${name}' is kept here and not by a worker; delete it, or publish yours under another name.`,
    );
  if (sessionId === null || sessionId === by.sessionId || isUnpublished || !by.isLive(sessionId)) return;
  throw new McpctlError(
    'name_taken',
    `Another running worker of yours publishes the agent '${name}'; stop it there, or choose another name here.`,
  );
}

const columnsOf = (
  { description, systemPrompt, defaultParams, extras, pinMode, visibility }: AgentOffer,
  llmId: string,
) => ({
  llmId,
  description,
  systemPrompt,
  defaultParams: JSON.stringify(defaultParams),
  extras: JSON.stringify(extras),
  pinMode,
  visibility,
});

/** What is the server's own stays: project, default personality. */
async function change(
  trx: Knex.Transaction,
  row: Row,
  { offer, llmId }: { offer: AgentOffer; llmId: string },
): Promise<void> {
  const columns = columnsOf(offer, llmId);
  const asked = { ...columns, defaultParams: offer.defaultParams, extras: offer.extras };
  const differing = Object.keys(columns).filter(
    (name) => canonical(asked[name as keyof typeof asked]) !== canonical(row[name as keyof Row]),
  );
  if (differing.length === 0) return;
  await trx('agents')
    .where({ id: row.id })
    .update({ ...columns, revision: row.revision + 1, updatedAt: trx.fn.now() });
}
