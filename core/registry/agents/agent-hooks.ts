import type { Knex } from 'knex';
import { canToAll, type Actor } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import { sqlFaultOf } from '../database/faults.ts';
import { joinerOf } from '../names/joiner.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { retireName } from '../identity/retired-names.ts';
import { enterNames } from '../names/name-owners.ts';
import { takeNames } from '../names/names.ts';
import { checkNames, lockUser } from '../names/quotas.ts';
import type { Hooks } from '../resources/hooks.ts';
import type { ResourceRow, Values } from '../resources/rows.ts';

/**
 * An agent's name is in the one name space of llms, aliases and pools (decision 0014). It is entered when the row is there:
 * rows of llms are locked before owners of names, as everywhere.
 */
export const agentHooks = (limits: RegistryLimits): Hooks => ({
  async admit(trx, { row, asked, actor }) {
    if (row) await needOurs(trx, row, { asked, leaseMs: limits.leaseMs });
    if (row && asked === null) await needNoOthersThreads(trx, row, actor);
    return {};
  },
  async after(trx, { before, row, actor }) {
    const [gone, made] = [before && !row ? before : null, row && !before ? row : null];
    if (gone) {
      const name = String(gone.values['name']);
      await trx('names').where({ id: gone.id, resource: 'agent' }).delete();
      // For what its personalities are called by: the name itself is kept as every name is.
      await retireName(trx, { resource: 'agent', name, formerOwnerId: gone.ownerId });
    }
    if (made) await enter(trx, { rows: [made], actor, limits });
  },
  afterNew: (trx, rows, actor) => enter(trx, { rows, actor, limits }),
  async declare(trx, { id, values }) {
    const publisher: unknown = await trx('agentPublishers').where({ agentId: id }).first('agentId');
    if (publisher !== undefined) refusePublished(String(values['name']));
  },
  leave: needOwnDefaults,
});

/** The names of agents that were made. */
async function enter(
  trx: Knex.Transaction,
  { rows, actor, limits }: { rows: readonly ResourceRow[]; actor: Actor; limits: RegistryLimits },
): Promise<void> {
  const user = await lockUser(trx, actor.userId); // as it is since the rows are made: users come before names
  for (const ownerId of new Set(rows.map((row) => row.ownerId))) {
    const own = rows.filter((row) => row.ownerId === ownerId);
    const entries = own.map(
      ({ values }) => ({ name: String(values['name']), as: 'agent', poolKey: '' }) as const,
    );
    await enterNames(trx, entries, { by: joinerOf(actor, null), ownerId });
  }
  const taken = rows.map(
    ({ id, values }) => ({ name: String(values['name']), resource: 'agent', id }) as const,
  );
  await takeNames(trx, taken);
  await checkNames(trx, user, limits);
}

/** @throws McpctlError `agent_published` */
function refusePublished(name: string): never {
  throw new McpctlError(
    'agent_published',
    `A worker publishes the agent '${name}': change it in the config.json there. Its project, default personality, personalities and prompts are changed here.`,
  );
}

/** Of a virtual agent what its publisher does not say. */
const OURS = ['project', 'defaultPersonality'];

/**
 * What a worker publishes is changed there, or its next registration would undo it; and deleted while none does.
 * @throws McpctlError `agent_published`
 */
async function needOurs(
  trx: Knex.Transaction,
  { id, values }: ResourceRow,
  { asked, leaseMs }: { asked: Values | null; leaseMs: number },
): Promise<void> {
  if (asked && Object.keys(asked).every((name) => OURS.includes(name))) return;
  const { rows } = await trx.raw<{ rows: { isThere: boolean }[] }>(
    `select p.unpublished_at is null and s.left_at is null
         and coalesce(s.last_heartbeat_at > now() - :leaseMs * interval '1 millisecond', false) as is_there
       from agent_publishers p left join sessions s on s.id = p.session_id where p.agent_id = :id`,
    { id, leaseMs },
  );
  const [publisher] = rows;
  if (!publisher || (!asked && !publisher.isThere)) return;
  const name = String(values['name']);
  if (asked) refusePublished(name);
  throw new McpctlError(
    'agent_published',
    `A running worker publishes the agent '${name}'; stop publishing it there first.`,
  );
}

