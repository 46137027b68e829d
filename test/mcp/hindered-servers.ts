import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { expect } from 'chai';
import { pause } from '../../core/runtime/clock.ts';
import { note } from '../support/measured.ts';
import { until, type System, type WorkerProcess } from '../support/system.ts';
import { hello } from './streamed.ts';
import { fixture } from './supervise.ts';

interface Hindered {
  system: () => System;
  worker: () => WorkerProcess;
  /** The URL of another edge. */
  elsewhere: () => string | undefined;
  /** A client of a project. */
  connect: (at: string, project: string) => Promise<Client>;
  files: FilesOfSleepy;
}

interface FilesOfSleepy {
  /** A line for each start. */
  started: string;
  /** Without it, it dies in its handshake. */
  healed: string;
}

const MEBIBYTE_KIB = 1_024;
const LIST_MS = 20;
/** A test on a busy machine allows so many times what is promised. */
const TIMES = 10;

/** Calls of one server in a round; with `MCPCTL_ROUNDS=1000` what its worker holds after each is bound to 5 %, too. */
const CALLS = Number(process.env['MCPCTL_ROUNDS'] ?? 20);
const isLong = CALLS >= 1_000;
/** A worker gives back what serving took when nobody has called it for ten seconds. */
const AT_REST_MS = 13_000;
/** The first warms it up. V8 gives back the room for new objects, up to 32 MB, after some and not after others. */
const [LEAST_ROUNDS, MOST_ROUNDS] = isLong ? [5, 9] : [2, 2];

