import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Finding } from '../../bench/report/report.ts';
import { scenarios } from '../../bench/scenarios/index.ts';
import { median, quantile, slope } from '../../bench/report/stats.ts';

/** That it runs and counts; how fast anything is, is no matter of a test. */
describe('npm run bench', function () {
  this.timeout(480_000);
  let folder: string;

  before(async () => (folder = await mkdtemp(join(tmpdir(), 'mcpctl-test-bench-'))));
  after(() => rm(folder, { recursive: true, force: true }));

  async function bench(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
    const argv = ['--import', 'tsx', 'bench/main.ts', ...args];
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
    child.stderr.on('data', (piece: Buffer) => (err += piece.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, out, err };
  }
  const homes = async (): Promise<string[]> =>
    (await readdir(tmpdir())).filter((name) => name.startsWith('mcpctl-bench-'));

  it('runs every scenario against its baseline, prints a table and a JSON file, leaves nothing', async () => {
    const before = await homes();
    const path = join(folder, 'bench.json');
    const { code, out, err } = await bench('--quick', '--offline', '--json', path);
    expect(code, err).to.equal(0);
    const { findings, deaths } = JSON.parse(await readFile(path, 'utf8')) as {
      findings: Finding[];
      deaths: { killed: number };
    };
    expect(deaths.killed).to.equal(1);
    expect(findings.map((f) => f.scenario.name)).to.deep.equal(scenarios.map((s) => s.name));
    for (const { scenario, result } of findings) {
      expect(out).to.include(`${scenario.name}: ${scenario.about}`);
      expect(result.rows, scenario.name).not.to.be.empty;
      expect(result.faults ?? {}, scenario.name).to.deep.equal({});
      for (const { what, summary } of result.rows) {
        expect(out).to.include(what);
        expect(summary.n).to.be.greaterThan(0);
        for (const value of [summary.p50, summary.p99, summary.max]) expect(value).to.be.at.least(0);
      }
    }
    expect(await homes()).to.deep.equal(before);
  });

  it('names the scenarios when it is asked for another', async () => {
    const { code, err } = await bench('--scenario', 'frist-token');
    expect(code).to.equal(1);
    expect(err).to.include(`there are ${scenarios.map((s) => s.name).join(', ')}.`);
  });

  it('takes the nearest rank for a quantile', () => {
    const values = [5, 1, 4, 2, 3];
    expect(median(values)).to.equal(3);
    expect([0.01, 0.2, 0.99, 1].map((share) => quantile(values, share))).to.deep.equal([1, 1, 5, 5]);
    expect(median([])).to.be.NaN;
  });

  it('puts a straight line through points', () => {
    expect(slope([2, 1, 4, 3].map((x) => [x, 3 * x + 1] as const))).to.be.closeTo(3, 1e-9);
    expect(slope([[1, 1]])).to.be.NaN;
  });
});
