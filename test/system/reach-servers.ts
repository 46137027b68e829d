import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { startMcpServer } from '../mcp/http-server.ts';
import { fixture } from '../mcp/supervise.ts';
import type { Canaries } from '../support/canaries.ts';
import type { TestProcess } from '../support/process.ts';
import { until, type System } from '../support/system.ts';
import { watchAt } from '../mcp/traffic/watched.ts';

const WITHIN_MS = 20_000;

/** Processes below that one whose command line has that. */
async function childrenOf(pid: number | undefined, word: string): Promise<number[]> {
  const below = await readFile(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8');
  return below
    .split(' ')
    .map(Number)
    .filter((child) => child > 0 && lineOf(child).includes(word));
}
function lineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8');
  } catch {
    return ''; // it has just ended
  }
}

interface Reaching {
  t: System;
  canaries: Canaries;
  call: (method: string, path: string, body?: unknown) => Promise<{ status: number; text: string }>;
  hosted: TestProcess;
  /** What was answered. */
  texts: string[];
  /** Command lines of MCP servers. */
  ofChildren: string[];
  /** mcpctl as a person runs it; what it prints is looked through later. */
  cli: (args: readonly string[]) => Promise<number | null>;
}

/** Secrets as MCP servers have them: one that a hosted worker runs, and one that it dials; both with words that are looked for later. */
export async function reachServers({
  t,
  canaries,
  call,
  hosted,
  texts,
  ofChildren,
  cli,
}: Reaching): Promise<void> {
  const [token, bearer] = [canaries.secret('token'), canaries.secret('bearer')];
  const from = (name: string) => ({ valueFrom: { secretRef: { name, key: 'KEY' } } });
  const dialled = await startMcpServer();
  const bodies = [
    {
      ...{
        name: 'hosted',
        env: [
          { name: 'TOKEN', ...from('not-yet') },
          { name: 'LOG', value: 'x' },
        ],
      },
      source: { command: process.execPath, args: [fixture] },
    },
    {
      name: 'dialled',
      source: { url: dialled.url, headers: [{ name: 'authorization', ...from('bearer') }] },
    },
  ];
  const secret = { name: 'bearer', data: { KEY: `Bearer ${bearer}` } };
  expect((await call('POST', '/secrets', secret)).status).to.equal(201);
  for (const body of bodies) expect((await call('POST', '/servers', body)).status).to.equal(201);
  const servers = bodies.map(({ name }) => ({ server: name }));
  const shown = async (name: string): Promise<{ status: string; reason: string | null; tools: string[] }> =>
    JSON.parse((await call('GET', `/servers/${name}`)).text) as never;
  const waiting = await until(
    () => shown('hosted'),
    ({ reason }) => reason?.includes('secret_unresolved') === true,
    WITHIN_MS,
  );
  expect(waiting.reason).to.include("there is no secret 'not-yet'");
  expect((await call('POST', '/secrets', { name: 'not-yet', data: { KEY: token } })).status).to.equal(201);
  for (const { server } of servers) {
    const there = await until(
      () => shown(server),
      ({ tools }) => tools.length > 0,
      WITHIN_MS,
    );
    expect(there, server).to.include({ status: 'active', reason: null });
  }
  expect((await call('POST', '/projects', { name: 'hosts', servers })).status).to.equal(201);
  const watch = await watchAt(t.url, t.token, { project: 'hosts', query: '?bodies=true' });
  const tool = async (name: string): Promise<string> => {
    const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {} } };
    const headers = { accept: 'application/json', 'mcp-protocol-version': '2025-11-25' };
    const text = await (await t.call('POST', '/mcp/projects/hosts', { body, headers })).text();
    texts.push(text);
    return text;
  };
  const env = await tool('hosted__env');
  expect(env).to.include('[redacted:not-yet]').and.to.include('LOG');
  expect(env).to.not.match(/REDIS_URL|DATABASE_URL|MCPCTL_/);
  await tool('hosted__stderr');
  // It is given its answer by who is told the key, and nothing that its caller has.
  expect(await tool('dialled__whoami')).to.include('[redacted:bearer]');
  expect(dialled.seen.length).to.be.above(2);
  for (const headers of dialled.seen) {
    expect(headers.authorization).to.equal(`Bearer ${bearer}`);
    expect(JSON.stringify(headers)).to.not.include(t.token);
  }
  const captured = await watch.exchange(({ name }) => name === 'dialled__whoami');
  expect(JSON.stringify(captured.bodies)).to.include('[redacted:bearer]');
  texts.push(JSON.stringify(watch.heard));
  watch.close();
  for (const name of ['hosted', 'dialled']) {
    expect(await cli(['get', 'server', name, '-o', 'yaml'])).to.equal(0);
    expect(texts.slice(-2).join('\n'), 'as a reference').to.include('secretRef');
  }
  const [pid] = await childrenOf(hosted.child.pid, fixture);
  const line = readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8');
  expect(line).to.include(fixture);
  ofChildren.push(line);
  // Changed, it is begun anew with the new value while nobody calls it.
  expect(
    (await call('PATCH', '/secrets/not-yet', { data: { KEY: canaries.secret('renewed') } })).status,
  ).to.equal(200);
  await until(
    async () => (await childrenOf(hosted.child.pid, fixture))[0],
    (other) => other !== undefined && other !== pid,
    WITHIN_MS,
  );
  expect((await call('DELETE', '/projects/hosts')).status).to.equal(204);
  for (const { server } of servers) expect((await call('DELETE', `/servers/${server}`)).status).to.equal(204);
  await until(
    () => childrenOf(hosted.child.pid, fixture),
    (pids) => pids.length === 0,
    WITHIN_MS,
  );
  await dialled.close();
}
