import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { writeFileSync } from 'node:fs';
import { mock } from 'node:test';
import { expect } from 'chai';
import type { Supervised } from '../../worker/mcp/supervised.ts';
import { note } from '../support/measured.ts';
import { until } from '../support/system.ts';
import { supervise, why, type Supervision } from './supervise.ts';

const everything = createRequire(import.meta.url).resolve(
  '@modelcontextprotocol/server-everything/dist/index.js',
);
const nobody = new AbortController().signal;

interface Given {
  signal?: AbortSignal;
  message?: string;
  ms?: number;
}

describe('an MCP server of a worker', function () {
  this.timeout(20_000);
  let servers: Supervision;
  before(() => void (servers = supervise()));
  after(() => servers.close());
  const open: Supervision['open'] = (...how) => servers.open(...how);
  const call = async (
    server: Supervised,
    name: string,
    { signal = new AbortController().signal, ...given }: Given = {},
  ) => {
    const child = await server.ready(signal);
    const asked = { method: 'tools/call', params: { name, arguments: given }, signal };
    const { from: _message, ...answer } = await server.call(child, asked);
    return answer;
  };
  const groupOf = (pid: number): string[] =>
    execFileSync('ps', ['-eo', 'pgid=,pid='], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.trim().startsWith(`${String(pid)} `));

  it('begins once for all who call it, and gives each their own answer', async () => {
    const server = open(['--banner']);
    const texts = Array.from({ length: 50 }, (_, n) => `message ${String(n)}`);
    const answers = await Promise.all(texts.map((message) => call(server, 'echo', { message })));
    expect(answers).to.deep.equal(texts.map((text) => ({ result: { content: [{ type: 'text', text }] } })));
    expect(server.introduced?.tools.map(({ name }) => name)).to.include.members(['echo', 'a.b/c']);
    expect(server.introduced?.info).to.deep.equal({ name: 'fixture', version: '1.0.0' });
  });

  it('may be one that people have', async () => {
    const server = open([], { args: [everything, 'stdio'] });
    expect(await call(server, 'echo', { message: 'hello' })).to.have.nested.property(
      'result.content[0].text',
      'Echo: hello',
    );
    expect(server.introduced?.tools.map(({ name }) => name)).to.include.members(['echo', 'get-env']);
  });

  it('sees of the worker nothing but where programs and its home are, and its secrets are shown to nobody', async () => {
    const env = [
      { name: 'PLAIN', value: 'x', optional: false },
      { name: 'TOKEN', valueFrom: { secretRef: { name: 'github', key: 'token' } }, optional: false },
      { name: 'ABSENT', valueFrom: { secretRef: { name: 'none', key: 'x' } }, optional: true },
    ];
    const server = open([], { env });
    const child = await server.ready(nobody);
    const answer = JSON.stringify(await call(server, 'env'));
    const names = Object.keys(
      JSON.parse(
        (JSON.parse(answer) as { result: { content: [{ text: string }] } }).result.content[0].text,
      ) as object,
    );
    expect(names).to.have.members(['PATH', 'HOME', 'PLAIN', 'TOKEN']);
    expect(child.blank(answer)).to.include('[redacted:github]').and.not.include('very-secret');
    await call(server, 'stderr');
    await until(
      () => Promise.resolve(child.printed.text),
      (text) => text.includes('token is'),
    );
    expect(child.printed.text).to.include('token is [redacted:github]');
    const without = open([], {
      env: [{ name: 'T', valueFrom: { secretRef: { name: 'none', key: 'k' } }, optional: false }],
    });
    expect(await why(without.ready(nobody))).to.include("the secret 'none' has no key 'k' here");
    expect(without.state).to.equal('failed');
  });

  it('that dies in its handshake says why at once', async () => {
    const server = open(['--die-in', 'initialize']);
    expect(await why(server.ready(nobody))).to.include('ended with code 7: cannot reach the database');
    expect(server.state).to.equal('failed');
    expect(await why(open([], { command: '/nowhere/server' }).ready(nobody))).to.include('ENOENT');
    expect(await why(open([], { command: 'no-such-program' }).ready(nobody))).to.include('ENOENT');
    expect(await why(open([], { cwd: '/nowhere' }).ready(nobody))).to.include('its folder is not there');
    writeFileSync(servers.at('plain'), 'x', { mode: 0o644 });
    const plain = await why(open([], { command: servers.at('plain') }).ready(nobody));
    expect(plain).to.include('EACCES').and.not.include(servers.home);
  });

  it('that does not begin in time hinders no other', async () => {
    const hangs = open(['--hang', 'initialize'], { startSeconds: 0.5 });
    const starting = why(hangs.ready(nobody));
    const other = open();
    expect(await call(other, 'echo', { message: 'meanwhile' })).to.have.nested.property(
      'result.content[0].text',
      'meanwhile',
    );
    expect(await starting).to.include('did not answer within 1 seconds');
    expect(hangs.reason).to.include('tried again in 1 s');
  });

  it('that is begun anew while it begins says how it is before whoever ordered that has left', async () => {
    const server = open(['--hang', 'initialize'], { startSeconds: 60 });
    server.begin();
    await until(
      () => Promise.resolve(server.pid),
      (pid) => pid !== undefined,
    );
    mock.timers.enable({ apis: ['setTimeout'] });
    const ordered = server.ordered('restart');
    mock.timers.tick(10_000);
    mock.timers.reset();
    expect(await ordered).to.deep.include({ state: 'starting', reason: null, printed: '' });
  });

  it('that says two hundred times that it has other tools is asked once a second, and nobody is told what they know', async () => {
    const server = open();
    await server.ready(nobody);
    const { changes } = servers;
    const from = performance.now();
    await call(server, 'flood');
    const listed = async (): Promise<number> => {
      const { result } = (await call(server, 'listed')) as { result: { content: [{ text: string }] } };
      return Number(result.content[0].text);
    };
    await until(listed, (times) => times >= 3);
    const seconds = Math.ceil((performance.now() - from) / 1_000);
    expect(await listed(), 'with the first one').to.be.at.most(3 + seconds);
    expect(servers.changes, 'it has what it had').to.equal(changes);
  });

  it('that takes too long for a call is told so, and stays', async () => {
    const server = open([], { callSeconds: 0.2 });
    const child = await server.ready(nobody);
    expect(await why(call(server, 'count', { ms: 60_000 }))).to.include('did not answer within');
    await until(
      () => Promise.resolve(child.printed.text),
      (text) => text.includes('cancelled'),
    );
    expect(server.pid).to.equal(child.pid);
  });

  it('that ends in the middle of a call says so, and is there again for the next one', async () => {
    const server = open();
    expect(await why(call(server, 'exit'))).to.equal('it ended with code 3');
    expect(await call(server, 'echo', { message: 'again' })).to.have.nested.property(
      'result.content[0].text',
      'again',
    );
  });

  it('that prints without end is replaced, and nothing of it is held', async () => {
    const server = open();
    const first = (await server.ready(nobody)).pid;
    const before = process.memoryUsage().rss;
    expect(await why(call(server, 'big'))).to.include('larger than 10 MiB');
    expect(process.memoryUsage().rss - before).to.be.below(60 * 1024 * 1024);
    expect(await call(server, 'echo', { message: 'here' })).to.have.nested.property(
      'result.content[0].text',
      'here',
    );
    expect(server.pid).to.not.equal(first);
  });

  it('is told when nobody waits for a call any more', async () => {
    const server = open();
    const child = await server.ready(nobody);
    const leaving = new AbortController();
    const calling = why(call(server, 'count', { ms: 60_000, signal: leaving.signal }));
    await until(
      () => Promise.resolve(child.open),
      (open) => open === 1,
    );
    leaving.abort();
    expect(await calling).to.equal('Nobody waits for it.');
    await until(
      () => Promise.resolve(child.printed.text),
      (text) => text.includes('cancelled'),
    );
  });

  it('leaves nothing behind that it has started, though that hears no signal', async function () {
    const server = open(['--banner', '--orphan', '--deaf']);
    const pid = (await server.ready(nobody)).pid ?? 0;
    expect(groupOf(pid)).to.have.lengthOf(2);
    expect(await call(server, 'echo', { message: 'all the same' })).to.have.property('result');
    const from = performance.now();
    await server.stop();
    // After 2 s that its input is closed and 3 s that it is told to end; a busy machine is given as much again.
    const tookMs = performance.now() - from;
    note(this, [tookMs]);
    expect(tookMs).to.be.below(12_000);
    expect(groupOf(pid)).to.deep.equal([]);
  });
});
