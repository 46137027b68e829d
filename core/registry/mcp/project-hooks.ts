import { can } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import { bindingsSchema } from '../../mcp/bindings.ts';
import type { Hooks } from '../resources/hooks.ts';

/** A project gets servers that its writer may call; those that it has already are kept. */
export const projectHooks: Hooks = {
  async admit(trx, { row, asked, actor }) {
    if (asked?.['servers'] === undefined) return {};
    const had = new Set(
      bindingsSchema
        .catch([])
        .parse(row?.values['servers'] ?? [])
        .map(({ server }) => server),
    );
    const added = bindingsSchema.parse(asked['servers']).map(({ server }) => server);
    const names = [...new Set(added)].filter((name) => !had.has(name));
    if (names.length === 0) return {};
    const rows = await trx('servers')
      .whereIn('name', names)
      .select<{ name: string; ownerId: string }[]>('name', 'ownerId');
    for (const name of names) {
      const server = rows.find((candidate) => candidate.name === name);
      const message = `There is no MCP server named '${name}'. See "mcpctl get server".`;
      if (!server || !can(actor, 'run', { resource: 'server', target: server }))
        throw new McpctlError('server_not_found', message);
    }
    return {};
  },
};
