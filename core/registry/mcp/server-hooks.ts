import type { Knex } from 'knex';
import { v7 } from 'uuid';
import { z } from 'zod';
import type { Actor } from '../../access.ts';
import { McpctlError, type Fault } from '../../errors.ts';
import { MCP_TYPE, poolOfServer } from '../../mcp/names.ts';
import {
  secretsOf,
  serverEnvSchema,
  sourceSchema,
  type Runs,
  type ServerVariable,
  type Source,
} from '../../mcp/hosted/source.ts';
import { fillTemplate, templateSchema, variableFaults, type Template } from '../../mcp/hosted/template.ts';
import { serverLimitsSchema, type HealthCheck, type ServerLimits } from '../../mcp/server-limits.ts';
import { deleteRows, lockLlm } from '../llms/write.ts';
import { joinerOf } from '../names/joiner.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { enterNames } from '../names/name-owners.ts';
import { takeNames } from '../names/names.ts';
import { checkLlms, lockUser } from '../names/quotas.ts';
import { leavePool } from '../pools.ts';
import type { Hooks } from '../resources/hooks.ts';
import type { ResourceRow, Values } from '../resources/rows.ts';
import { needMayHost } from './may-host.ts';
import { keepServerSecrets, needMayUse } from './server-secrets.ts';

/** What people write of a server that a hosted worker runs. */
interface Parts {
  source: Source | null;
  env: readonly ServerVariable[];
  limits: ServerLimits | null;
}

const hostedFields = ['source', 'env', 'limits'] as const;
const invalid = (...details: Fault[]): McpctlError =>
  new McpctlError('invalid_request', undefined, { details });

function partsOf(values: Values): Parts {
  return {
    source: sourceSchema.nullable().parse(values['source'] ?? null),
    env: serverEnvSchema.parse(values['env'] ?? []),
    limits: serverLimitsSchema.nullable().parse(values['limits'] ?? null),
  };
}
const isHosted = (row: ResourceRow | null): row is ResourceRow =>
  row !== null && (row.values['source'] ?? null) !== null;

/**
 * A server that has a source is hosted: its member among the llms is made, changed and deleted with it. Of one that a person's worker runs
 * there is nothing to say here.
 */
export const serverHooks = (limits: RegistryLimits): Hooks => ({
  unmask: (_trx, { row, values }) => Promise.resolve(withItsVersion(row, values)),
  async admit(trx, { row, asked, actor }) {
    if (asked === null || hostedFields.every((name) => asked[name] === undefined)) return {};
    const parts = partsOf({ ...row?.values, ...asked });
    if (row && isHosted(row) !== (parts.source !== null))
      throw invalid({
        path: 'source',
        message: 'where a server runs stays as it is: delete it, and make it anew',
      });
    if (parts.source === null) {
      if (parts.env.length > 0 || parts.limits !== null)
        throw invalid({
          path: 'source',
          message: 'is needed beside env and limits: they are of a hosted server',
        });
      return {};
    }
    const name = String(row?.values['name'] ?? asked['name']);
    needMayHost(actor, { source: parts.source, target: { name, ...(row && { ownerId: row.ownerId }) } });
    await needMayUse(trx, { parts, before: row ? partsOf(row.values) : null, actor });
    if (asked['source'] === undefined) return {};
    const { source } = await resolved(trx, parts);
    return { source: JSON.stringify(source) };
  },
  async after(trx, { before, row, asked, actor }) {
    if (!row) {
      if (isHosted(before)) await dropMember(trx, before, actor);
      return;
    }
    if (!isHosted(row)) return;
    const parts = partsOf(row.values);
    if (asked?.['source'] !== undefined) await keepRuns(trx, row.id, await resolved(trx, parts));
    await keepServerSecrets(trx, { serverId: row.id, uses: secretsOf(parts.source, parts.env), actor });
    if (before) await resizeMember(trx, row, parts);
    else await addMember(trx, { row, parts, actor, limits });
  },
});

/** One that says no version of its template keeps the one that it was made of. */
function withItsVersion(row: ResourceRow, values: Values): Values {
  const source = sourceSchema.nullable().safeParse(values['source'] ?? null).data;
  const before = sourceSchema.nullable().safeParse(row.values['source'] ?? null).data;
  if (!source || !before || !('template' in source) || !('template' in before)) return values;
  if (source.version !== undefined || source.template !== before.template) return values;
  return { ...values, source: { ...source, version: before.version } };
}