const OWN_DEFAULT = 'agents_default_personality';

const noDefault = (which: string): McpctlError => {
  const message = `${which} has no personality of that name; make it first, or leave this out`;
  return new McpctlError('invalid_request', undefined, {
    details: [{ path: 'defaultPersonality', message }],
  });
};

/** Asked when the personalities of the same transaction are there too. @throws McpctlError `invalid_request` */
async function needOwnDefaults(trx: Knex.Transaction): Promise<void> {
  const { rows } = await trx.raw<{ rows: { name: string }[] }>(
    `select a.name from agents a where a.default_personality is not null and not exists (
       select 1 from personalities p where p.agent_id = a.id and p.name = a.default_personality)
     order by a.name limit 1`,
  );
  const [agent] = rows;
  if (agent) throw noDefault(`the agent '${agent.name}'`);
  try {
    await trx.raw(`set constraints ${OWN_DEFAULT} immediate`); // of two at once
  } catch (thrown) {
    throw sqlFaultOf(thrown)?.constraint === OWN_DEFAULT ? noDefault('the agent') : thrown;
  }
}

/**
 * What others have said goes with no agent but by an admin. Whoever begins a thread meanwhile waits for the agent's row.
 * @throws McpctlError `in_use`
 */
async function needNoOthersThreads(trx: Knex.Transaction, row: ResourceRow, actor: Actor): Promise<void> {
  if (canToAll(actor, 'delete', 'agent')) return;
  const { rows } = await trx.raw<{ rows: { threads: number }[] }>(
    'select count(*)::int as threads from chat_threads where agent_id = :id and owner_id <> :userId and not is_passing',
    { id: row.id, userId: actor.userId },
  );
  const threads = rows[0]?.threads ?? 0;
  if (threads === 0) return;
  const whose = threads === 1 ? 'a thread of another user' : `${threads} threads of other users`;
  const message = `With this agent ${whose} would be deleted. Make it private, so that no more begin; an admin may delete it.`;
  throw new McpctlError('in_use', message);
}

const ofBoth = 'a prompt is of a project, of an agent, or of neither: set one of them to null';
const noText = 'a prompt has a text, or a link to where its text is';
const bothTexts = 'a prompt has a text of its own or a link, and not both: leave one of them out';
const noProject = 'a link leads to a server of a project: say which project the prompt is of';

function textFault({ project, content, link }: Values): { path: string; message: string } | null {
  if (link == null) return content === '' ? { path: 'content', message: noText } : null;
  if (content !== '') return { path: 'link', message: bothTexts };
  return project == null ? { path: 'project', message: noProject } : null;
}

/** What the database says of `prompts_of_one`, as a sentence; and that there is something to tell. */
export const promptHooks: Hooks = {
  async admit(
    trx: Knex.Transaction,
    { row, asked }: { row: { id: string; values: Values } | null; asked: Values | null; actor: Actor },
  ) {
    if (row) await needNotPublished(trx, row);
    const { project, agent } = { ...row?.values, ...asked };
    if (project != null && agent != null)
      throw new McpctlError('invalid_request', undefined, { details: [{ path: 'agent', message: ofBoth }] });
    const fault = asked && textFault({ ...row?.values, ...asked });
    if (fault) throw new McpctlError('invalid_request', undefined, { details: [fault] });
    return {};
  },
  declare: needNotPublished,
};

/** @throws McpctlError `agent_published` */
async function needNotPublished(
  trx: Knex.Transaction,
  { id, values }: { id: string; values: Values },
): Promise<void> {
  const published: unknown = await trx('publishedPrompts').where({ promptId: id }).first();
  if (published === undefined) return;
  const [name, agent] = [String(values['name']), String(values['agent'])];
  throw new McpctlError(
    'agent_published',
    `A worker publishes the prompt '${name}' with the agent '${agent}': change it in the config.json there.`,
  );
}
