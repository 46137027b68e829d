import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { startSystem, until, type System } from '../support/system.ts';

const here = (name: string): string => fileURLToPath(new URL(`conformance/${name}`, import.meta.url));
const suite = join(
  createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json'),
  '../dist/index.js',
);

/** The suite knows no tokens: one that stands in front adds ours, and leaves all else as it came. */
function startForwarder({ url, token }: Pick<System, 'url' | 'token'>): Promise<Server> {
  const { port } = new URL(url);
  const server = createServer((req, res) => {
    const headers = { ...req.headers, authorization: `Bearer ${token}` };
    const on = request(
      { host: '127.0.0.1', port, method: req.method, path: req.url, headers, agent: false },
      (answer) => {
        res.writeHead(answer.statusCode ?? 502, answer.headers);
        res.flushHeaders();
        answer.pipe(res);
      },
    );
    on.on('error', () => res.destroy());
    res.once('close', () => on.destroy());
    req.pipe(on);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

interface Ran {
  code: number | null;
  output: string;
}

/** Of a revision what it requires, but for what its baseline names. */
function run(revision: string, { url, results }: { url: string; results: string }): Promise<Ran> {
  const args = ['--import', here('node-20.mjs'), suite, 'server', '--url', url, '--requirements', revision];
  const more = ['--expected-failures', here(`baseline-${revision}.yaml`), '--output-dir', results];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...args, ...more], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (piece: Buffer) => (output += piece.toString('utf8')));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}

describe('the conformance suite of MCP', function () {
  this.timeout(120_000);
  let t: System;
  let forwarder: Server;
  let results: string;
  let url: string;
  before(async () => {
    results = mkdtempSync(join(tmpdir(), 'conformance-'));
    t = await startSystem();
    await t.startWorker([], {
      mcpServers: [{ name: 'suite', command: process.execPath, args: [here('server.mjs')] }],
    });
    await until(
      async () => (await t.call('GET', '/api/v1/servers/suite')).status,
      (status) => status === 200,
    );
    const body = { name: 'suite', servers: [{ server: 'suite' }], prefix: 'never' };
    expect((await t.call('POST', '/api/v1/projects', { body })).status).to.equal(201);
    forwarder = await startForwarder(t);
    url = `http://127.0.0.1:${String((forwarder.address() as AddressInfo).port)}/mcp/projects/suite`;
  });
  after(async () => {
    forwarder.closeAllConnections();
    forwarder.close();
    await t.close();
    rmSync(results, { recursive: true });
  });

  for (const revision of ['2025-11-25', '2026-07-28'])
    it(`finds nothing in ${revision} that its baseline does not name`, async () => {
      const { code, output } = await run(revision, { url, results });
      expect(code, output).to.equal(0);
    });
});
