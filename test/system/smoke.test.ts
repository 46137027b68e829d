import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { startSystem, type System } from '../support/system.ts';
import { everything } from '../../core/access.ts';

/** In a run of everything one file, as with the programs of the product (program.ts). */
const bundles = process.env['MCPCTL_TEST_BUNDLES'];
const program = bundles ? [join(bundles, 'smoke', 'smoke.mjs')] : ['--import', 'tsx', 'test/smoke.ts'];

interface Ran {
  code: number | null;
  out: string;
  err: string;
}

describe('npm run smoke, against a running system', function () {
  this.timeout(60_000);
  let t: System;
  let home: string;
  let left: Set<string>;

  before(async () => {
    t = await startSystem();
    home = await mkdtemp(join(tmpdir(), 'mcpctl-home-'));
    left = new Set(await folders());
  });
  after(async () => {
    await t.close();
    await rm(home, { recursive: true, force: true });
  });

  /** Whatever the outcome: the registry is as before, and so is the folder for temporary files. */
  afterEach(async () => {
    expect(await t.registry.llms.list({ scope: everything, limit: 10 })).to.deep.equal([]);
    expect(await t.sandbox.connection.db('names').select()).to.deep.equal([]);
    expect(await t.openTasks()).to.equal(0);
    expect((await folders()).filter((name) => !left.has(name))).to.deep.equal([]);
  });

  const folders = async (): Promise<string[]> =>
    (await readdir(tmpdir())).filter((name) => name.startsWith('mcpctl-smoke-'));

  async function smoke(...args: string[]): Promise<Ran> {
    const env = { PATH: process.env['PATH'] ?? '', MCPCTL_HOME: home };
    const child = spawn(process.execPath, [...program, ...args], { env });
    let [out, err] = ['', ''];
    child.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
    child.stderr.on('data', (piece: Buffer) => (err += piece.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, out, err };
  }
  const steps = (out: string, mark: string): string[] =>
    out.split('\n').filter((line) => new RegExp(`^${mark} .+ \\(\\d+ ms\\)$`).test(line));

  it('walks the main job step by step, and removes what it made', async () => {
    const redis = ['--redis-url', t.sandbox.redisUrl];
    const { code, out, err } = await smoke('--url', t.url, '--token', t.token, ...redis);
    expect(err).to.equal('');
    expect(code).to.equal(0);
    expect(steps(out, '✓').join('\n')).to.match(
      /registers smoke-[0-9a-f]{8}[^]+virtual and active[^]+agent smoke-[0-9a-f]{8}-agent is virtual and active[^]+whole answer[^]+token by token[^]+agent answers[^]+inactive at once[^]+so is its agent[^]+503 at once[^]+nothing is left/,
    );
    expect(out).to.match(/\nThe system works\.\n$/);
    expect(steps(out, '✗')).to.deep.equal([]);
  });

  it('finds a system that npm start runs by what that wrote down', async () => {
    const missing = await smoke();
    expect(missing.code).to.equal(1);
    expect(missing.err).to.include('Say which system: --url');
    await writeFile(join(home, 'credentials'), JSON.stringify({ mcpdUrl: t.url, token: t.token }));
    const redisless = await smoke();
    expect(redisless.code).to.equal(1);
    expect(redisless.err).to.include('Say --redis-url or set REDIS_URL');
    const running = { pid: 1, url: `${t.url}/`, redisUrl: t.sandbox.redisUrl, databaseUrl: '' };
    await writeFile(join(home, 'running.json'), JSON.stringify(running));
    expect(await smoke()).to.include({ code: 0, err: '' });
    // Neither the token nor the Redis of one system is used with another.
    const other = await smoke('--url', 'http://127.0.0.1:9');
    expect(other.code).to.equal(1);
    expect(other.err).to.match(/Say --token: .*credentials has none for http:\/\/127\.0\.0\.1:9\./);
  });

  it('says in a sentence what is wrong', async () => {
    const redis = ['--redis-url', t.sandbox.redisUrl];
    const token = await smoke('--url', t.url, '--token', 'mcpctl_not-a-token', ...redis);
    expect(token.code).to.equal(1);
    expect(token.err).to.match(/^\nthe token is good: HTTP 401: .+\n$/);
    const away = await smoke('--url', 'http://127.0.0.1:9', '--token', 'x', ...redis);
    expect(away.err).to.match(/^\nthe edge at .+ is ready: http:\/\/127\.0\.0\.1:9 does not answer: .+\n$/);
    const refused = await smoke('--url', t.url, '--token', t.token, '--redis-url', 'redis://127.0.0.1:9');
    expect(refused.err).to.match(/^\nRedis answers at 127\.0\.0\.1:9: .*ECONNREFUSED.*\n$/);
    expect([away.code, refused.code]).to.deep.equal([1, 1]);
  });

  it('cleans up after a failure midway: a worker at another Redis than the edge’s', async () => {
    const elsewhere = new URL(t.sandbox.redisUrl);
    elsewhere.pathname = '/7'; // another database of the same server
    const ran = await smoke('--url', t.url, '--token', t.token, '--redis-url', elsewhere.href);
    expect(ran.code).to.equal(1);
    expect(ran.err).to.match(
      /at the Redis of the edge: the worker is not noted there; is .+ the Redis that this edge uses\?/,
    );
    expect(steps(ran.out, '✗')).to.have.length(1);
    expect(steps(ran.out, '✓').at(-1)).to.include('nothing is left of it');
  });
});
