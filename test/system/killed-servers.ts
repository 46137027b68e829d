import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { ServerProcessView } from '../../core/mcp/process/orders.ts';
import { eventsIn, listenTo } from '../mcp/streamed.ts';
import { fixture } from '../mcp/supervise.ts';
import type { TestProcess } from '../support/process.ts';
import { isAlive } from '../support/supervised.ts';
import { until, type System } from '../support/system.ts';

const WITHIN_MS = 30_000;

/**
 * Two hosted workers, one MCP server: one process of it, whichever runs it. That one is killed while it runs a call, which ends and is run by
 * nobody else; then the other has the server.
 * @returns the worker that was killed.
 */
export async function killWithServers(
  t: System,
  { workers, folder }: { workers: readonly TestProcess[]; folder: string },
): Promise<TestProcess> {
  const [started, counter] = [join(folder, 'started'), join(folder, 'counted')];
  const linesOf = (path: string): string[] =>
    existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
  const args = [fixture, '--started', started, '--counter', counter, '--notes'];
  const counted = (): number => linesOf(counter).filter((line) => !line.startsWith('resources/')).length;
  const make = async (path: string, body: object): Promise<void> => {
    expect((await t.call('POST', `/api/v1/${path}`, { body })).status).to.equal(201);
  };
  await make('servers', { name: 'one', source: { command: process.execPath, args } });
  await make('projects', { name: 'kills', servers: [{ server: 'one' }] });
  const served = () =>
    until(
      async () =>
        (await (await t.call('GET', '/api/v1/servers/one')).json()) as { status: string; tools: string[] },
      ({ status, tools }) => status === 'active' && tools.length > 0,
      WITHIN_MS,
    );
  const call = async (name: string, given: object): Promise<string> => {
    const params = { name: `one__${name}`, arguments: given };
    const headers = { accept: 'application/json', 'mcp-protocol-version': '2025-11-25' };
    const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params };
    return await (await t.call('POST', '/mcp/projects/kills', { body, headers })).text();
  };
  const count = (ms: number): Promise<string> => call('count', { ms });
  await served();
  expect(await count(0)).to.include('counted');
  const [child = 0] = linesOf(started).map(Number);
  const parent = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${String(child)}/status`, 'utf8'))?.[1]);
  const runs = workers.find((worker) => worker.child.pid === parent) ?? expect.fail('no worker runs it');
  await followLogs(t, () => call('stderr', {}));
  const hears = await hearOf(t, 'note:///a');
  await hears(() => call('touch', { uri: 'note:///a' }));
  const calling = count(120_000);
  await until(
    () => Promise.resolve(counted()),
    (lines) => lines === 2,
    WITHIN_MS,
  );
  await runs.kill('SIGKILL');
  expect(await calling, 'nobody knows what became of it')
    .to.include('"isError":true')
    .and.include('outcome_unknown');
  await until(
    () => Promise.resolve(linesOf(started).length),
    (lines) => lines === 2,
    WITHIN_MS,
  );
  expect(isAlive(child), 'two processes of it').to.equal(false);
  await served();
  expect(await count(0)).to.include('counted');
  expect(counted(), 'none was run twice').to.equal(3);
  expect(linesOf(started)).to.have.length(2);
  await hears(() => call('touch', { uri: 'note:///a' }));
  hears.leave();
  expect((await t.call('DELETE', '/api/v1/projects/kills')).status).to.equal(204);
  expect((await t.call('DELETE', '/api/v1/servers/one')).status).to.equal(204);
  return runs;
}

/** What it prints is shown as it is printed, and no line twice. */
async function followLogs(t: System, print: () => Promise<unknown>): Promise<void> {
  const ask = async (after: string): Promise<ServerProcessView> =>
    (await (await t.call('GET', `/api/v1/servers/one/logs?after=${after}`)).json()) as ServerProcessView;
  await print();
  const first = await ask('start');
  expect(first).to.include({ state: 'ready', printed: 'token is undefined\n', isMissed: false });
  const next = ask(first.at ?? expect.fail('no place'));
  await print();
  expect(await next).to.include({ printed: 'token is undefined\n', isMissed: false });
}

/** A client in the newer era that hears of a resource. @returns waits until what is done makes it hear that it is another. */
async function hearOf(t: System, uri: string) {
  const leaving = new AbortController();
  const stream = await listenTo(`${t.url}/mcp/projects/kills`, {
    headers: { authorization: `Bearer ${t.token}` },
    signal: leaving.signal,
    notifications: { resourceSubscriptions: [uri] },
  });
  let heard = 0;
  const isBegun = new Promise<void>((resolve) => {
    const counting = eventsIn(stream, (events) => {
      if (events.length > 0) resolve();
      heard = events.filter(({ data }) => data?.method === 'notifications/resources/updated').length;
      return false;
    });
    counting.catch(() => undefined); // it is left
  });
  await isBegun;
  const hears = async (change: () => Promise<unknown>): Promise<void> => {
    const before = heard;
    await change();
    await until(
      () => Promise.resolve(heard),
      (n) => n > before,
      WITHIN_MS,
    );
  };
  return Object.assign(hears, { leave: () => leaving.abort() });
}
