import type { Knex } from 'knex';
import { can, type Actor } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import { bindingsSchema, prefixSchema, storedBindingsSchema } from '../../mcp/bindings.ts';
import { noServer } from '../../mcp/may-call.ts';
import type { Hooks } from '../resources/hooks.ts';
import { meansServer } from '../names/meant.ts';
import { trust } from './pinned/pins.ts';

/** A project gets servers that its writer may call; those that it has already are kept. */
export const projectHooks: Hooks = {
  admit(_trx, { row, asked }) {
    if (asked?.['servers'] === undefined && asked?.['prefix'] === undefined) return Promise.resolve({});
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
    return Promise.resolve({});
  },
  async after(trx, { before, row, asked, actor }) {
    if (!row || asked?.['servers'] === undefined) return;
    const servers = bindingsSchema.parse(asked['servers']).map(({ server }) => server);
    const had = new Set(
      storedBindingsSchema.parse(before?.values['servers'] ?? []).map(({ server }) => server),
    );
    const names = new Set(servers.filter((name) => !had.has(name)));
    await needCallable(trx, row.id, { names: [...names], actor });
    await trx('serverPins').where({ projectId: row.id }).whereNotIn('server', servers).delete();
    await trust(trx, { servers, projectId: row.id });
  },
};

/** Asked of what the names are written down to mean. @throws McpctlError `server_not_found`, also where the actor may not call it. */
async function needCallable(
  trx: Knex.Transaction,
  projectId: string,
  { names, actor }: { names: readonly string[]; actor: Actor },
): Promise<void> {
  if (names.length === 0) return;
  const rows = await trx('servers')
    .whereIn('name', [...names])
    .whereRaw(meansServer('?', 'servers'), [projectId])
    .select<{ name: string; ownerId: string }[]>('name', 'ownerId');
  for (const name of names) {
    const server = rows.find((candidate) => candidate.name === name);
    if (!server || !can(actor, 'run', { resource: 'server', target: server })) throw noServer(name);
  }
}
