import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { Binding } from '../../core/mcp/bindings.ts';
import { noOffers } from '../../core/mcp/offers.ts';
import type { ChangesView } from '../../core/mcp/pinned/approvals.ts';
import type { ToolsReport } from '../../core/mcp/tools.ts';
import type { Answer, EdgeFixture } from '../support/edge.ts';

export interface ReportedServer {
  sessionId: string;
  /** All that it has from now on: nothing of a kind, unless it is there. */
  report: (has: Partial<ToolsReport>) => Promise<void>;
}

/** Publishes an MCP server that nobody runs: it is as a test reports of it. */
export async function reportedServer(
  t: EdgeFixture,
  server: string,
  owner: EdgeFixture['root'] = t.root,
): Promise<ReportedServer> {
  const sessionId = randomUUID();
  const offer = t.offer(`mcp.${server}`, { type: 'mcp', model: 'mcp' });
  await t.registry.sessions.register(t.publication(owner, [offer], { sessionId }));
  return {
    sessionId,
    report: (has) =>
      t.registry.mcp.report(owner.id, {
        ...{ providerSessionId: sessionId, server, journal: randomUUID() },
        ...{ info: { name: server, version: '1' }, tools: [], ...noOffers, ...has },
      }),
  };
}

interface Asked {
  method: string;
  params?: object;
  token?: string | undefined;
}

/** What is asked about a project's pins: as `person`, and of the server `desk`, unless told. */
export function pinCalls(t: () => EdgeFixture, person: 'root' | 'ada') {
  const own = (): string => t().tokens[person];
  const ok = (answer: Answer): Answer => {
    expect(answer.status, answer.text).to.be.within(200, 204);
    return answer;
  };
  /** Makes a project with `desk`. */
  const bound = async (name: string, binding: Partial<Binding> = {}, token = own()): Promise<void> => {
    const body = { name, servers: [{ server: 'desk', ...binding }] };
    ok(await t().call('POST /api/v1/projects', { token, body }));
  };
  /** As an MCP client asks it. */
  const rpc = async <Result>(project: string, { token = own(), ...asked }: Asked) => {
    const body = { jsonrpc: '2.0', id: randomUUID(), ...asked };
    return ok(await t().call(`POST /mcp/projects/${project}`, { token, body })).json as {
      result?: Result;
      error?: { code: number; message: string };
    };
  };
  const changes = async (project: string, server = 'desk', token = own()) => {
    const what = `GET /api/v1/servers/${server}/changes?project=${project}`;
    const { projects } = ok(await t().call(what, { token })).json as ChangesView;
    return projects[0] ?? expect.fail('no project');
  };
  const approve = (body: object, { server = 'desk', token = own() } = {}): Promise<Answer> =>
    t().call(`POST /api/v1/servers/${server}/approve`, { token, body });
  return { ok, bound, rpc, changes, approve };
}
