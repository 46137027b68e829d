import { randomUUID } from 'node:crypto';
import { can, type Actor } from '../../../core/access.ts';
import { McpctlError } from '../../../core/errors.ts';
import { poolOfServer } from '../../../core/mcp/names.ts';
import type { ServerOrder, ServerProcessView, ServerSays } from '../../../core/mcp/process/orders.ts';
import { seenWithinMs } from '../../../core/member/presence.ts';
import { anySignal } from '../../../core/runtime/any-signal.ts';
import { pause } from '../../../core/runtime/clock.ts';
import type { EdgeDeps } from '../../deps.ts';
import { readsBodies } from '../../shown/task/task-of.ts';

/** A restart says how it went where that is known by then; a start may take longer. */
const WITHIN_MS = 15_000;

interface Named {
  id: string;
  name: string;
  ownerId: string;
}

/** @throws McpctlError `server_not_found` for who may not see it, `forbidden` for who may not edit it. */
export async function serverToOrder({ registry }: EdgeDeps, actor: Actor, name: string): Promise<Named> {
  const server = await registry.mcp.server(name);
  if (!server || !can(actor, 'view', { resource: 'server', target: server }))
    throw new McpctlError('server_not_found');
  if (!can(actor, 'edit', { resource: 'server', target: server }))
    throw new McpctlError('forbidden', `Only who may edit the server '${server.name}' may do that.`);
  return server;
}

/** What a server prints tells of its callers: it is read by who may read what was asked of it. @throws McpctlError `forbidden`. */
export function needMayRead(actor: Actor, { name, ownerId }: Named): void {
  if (readsBodies(actor, { ownerId })) return;
  throw new McpctlError(
    'forbidden',
    `What '${name}' prints is for its owner, and for who has the operation 'logs'.`,
  );
}

/**
 * Has the worker that runs a server do something about its process, and hears what came of it.
 * @throws McpctlError `mcp_server_down` where no worker runs it, or it says nothing in time.
 */
export async function orderServer(
  deps: EdgeDeps,
  { name }: Named,
  { order, after, left }: { order: ServerOrder; after?: string | undefined; left: AbortSignal },
): Promise<ServerProcessView> {
  const { llmId, ...worker } = await workerOf(deps, name);
  const of = { server: name, orderId: randomUUID() };
  const over = new AbortController();
  const heard: { says?: ServerSays } = {};
  const leave = await deps.queue.orderAnswers.listen(of, (says) => {
    if (says) heard.says = says;
    over.abort();
  });
  try {
    const message = { kind: 'server', orderId: of.orderId, llmId, order, after } as const;
    const hearers = await deps.queue.control.send({ ...worker, message });
    if (hearers > 0) await pause(WITHIN_MS, anySignal([over.signal, left]));
    if (heard.says) return { server: name, ...heard.says };
  } finally {
    leave();
  }
  throw new McpctlError(
    'mcp_server_down',
    `The worker that runs the MCP server '${name}' did not answer; it may be of a release before, or away. Try again in a moment.`,
  );
}

async function workerOf(deps: EdgeDeps, name: string) {
  const pool = await deps.liveness.loadPool(poolOfServer(name));
  for (const { row, announced } of pool.members) {
    const seen = announced.find(({ ageMs }) => ageMs < seenWithinMs);
    if (seen) return { llmId: row.id, session: seen.sessionId, boot: seen.boot };
  }
  throw new McpctlError('mcp_server_down', `No machine runs the MCP server '${name}' now.`);
}
