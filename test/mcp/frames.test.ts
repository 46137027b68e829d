import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { createBus } from '../../core/runtime/bus.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { GroupGuard } from '../../worker/children/guard.ts';
import { openServers, type McpServers } from '../../worker/mcp/open-servers.ts';
import type { ServerOrder, ServerSays } from '../../core/mcp/process/orders.ts';
import { until } from '../support/system.ts';
import { sseWorker, type SseWorker } from '../worker/sse-worker.ts';
import { fixture, supervise, type Supervision } from './supervise.ts';

describe('what an edge tells a worker of an MCP server', function () {
  this.timeout(20_000);
  let home: Supervision;
  let servers: McpServers;
  let guard: GroupGuard;
  let t: SseWorker;
  const begunAnew: (ServerSays | null)[] = [];
  before(async () => {
    home = supervise();
    guard = new GroupGuard();
    const log = createLog({ process: 'test', level: 'silent', pretty: false });
    const limits = { slots: 4, idleMinutes: 15, memoryMb: 1_024, startSeconds: 10, callSeconds: 10 };
    const args = [fixture, '--started', home.at('started')];
    const entry = { name: 'desk', command: process.execPath, args, env: [], publish: true, ...limits };
    const environment = { PATH: process.env['PATH'] };
    servers = openServers([entry], { home: home.home, environment, guard, bus: createBus(log), clock, log });
    servers.begin({ changed: () => undefined, resources: () => Promise.resolve(null) });
    const ordered = ({ order }: { order: ServerOrder }): void =>
      void servers.ordered('desk', order).then((says) => begunAnew.push(says));
    t = await sseWorker({ others: servers.opened, ordered });
    await t.transport.serve(t.members);
  });
  after(async () => {
    await t.close();
    await servers.stop();
    guard.end();
    await home.close();
  });

  it('is which tool is called, and with what: a command that comes with it starts nothing', async () => {
    const marker = home.at('marker');
    const evil = {
      ...{ command: process.execPath, args: ['-e', `fs.writeFileSync(${JSON.stringify(marker)}, "ran\\n")`] },
      ...{ cwd: '/', env: [{ name: 'NODE_OPTIONS', value: `--import=${marker}` }] },
    };
    const stream = await t.edge.stream(0);
    const called = async (n: number): Promise<unknown> => {
      const params = { name: 'echo', arguments: { message: 'as ever' }, ...evil };
      const request = JSON.stringify({ method: 'tools/call', params, journal: null, server: evil, ...evil });
      const frame = t.infer({ llmName: 'mcp.desk', operation: 'mcp', streaming: false, request });
      stream.send('task', { ...frame, ...evil, server: evil, mcpServers: [{ name: 'desk', ...evil }] });
      const answer = await t.edge.answer(n);
      await until(
        () => Promise.resolve(answer.lines.at(-1) ?? {}),
        (line) => 'end' in line || 'error' in line,
      );
      return (answer.lines.at(-1)?.['end'] as { body: string } | undefined)?.body;
    };
    const asEver = JSON.stringify({ result: { content: [{ type: 'text', text: 'as ever' }] } });
    expect(await called(0)).to.equal(asEver);
    const order = { kind: 'server', orderId: randomUUID(), llmName: 'mcp.desk', order: 'restart' };
    for (const frame of [
      { ...order, ...evil, server: evil },
      { ...order, order: 'start', ...evil },
    ])
      stream.send('task', frame);
    await until(
      () => Promise.resolve(begunAnew.length),
      (n) => n === 1,
    );
    expect(await called(1)).to.equal(asEver);
    expect(begunAnew).to.have.nested.property('[0].state', 'ready');
    expect(home.lines('started'), 'begun twice, as its own machine says').to.have.lengthOf(2);
    const below = readFileSync(`/proc/self/task/${String(process.pid)}/children`, 'utf8')
      .trim()
      .split(' ');
    const programs = below.map((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
    expect(programs.filter((line) => line.includes(marker))).to.deep.equal([]);
    expect(home.lines('marker')).to.deep.equal([]);
  });
});
