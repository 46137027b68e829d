import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { pino } from 'pino';
import { serverLimitsSchema } from '../../core/mcp/server-limits.ts';
import { createBus } from '../../core/runtime/bus.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { noKeyring } from '../../core/runtime/keyring/keyring.ts';
import { GroupGuard } from '../../worker/children/guard.ts';
import { guardedDialling } from '../../worker/hosted/addresses.ts';
import { ServersHere } from '../../worker/hosted/servers.ts';
import { Journal } from '../../worker/mcp/journal.ts';
import type { MemberCall } from '../../worker/providers/provider.ts';
import type { HostedServer } from '../../worker/sources/registry.ts';
import type { ServedMember } from '../../worker/transports/transport.ts';
import { fixture } from '../mcp/supervise.ts';
import { until } from '../support/system.ts';

const log = pino({ level: 'silent' });

describe('the MCP servers that a hosted worker runs', function () {
  this.timeout(20_000);
  const root = mkdtempSync(join(tmpdir(), 'servers-here-'));
  const guard = new GroupGuard();
  after(() => {
    guard.end();
    rmSync(root, { recursive: true });
  });
  const reports: string[] = [];
  const released: string[] = [];
  const lacked: string[] = [];
  let later = 0;
  const open = (folder: string, env: Record<string, string | undefined> = process.env): ServersHere => {
    let journal: Journal | undefined;
    return new ServersHere({
      ...{
        session: 's',
        guard,
        log,
        clock: { ...clock, elapsed: () => clock.elapsed() + later },
        env,
        bus: createBus(log),
        keyring: noKeyring,
      },
      root: join(root, folder),
      source: { sealedFor: () => undefined },
      dialling: guardedDialling([]),
      hosted: {
        hold: () => Promise.resolve(true),
        release: (poolKey) => Promise.resolve(void released.push(poolKey)),
        lack: (poolKey, why) => Promise.resolve(void lacked.push(`${poolKey} ${why}`)),
        lacks: () => Promise.resolve([]),
        tell: (_poolKey, { mark }) => Promise.resolve(void reports.push(mark)),
        marks: () => Promise.resolve([]),
        report: () => Promise.resolve(null),
      },
      answers: { say: () => Promise.resolve(true) },
      news: { tell: () => Promise.resolve([]) },
      journal: () => (journal ??= Journal.open(join(root, folder, 'journal'), 0)),
      now: () => 0,
    });
  };
  const rowOf = (runs: HostedServer['runs']): HostedServer => ({
    ...{
      id: '1',
      name: 'one',
      poolKey: 'mcp.one',
      ownerId: 'ada',
      healthCheck: null,
      runs,
      env: [],
      secretMark: null,
    },
    limits: serverLimitsSchema.parse({}),
  });

  it('say what they have once, until they have something else', async () => {
    const servers = open('reports');
    const rows = [rowOf({ command: process.execPath, args: [fixture] })];
    await until(
      () => servers.update(rows).then(() => reports.length),
      (count) => count > 0,
    );
    for (let n = 0; n < 3; n += 1) expect(await servers.update(rows)).to.equal(undefined);
    expect(reports).to.have.length(1);
    await servers.stop();
    expect(released).to.deep.equal(['mcp.one']);
  });

  it('that change answer who was taken before all had heard of it, and are begun anew then', async () => {
    const servers = open('changed');
    const row = rowOf({ command: process.execPath, args: [fixture] });
    const before = reports.length;
    const members: ServedMember['member'][] = [];
    await until(
      async () => {
        members.push(...((await servers.update([row]))?.all ?? []).map(({ member }) => member));
        return reports.length;
      },
      (count) => count > before,
    );
    const [former] = members;
    await servers.update([{ ...row, limits: { ...row.limits, slots: 2 } }]);
    const call: MemberCall = {
      ...{ operation: 'mcp', streaming: false, headers: {}, model: 'mcp', stallMs: 5_000, taskId: 'taken' },
      ...{ signal: new AbortController().signal, deliver: () => Promise.resolve(true) },
      body: JSON.stringify({ method: 'tools/call', params: { name: 'echo', arguments: {} }, journal: null }),
    };
    const replies: string[] = [];
    for await (const { kind } of former?.forward(call) ?? []) replies.push(kind);
    expect(replies).to.deep.equal(['end']);
    await servers.stop();
  });

  it('are of all who have some: nobody’s keep everybody else’s out', async () => {
    const servers = open('fair');
    const dialled = (ownerId: string, count: number): HostedServer[] =>
      Array.from({ length: count }, (_, n) => ({
        ...rowOf({ url: 'http://127.0.0.1:9/mcp', headers: [] }),
        ...{
          ownerId,
          id: `${ownerId}${String(n)}`,
          name: `${ownerId}${String(n)}`,
          poolKey: `mcp.${ownerId}${String(n)}`,
        },
      }));
    const [greedy, other, late] = [dialled('greedy', 40), dialled('other', 10), dialled('late', 1)];
    await servers.update(greedy);
    expect(servers.pools()).to.deep.equal(greedy.slice(0, 24).map(({ poolKey }) => poolKey));
    expect(lacked).to.have.length(16).and.include('mcp.greedy24 owner_full');
    await servers.update([...greedy, ...other]);
    expect(servers.pools()).to.have.length(32);
    expect(lacked.slice(16)).to.deep.equal(['mcp.other8 full', 'mcp.other9 full']);
    await servers.update([...greedy, ...other, ...late]);
    expect(servers.pools(), 'another worker may have room').to.not.include('mcp.late0');
    released.length = 0;
    later += 3_000;
    await servers.update([...greedy, ...other, ...late]);
    expect(servers.pools()).to.have.length(32).and.include.members(['mcp.late0', 'mcp.other9']);
    expect(servers.pools()).to.not.include('mcp.greedy21');
    await until(
      () => Promise.resolve(released.length),
      (count) => count === 3,
    );
    expect(released, 'for another worker').to.have.members(['mcp.greedy21', 'mcp.greedy22', 'mcp.greedy23']);
    later += 3_000;
    const had = servers.pools();
    await servers.update([...greedy, ...other, ...late]);
    expect(servers.pools(), 'and stays so').to.deep.equal(had);
    await servers.stop();
  });

  it('are let go of at once when the worker stops, also where npm has not brought one yet', async () => {
    const bin = join(root, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'npm'), `#!/bin/sh\n: > '${bin}/begun'\nexec tail -f /dev/null\n`);
    chmodSync(join(bin, 'npm'), 0o755);
    const servers = open('stuck', { ...process.env, PATH: `${bin}:${process.env['PATH'] ?? ''}` });
    const of = { package: 'p', version: '1.0.0', integrity: 'sha512-x', program: null, args: [], env: [] };
    await servers.update([rowOf(of)]);
    await until(
      () => Promise.resolve(existsSync(join(bin, 'begun'))),
      (isThere) => isThere,
    );
    await servers.stop();
    expect(readdirSync(join(root, 'stuck')).filter((name) => name.startsWith('.adding'))).to.deep.equal([]);
  });
});
