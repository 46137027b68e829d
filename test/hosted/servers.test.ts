import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { pino } from 'pino';
import { serverLimitsSchema } from '../../core/mcp/hosted/source.ts';
import { createBus } from '../../core/runtime/bus.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { noKeyring } from '../../core/runtime/keyring/keyring.ts';
import { GroupGuard } from '../../worker/children/guard.ts';
import { guardedDialling } from '../../worker/hosted/addresses.ts';
import { ServersHere } from '../../worker/hosted/servers.ts';
import { Journal } from '../../worker/mcp/journal.ts';
import type { HostedServer } from '../../worker/sources/registry.ts';
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
  const told: string[] = [];
  const released: string[] = [];
  const open = (folder: string, env: Record<string, string | undefined> = process.env): ServersHere =>
    new ServersHere({
      ...{ session: 's', guard, clock, log, env, bus: createBus(log), keyring: noKeyring },
      root: join(root, folder),
      source: { sealedFor: () => undefined },
      dialling: guardedDialling([]),
      hosted: {
        hold: () => Promise.resolve(true),
        release: (poolKey) => Promise.resolve(void released.push(poolKey)),
        tell: (_poolKey, { mark }) => Promise.resolve(void told.push(mark)),
        marks: () => Promise.resolve([]),
        report: () => Promise.resolve(null),
      },
      journal: () => Journal.open(join(root, folder, 'journal'), 0),
      now: () => 0,
    });
  const rowOf = (runs: HostedServer['runs']): HostedServer => ({
    ...{ id: '1', name: 'one', poolKey: 'mcp.one', runs, env: [], secretMark: null },
    limits: serverLimitsSchema.parse({}),
  });

  it('say what they have once, until they have something else', async () => {
    const servers = open('told');
    const rows = [rowOf({ command: process.execPath, args: [fixture] })];
    await until(
      () => servers.update(rows).then(() => told.length),
      (count) => count > 0,
    );
    for (let n = 0; n < 3; n += 1) expect(await servers.update(rows)).to.equal(undefined);
    expect(told).to.have.length(1);
    await servers.stop();
    expect(released).to.deep.equal(['mcp.one']);
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
