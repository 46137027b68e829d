import type { Knex } from 'knex';
import { can, type Actor } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import { bindingsSchema, prefixSchema, storedBindingsSchema } from '../../mcp/bindings.ts';
import { noServer } from '../../mcp/may-call.ts';
import type { Hooks } from '../resources/hooks.ts';
import { trust } from './pinned/pins.ts';

/** A project gets servers that its writer may call; those that it has already are kept. */
export const projectHooks: Hooks = {
  async admit(trx, { row, asked, actor }) {
    if (asked?.['servers'] === undefined && asked?.['prefix'] === undefined) return {};
    const bound = storedBindingsSchema.parse(row?.values['servers'] ?? []);
    const servers = asked['servers'] === undefined ? bound : bindingsSchema.parse(asked['servers']);
    const prefix = prefixSchema.catch('always').parse(asked['prefix'] ?? row?.values['prefix']);
    if (prefix === 'never' && servers.length > 1)
      throw new McpctlError('invalid_request', undefined, {
        details: [
          {
            path: 'prefix',
            message: 'names of several servers would meet: never is for a project of one server',
          },
        ],
      });
    const had = new Set(bound.map(({ server }) => server));
    const names = new Set(servers.map(({ server }) => server).filter((name) => !had.has(name)));
    await needCallable(trx, [...names], actor);
    return {};
  },
  async after(trx, { row, asked }) {
    if (!row || asked?.['servers'] === undefined) return;
    const servers = bindingsSchema.parse(asked['servers']).map(({ server }) => server);
    await trx('serverPins').where({ projectId: row.id }).whereNotIn('server', servers).delete();
    await trust(trx, { servers, projectId: row.id });
  },
};

/** @throws McpctlError `server_not_found`, also where the actor may not call it. */
async function needCallable(trx: Knex.Transaction, names: readonly string[], actor: Actor): Promise<void> {
  if (names.length === 0) return;
  const rows = await trx('servers')
    .whereIn('name', [...names])
    .select<{ name: string; ownerId: string }[]>('name', 'ownerId');
  for (const name of names) {
    const server = rows.find((candidate) => candidate.name === name);
    if (!server || !can(actor, 'run', { resource: 'server', target: server })) throw noServer(name);
  }
}
