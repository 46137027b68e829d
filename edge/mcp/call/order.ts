import { createHash } from 'node:crypto';
import { McpctlError, type ErrorCode } from '../../../core/errors.ts';
import { isServed, mayReturn } from '../../../core/flow/alive/served.ts';
import type { LivePool } from '../../../core/flow/alive/liveness.ts';
import type { McpCall } from '../../../core/mcp/call.ts';
import { poolOfServer } from '../../../core/mcp/names.ts';
import type { BoundServer } from '../../../core/registry/mcp/servers.ts';
import { asWritten, type Written } from '../../../core/mcp/pipeline/as-written.ts';
import { memberText } from '../../../core/text/json-text.ts';
import type { EdgeDeps } from '../../deps.ts';
import type { InferenceRequest } from '../../inference/ask/request.ts';
import { nothingAsked } from '../../inference/form/index.ts';
import type { Order } from '../../inference/ask/submit.ts';
import type { Target } from '../../inference/ask/target.ts';

/** What happened to a call is not known once any of these has ended it: each comes after it was delivered, or may. */
const unknownAfter: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'outcome_unknown',
  'worker_lost',
  'shutting_down',
  'run_timeout',
  'settle_pending',
]);
type Unjournaled<C> = C extends McpCall ? Omit<C, 'journal'> : never;

/** What a server is asked, under the names that it has itself. */
export interface AskedOfServer {
  server: BoundServer;
  call: Unjournaled<McpCall>;
  /** What its parameters were read of. */
  from?: Written;
}

/** As its task has it; in the form of JSON unless told. */
export function requestOfCall(
  { server, call, from }: AskedOfServer,
  more: Pick<InferenceRequest, 'formAs'> = {},
): InferenceRequest {
  const task: McpCall = { ...call, journal: server.journal };
  const body = asWritten(task, from);
  const asked = memberText(body, 'params') ?? '';
  return {
    operation: 'mcp',
    body,
    // Of integers that differ beyond 53 bits only what is written does.
    hash: createHash('sha256')
      .update(call.method === 'tools/call' ? asked : `[${JSON.stringify(call.method)},${asked}]`)
      .digest('hex'),
    streaming: false,
    ...nothingAsked,
    ...more,
    // Of a model: no member is chosen by it.
    needs: { operation: 'chat', tools: false, vision: false, tokenIds: false, aboutTokens: 0 },
  };
}

type Ordered = Pick<Order, 'request' | 'policy' | 'retention' | 'key'>;

/** The task that a call becomes. @throws McpctlError `mcp_server_down`. */
export async function orderOfCall(
  deps: Pick<EdgeDeps, 'lookAtPool' | 'config'>,
  { server }: Pick<AskedOfServer, 'server'>,
  ordered: Ordered,
): Promise<Order> {
  const llmName = poolOfServer(server.server);
  const pool = await deps.lookAtPool(llmName);
  const target = targetIn(pool);
  if (!target.served && !target.returning) throw down(llmName, pool);
  return {
    ...ordered,
    sent: null,
    target,
    llmName,
    source: 'mcp',
    priority: 'interactive',
    headers: {},
    queueMs: deps.config.queueSyncMs,
  };
}

function targetIn(pool: LivePool): Target {
  return {
    poolKey: pool.key,
    pin: null,
    pinned: null,
    agent: null,
    unfit: [],
    spared: [],
    shorter: [],
    served: isServed(pool, null),
    returning: mayReturn(pool, null),
    contextLength: null,
    translated: false,
    tellsEdges: false,
    members: pool.members.map(({ row: { id, name, model, kind } }) => ({ id, name, model, kind })),
  };
}

/** Its worker has said why, where it is there. */
function down(llmName: string, pool: LivePool): McpctlError {
  const why = pool.members[0]?.row.misconfigured;
  const server = llmName.slice(poolOfServer('').length);
  return new McpctlError(
    'mcp_server_down',
    why
      ? `The MCP server '${server}' does not run: ${why}.`
      : `No machine runs the MCP server '${server}' now.`,
  );
}

/** What a worker has given out as the answer of a server, and is none: anybody may be a worker. */
export const noAnswer = (): McpctlError =>
  new McpctlError('mcp_server_failed', 'The MCP server answered in no form that is known; the tool has run.');

/** How a model is told of a call that failed. */
export function asToldOf({ code, message }: McpctlError): { code: ErrorCode; message: string } {
  if (code === 'outcome_unknown' || !unknownAfter.has(code)) return { code, message };
  return {
    code: 'outcome_unknown',
    message: `What became of the call is not known, and it is not run again; look before you repeat it. ${message}`,
  };
}
