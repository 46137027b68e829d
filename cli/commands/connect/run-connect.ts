import { McpctlError } from '../../../core/errors.ts';
import { didYouMean, nearest } from '../../../core/runtime/nearest.ts';
import type { Client } from '../../net/client.ts';
import type { Context } from '../../who/context.ts';
import { authenticated } from '../../who/target.ts';
import type { SeenLlm } from '../../net/views.ts';
import { clients } from './clients.ts';
import { toolClients, type ClientKind, type Wiring } from './wiring.ts';

export interface ConnectOptions {
  client: string;
  llm?: string | undefined;
  withToken: boolean;
}

/** Prints a client's configuration on stdout; where it goes, and what is missing, on stderr. */
export async function runConnect(ctx: Context, { client, llm, withToken }: ConnectOptions): Promise<void> {
  const kind = clientNamed(client);
  const { server, token } = authenticated(await ctx.target());
  const { name, row } = await llmToCall(await ctx.client(), llm);
  const wiring: Wiring = {
    server,
    baseUrl: `${server}/v1`,
    model: name,
    contextLength: contextOf(row),
    token: withToken ? token : null,
  };
  ctx.out.data(kind.text(wiring));
  ctx.out.note(kind.goes);
  if (withToken)
    ctx.out.note('Warning: your token is in it. Whoever reads it can call as you; keep it to yourself.');
  else
    ctx.out.note(
      kind.tokenFrom ?? 'It reads the token from MCPCTL_TOKEN: make one with "mcpctl token create NAME".',
    );
  if (row.view.status === 'inactive')
    ctx.out.note(`Warning: ${name} is inactive now; calls will fail until it is back.`);
}

/** @throws McpctlError `usage` with the clients that are near, or all. */
function clientNamed(name: string): ClientKind {
  const kind = Object.hasOwn(clients, name) ? clients[name] : undefined;
  if (kind) return kind;
  const names = Object.keys(clients);
  const near = nearest(name, names, 2);
  const hint = near.length > 0 ? `Did you mean ${near.join(' or ')}?` : `There are: ${names.join(', ')}.`;
  const tools = `The tools of a project: "mcpctl connect PROJECT ${toolClients.join('|')}".`;
  throw new McpctlError('usage', `There is no client "${name}". ${hint} ${tools}`);
}

/**
 * What to call, and one llm behind it: by name, pool or alias; when none is said, the one pool that is there.
 * @throws McpctlError `usage`, `llm_not_found`.
 */
async function llmToCall(client: Client, asked: string | undefined): Promise<{ name: string; row: SeenLlm }> {
  const llms = await client.llms.list({});
  const llmsByName = new Map<string, SeenLlm>();
  for (const llm of llms)
    for (const pool of [llm.view.poolName, llm.view.pool?.key])
      if (pool) llmsByName.set(pool, llmsByName.get(pool) ?? llm);
  for (const llm of llms)
    for (const name of [llm.key, ...(llm.view.aliases ?? [])]) llmsByName.set(name, llm);
  const named = asked === undefined ? undefined : llmsByName.get(asked);
  if (asked !== undefined && named) return { name: asked, row: named };
  if (asked !== undefined) {
    const near = nearest(asked, llmsByName.keys(), 3);
    const hint = didYouMean(near) || ' See "mcpctl get llm".';
    throw new McpctlError('llm_not_found', `There is no llm named '${asked}'.${hint}`);
  }
  const active = llms.filter((llm) => llm.view.status !== 'inactive');
  const pools = new Map(active.map((llm) => [llm.view.poolName ?? llm.key, llm]));
  const [only, ...others] = pools;
  if (only && others.length === 0) return { name: only[0], row: only[1] };
  const names = [...pools.keys()].slice(0, 10).join(', ');
  throw new McpctlError(
    'usage',
    only ? `Say which llm: ${names}.` : 'There is no llm to call yet; see "mcpctl get llm".',
  );
}

function contextOf({ view }: SeenLlm): number | undefined {
  const length = view.capabilities?.['contextLength'];
  return typeof length === 'number' ? length : undefined;
}