/** Of a process: what it has in memory now, or had at most. */
const kibOf = (pid: number | undefined, what: 'VmRSS' | 'VmHWM'): number =>
  Number(
    new RegExp(`^${what}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1],
  );

/** A server that sleeps at once when nobody calls it. */
export const sleepy = ({ started, healed }: FilesOfSleepy): object => ({
  ...{ name: 'sleepy', command: process.execPath, idleMinutes: 0.001 },
  args: [fixture, '--started', started, '--die-in', 'initialize', '--healed', healed],
});

/** What servers that sleep, fail, or print without end are to who calls them, and to others of their worker. */
export function hindered({ system, worker, elsewhere, connect, files }: Hindered): void {
  const begun = (): number =>
    existsSync(files.started) ? readFileSync(files.started, 'utf8').trim().split('\n').length : 0;
  const processOf = async (): Promise<{ state: string; reason: string | null }> => {
    const answer = await system().call('GET', '/api/v1/servers/sleepy/logs');
    return (await answer.json()) as { state: string; reason: string | null };
  };
  /** Of the process that speaks for the server `notes`. */
  const pidOf = async (client: Client): Promise<string> =>
    JSON.stringify((await client.callTool({ name: 'n__pid', arguments: {} })).content);
  const isPid = (text: string): boolean => /"text":"\d+"/.test(text);
  const echo = (client: Client, message: string) =>
    client.callTool({ name: 's__echo', arguments: { message } });

  it('that sleeps is listed as it was, and waked once for ten who call it at two edges', async function () {
    const t = system();
    const clients = [await connect(t.edge.url, 'slept'), await connect(elsewhere() ?? t.edge.url, 'slept')];
    const [one] = clients;
    if (!one) throw new TypeError('no client');
    await echo(one, 'waked');
    const { tools } = await one.listTools();
    await until(processOf, ({ state }) => state === 'asleep', 20_000);
    const before = begun();
    const spans: number[] = [];
    for (let n = 0; n < 20; n += 1) {
      const from = performance.now();
      expect((await one.listTools()).tools).to.deep.equal(tools);
      spans.push(performance.now() - from);
    }
    note(this, spans);
    expect(spans.sort((a, b) => a - b)[spans.length / 2]).to.be.below(LIST_MS * TIMES);
    expect([begun(), (await processOf()).state], 'a list wakes nobody').to.deep.equal([before, 'asleep']);
    const texts = Array.from({ length: 10 }, (_, n) => `caller ${String(n)}`);
    const answers = await Promise.all(
      texts.map(async (text, n) => echo(clients[n % clients.length] ?? one, text)),
    );
    expect(answers.map(({ content }) => content)).to.deep.equal(
      texts.map((text) => [{ type: 'text', text }]),
    );
    expect(begun()).to.equal(before + 1);
  });

  it('that dies in its handshake says so to who calls it, and when it is tried again', async () => {
    const t = system();
    const client = await connect(t.edge.url, 'slept');
    rmSync(files.healed);
    const failed = (await (await t.call('POST', '/api/v1/servers/sleepy/restart')).json()) as {
      state: string;
      reason: string;
    };
    expect(failed.state).to.equal('failed');
    expect(failed.reason).to.match(/cannot reach the database \(tried again in \d+ s\)$/);
    const from = performance.now();
    const answer = await echo(client, 'nobody');
    expect(performance.now() - from).to.be.below(30_000);
    expect(answer).to.deep.include({ isError: true, _meta: { 'mcpctl.dev/code': 'mcp_server_down' } });
    expect(JSON.stringify(answer.content)).to.include('cannot reach the database');
    writeFileSync(files.healed, '');
    const healed = await t.call('POST', '/api/v1/servers/sleepy/restart');
    expect(await healed.json()).to.include({ state: 'ready', reason: null });
  });

  it('that prints 200 MB without a line’s end costs its worker little, is replaced, and hinders no other', async function () {
    const t = system();
    const [noted, demo] = [await connect(t.edge.url, 'noted'), await connect(t.edge.url, 'demo')];
    const pid = () => pidOf(noted);
    const first = await until(pid, isPid);
    const { pid: ofWorker } = worker().child;
    writeFileSync(`/proc/${String(ofWorker)}/clear_refs`, '5'); // its peak is counted from now on
    const before = kibOf(ofWorker, 'VmRSS');
    const texts = Array.from({ length: 20 }, (_, n) => String(n));
    const [big, ...others] = await Promise.all([
      noted.callTool({ name: 'n__big', arguments: {} }),
      ...texts.map((message) => demo.callTool({ name: 'desk__echo', arguments: { message } })),
    ]);
    const grownMiB = (kibOf(ofWorker, 'VmHWM') - before) / MEBIBYTE_KIB;
    if (this.test) this.test.title += ` (${grownMiB.toFixed(0)} MiB)`;
    expect(big).to.deep.include({ isError: true, _meta: { 'mcpctl.dev/code': 'result_too_large' } });
    expect(others.map(({ content }) => content)).to.deep.equal(texts.map((text) => [{ type: 'text', text }]));
    expect(grownMiB).to.be.below(40);
    expect(await until(pid, isPid)).to.not.equal(first);
  });

  it(`is one process, round by round of ${String(CALLS)} calls and as many sessions as they allow, of which its worker keeps no file${isLong ? ' and no memory' : '; no memory, with MCPCTL_ROUNDS'}`, async function () {
    this.timeout(isLong ? 900_000 : 60_000);
    const t = system();
    const first = await connect(t.edge.url, 'noted');
    const pid = await until(() => pidOf(first), isPid);
    const inSession = async (): Promise<void> => {
      const initialize = { jsonrpc: '2.0', id: 0, method: 'initialize', params: hello };
      const begun = await t.call('POST', '/mcp/projects/noted', { body: initialize });
      await begun.text();
      const headers = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' };
      const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'n__pid', arguments: {} } };
      const answer = await t.call('POST', '/mcp/projects/noted', { body, headers });
      expect(await answer.text()).to.include(pid);
    };
    const round = async (): Promise<void> => {
      const client = await connect(t.edge.url, 'noted'); // one keeps a listener for each of its calls
      for (let n = 0; n < CALLS; n += 1) expect(await pidOf(client)).to.equal(pid);
      const together = await Promise.all(Array.from({ length: CALLS / 20 }, () => pidOf(client)));
      expect(new Set(together)).to.deep.equal(new Set([pid]));
      for (let n = 0; n < CALLS * 0.3; n += 1) await inSession();
      if (isLong) await pause(AT_REST_MS);
    };
    const { pid: ofWorker } = worker().child;
    const filesOf = (): number => readdirSync(`/proc/${String(ofWorker)}/fd`).length;
    const mebibytes = (): number => kibOf(ofWorker, 'VmRSS') / MEBIBYTE_KIB;
    const resident: number[] = [];
    const isBack = (): boolean => (resident.at(-1) ?? 0) < (resident[0] ?? 0) * 1.05;
    await round();
    const files = filesOf();
    for (let n = 1; n < LEAST_ROUNDS || (!isBack() && n < MOST_ROUNDS); n += 1) {
      await round();
      resident.push(mebibytes());
    }
    if (this.test) this.test.title += ` (${resident.map((each) => each.toFixed(1)).join(', ')} MiB)`;
    expect(filesOf() - files, 'beside those of the first round').to.be.below(3);
    if (isLong) expect(isBack()).to.equal(true);
  });
}