interface Resolved {
  source: Source | null;
  runs: Runs | null;
  /** Of its template. */
  healthCheck?: HealthCheck;
}

/** With nothing left to look up. @throws McpctlError `invalid_request` for what a template does not take. */
async function resolved(trx: Knex.Transaction, { source, env }: Parts): Promise<Resolved> {
  if (source === null) return { source, runs: null };
  if ('package' in source) return { source, runs: { ...source, program: source.program ?? null, env: [] } };
  if (!('template' in source)) return { source, runs: source };
  const row: unknown = await trx('templates').where({ name: source.template, status: 'active' }).first();
  const template = templateSchema.safeParse(z.looseObject({}).safeParse(row).data?.['definition']).data;
  if (!template)
    throw invalid({
      path: 'source.template',
      message: `there is no template named '${source.template}'; see "mcpctl get template"`,
    });
  if (source.version !== undefined && source.version !== template.version)
    throw invalid({
      path: 'source.version',
      message: `the template is ${template.version} now; say that, or leave it out`,
    });
  const filled = fillTemplate(template, source.params);
  if ('faults' in filled)
    throw invalid(...filled.faults.map(({ path, message }) => ({ path: `source.${path}`, message })));
  needVariables(template, env);
  const { package: of, packageVersion: version, integrity, program } = template;
  return {
    source: { ...source, version: template.version },
    runs: { package: of, version, integrity, program, args: filled.args, env: filled.env },
    healthCheck: template.healthCheck,
  };
}

/** Those that are missing are said before those that are no secrets. */
function needVariables(template: Template, env: readonly ServerVariable[]): void {
  const given = env.map(({ name, valueFrom }) => ({ name, isSecret: valueFrom !== undefined }));
  const faults = variableFaults(template, given);
  const isMissing = faults.some(({ wrong }) => wrong === 'missing');
  const details = faults
    .filter(({ wrong }) => (wrong === 'missing') === isMissing)
    .map(({ variable: { name, description } }) => ({
      path: `env.${name}`,
      message: isMissing ? `is required: ${description}` : 'must be a secret: valueFrom.secretRef',
    }));
  if (details.length > 0) throw invalid(...details);
}

async function keepRuns(
  trx: Knex.Transaction,
  serverId: string,
  { runs, healthCheck }: Resolved,
): Promise<void> {
  await trx('serverRuns')
    .insert({
      serverId,
      runs: JSON.stringify(runs),
      healthCheck: healthCheck ? JSON.stringify(healthCheck) : null,
    })
    .onConflict('serverId')
    .merge(['runs', 'healthCheck']);
}

const slotsOf = ({ limits }: Parts): number => (limits ?? serverLimitsSchema.parse({})).slots;

async function addMember(
  trx: Knex.Transaction,
  made: { row: ResourceRow; parts: Parts; actor: Actor; limits: RegistryLimits },
): Promise<void> {
  const { row, parts, actor, limits } = made;
  const { ownerId } = row;
  const name = poolOfServer(String(row.values['name']));
  const user = await lockUser(trx, ownerId);
  const entries = [
    { name, as: 'pool', poolKey: name },
    { name, as: 'llm', poolKey: name },
  ] as const;
  await enterNames(trx, entries, { by: joinerOf(actor, name), ownerId });
  const id = v7();
  await takeNames(trx, [{ name, resource: 'llm', id }]);
  await trx('llms').insert({
    ...{ id, name, kind: 'public', type: MCP_TYPE, model: MCP_TYPE, status: 'active', ownerId },
    // A public llm has a URL; nobody dials this one.
    ...{ url: `mcp://${name}`, capabilities: { operations: [] }, maxConcurrency: slotsOf(parts) },
  });
  await checkLlms(trx, user, limits);
}

async function resizeMember(trx: Knex.Transaction, { values }: ResourceRow, parts: Parts): Promise<void> {
  await trx('llms')
    .where({ name: poolOfServer(String(values['name'])), kind: 'public', type: MCP_TYPE })
    .update({ maxConcurrency: slotsOf(parts) });
}

async function dropMember(trx: Knex.Transaction, { values }: ResourceRow, actor: Actor): Promise<void> {
  const name = poolOfServer(String(values['name']));
  const row = await lockLlm(trx, name);
  if (row?.kind !== 'public' || row.type !== MCP_TYPE) return;
  await deleteRows(trx, [row]);
  await leavePool(trx, row.poolKey, joinerOf(actor, row.poolKey));
}
