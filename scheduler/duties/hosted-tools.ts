import { toldOfServerSchema } from '../../core/mcp/tools.ts';
import type { HostedServerRow } from '../../core/registry/mcp/servers.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { jsonValue } from '../../core/text/json-text.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

/**
 * Writes down what hosted workers say of the MCP servers that they run: they write nothing to Postgres themselves. Whoever leads anew
 * writes each once more, which changes nothing.
 */
export function createHostedToolsDuty({ registry, queue, flow, clock, log }: DutyDeps): Duty {
  const written = new Map<string, string>();
  let marks = new Map<string, string>();
  const writing = new EachItem<HostedServerRow>({
    name: 'hosted-tools',
    idOf: ({ id }) => id,
    async act([server]) {
      if (server === undefined) return 0;
      const mark = marks.get(server.id) ?? '';
      const text = await queue.hostedServers.report(server.poolKey);
      const report = toldOfServerSchema.safeParse(text === null ? null : jsonValue(text));
      if (report.success) await registry.mcp.reportHosted(server.id, report.data);
      else
        log.warn(
          { server: server.name },
          'what a hosted worker says of an MCP server is in no form that is known',
        );
      written.set(server.id, mark);
      return 1;
    },
    clock,
    log,
  });
  return {
    name: 'hosted-tools',
    everyMs: 1_000,
    async run(signal) {
      const servers = await registry.mcp.hosted();
      const latest = await queue.hostedServers.marks(servers.map(({ poolKey }) => poolKey));
      marks = new Map(servers.flatMap(({ id }, at) => (latest[at] == null ? [] : [[id, latest[at]]])));
      for (const id of written.keys()) if (servers.every((server) => server.id !== id)) written.delete(id);
      const due = servers.filter(({ id }) => marks.has(id) && marks.get(id) !== written.get(id));
      return announced({ flow }, 'hosted-tools', await writing.run(due, signal));
    },
  };
}
