import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { faults } from './faults/index.ts';
import { openJournal } from './journal.ts';
import { startServers, type ChaosServers } from './servers.ts';
import { tryFault } from './trial.ts';
import { startWorld, type World } from './world.ts';

/** The most telling faults of `npm run chaos`, one after another, with few tasks each; over sse they are tried by `test/system` (relay-faults, killed). */
const telling = ['F01', 'F08', 'F16'];
const TASKS = 120;
const SPAN_MS = 5_000;
/** Other tests run at the same time. */
const PATIENCE = 10;

describe('a short run of chaos', function () {
  this.timeout(600_000);
  let servers: ChaosServers;
  let world: World;
  let folder: string;
  let failed = 0;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mcpctl-chaos-logs-'));
    servers = await startServers(process.env, () => undefined);
    const journal = openJournal(join(folder, 'start'));
    world = await startWorld({ servers, journal, patience: PATIENCE });
  });
  after(async () => {
    await world.close();
    await servers.stop();
    // What is left are the logs of those that failed.
    if (failed === 0) await rm(folder, { recursive: true, force: true });
  });

  for (const id of telling) {
    it(`keeps every promise under ${id}: ${faults[id]?.name ?? ''}`, async () => {
      const fault = faults[id] ?? expect.fail(`there is no ${id}`);
      const options = { seed: 1, tasks: TASKS, spanMs: SPAN_MS, folder, say: () => undefined };
      const result = await tryFault({ world, id, fault, ...options });
      const lines = [result.line, result.proof, ...result.notes];
      const findings = result.findings.slice(0, 10).map(({ rule, says }) => `${rule}: ${says}`);
      if (!result.passed) failed += 1;
      expect(result.passed, [...lines, ...findings, `logs: ${join(folder, id)}`].join('\n')).to.equal(true);
    });
  }
});
