import { spawn } from 'node:child_process';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { createKeys } from '../../core/queue/keys.ts';
import { hangs, chats } from '../support/backend.ts';
import { programOf } from '../support/program.ts';
import { startSystem, until, type System, type TransportKind } from '../support/system.ts';
import { askWorker } from '../../worker/local/client.ts';
import type { LocalStatus } from '../../worker/local/protocol.ts';

const ask = { messages: [{ role: 'user', content: 'hi' }] };

/** What `mcplocal <words>` prints with that home. */
function mcplocal(
  home: string,
  ...words: string[]
): Promise<{ code: number | null; out: string; err: string }> {
  const { PATH = '' } = process.env;
  const child = spawn(process.execPath, [programOf('worker'), ...words], {
    env: { PATH, MCPCTL_HOME: home },
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (err += piece.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, out, err })));
}

const statusOf = async (home: string): Promise<LocalStatus> =>
  JSON.parse((await mcplocal(home, 'status', '-o', 'json')).out) as LocalStatus;

for (const transport of ['redis', 'sse'] as const satisfies readonly TransportKind[]) {
  describe(`the owner of a machine and their worker, over ${transport}`, function () {
    this.timeout(120_000);
    let t: System;
    before(async () => {
      t = await startSystem({}, { transport });
    });
    // A call that one test has made is no sign of the next one's.
    beforeEach(() => t.backend.forget());
    after(() => t.close());

    it('sees what it is connected to, and what each llm does', async () => {
      const { home, ...worker } = await t.startWorker([
        { name: 'seen', backend: t.backend, maxConcurrency: 3 },
      ]);
      await worker.next(({ msg }) => msg === 'serves seen (active)');
      const status = await statusOf(home);
      expect(status).to.include({ edge: t.url, transport, connected: true, state: 'serving' });
      expect(status.session).to.be.a('string');
      expect(status.llms).to.deep.equal([
        { name: 'seen', model: 'tiny', state: 'serving', running: 0, slots: 3 },
      ]);
      expect((await mcplocal(home, 'status')).out).to.match(/seen +serving +0 +3 +tiny/);
      expect(((await stat(join(home, 'worker.sock'))).mode & 0o777).toString(8)).to.equal('600');
      await worker.kill('SIGTERM');
    });

    it('pauses: callers hear at once that nobody serves, rows stay published; resumes', async () => {
      const { home, ...worker } = await t.startWorker([{ name: 'paused', backend: t.backend }]);
      const { out } = await mcplocal(home, 'pause');
      expect(out).to.include('mcplocal resume');
      expect((await statusOf(home)).state).to.equal('paused');
      const infer = () => t.call('POST', '/api/v1/llms/paused/infer', { body: ask });
      await until(
        async () => (await infer()).status,
        (status) => status === 503,
        20_000,
      );
      expect((await t.llm('paused')).status).to.equal('active');
      await mcplocal(home, 'resume');
      await until(
        async () => (await infer()).status,
        (status) => status === 200,
        20_000,
      );
      await worker.kill('SIGTERM');
    });

    it('drains: what runs is finished, then the worker leaves with 0', async () => {
      const { home, ...worker } = await t.startWorker([{ name: 'drained', backend: t.backend }]);
      t.backend.once(chats(['a', 'b'], { paced: true }));
      const answer = t.call('POST', '/api/v1/llms/drained/infer', { body: { ...ask, stream: true } });
      await t.backend.next('request');
      const drain = mcplocal(home, 'drain');
      await until(
        async () => (await statusOf(home)).state,
        (state) => state === 'draining',
        20_000,
      );
      t.backend.release(Infinity);
      expect(await (await answer).text()).to.include('[DONE]');
      expect(await drain).to.deep.include({ code: 0, err: '' });
      expect(await worker.exited).to.equal(0);
      expect((await t.llm('drained')).status).to.equal('inactive');
    });

    it('ends it at once with a second signal', async () => {
      const worker = await t.startWorker([{ name: 'second', backend: t.backend }]);
      t.backend.once(hangs());
      const call = t.call('POST', '/api/v1/llms/second/infer', { body: ask });
      await t.backend.next('request');
      worker.child.kill('SIGTERM');
      await worker.event('service.stopping');
      expect(await worker.kill('SIGTERM')).to.equal(1);
      t.backend.release(Infinity);
      await (await call).body?.cancel();
    });

    it('lets go of what it runs where a copy has taken its session, and takes nothing until that has gone', async () => {
      const worker = await t.startWorker([{ name: 'copied', backend: t.backend }]);
      const session = (await t.registry.llms.byName('copied'))?.providerSessionId ?? expect.fail();
      const backends = t.backend.requests.length;
      t.backend.once(hangs());
      const made = await t.call('POST', '/api/v1/tasks', { body: { llm: 'copied', request: ask } });
      const { id: taskId } = (await made.json()) as { id: string };
      const request = await t.backend.next('request');
      const redis = new Redis(t.sandbox.redisUrl);
      const copy = new Redis(t.sandbox.redisUrl);
      try {
        const keys = createKeys(t.sandbox.namespace);
        await copy.ssubscribe(keys.control(session, 'copy'));
        const holds = setInterval(() => void redis.set(keys.lease(session), 'copy', 'PX', 90_000), 100);
        const handedBack = await until(
          () => t.task(taskId),
          ({ attemptLog = [] }) => attemptLog.length > 0,
          20_000,
        );
        expect(handedBack).to.include({ crashes: 0 });
        expect(request.closedAt ?? (await t.backend.next('closed')).closedAt).to.be.a('number');
        t.backend.reply(chats(['fine']));
        expect(t.backend.requests.length).to.equal(backends + 1);
        clearInterval(holds);
        copy.disconnect();
        await until(
          () => t.task(taskId),
          ({ status }) => status === 'completed',
          30_000,
        );
      } finally {
        redis.disconnect();
        copy.disconnect();
      }
      await worker.kill('SIGTERM');
    });

    // The last one: this token is the whole system's.
    it('is told why it serves nothing when the token is revoked, on this machine too', async () => {
      const { home, ...worker } = await t.startWorker([{ name: 'out', backend: t.backend }]);
      const row = await t.registry.llms.byName('out');
      const actor = (await t.registry.tokens.actorOf(t.token)) ?? expect.fail('no token');
      await t.registry.tokens.revoke(actor.tokenId);
      const status = await until(
        () => statusOf(home),
        ({ refused }) => refused !== undefined,
        20_000,
      );
      expect(status).to.include({
        state: 'idle',
        transport: null,
        connected: false,
        session: row?.providerSessionId,
      });
      expect((await mcplocal(home, 'status')).out).to.match(/Refused: +HTTP 401: .*mcpctl login/);
      // Its worker may be refused before its row is written.
      await until(
        () => t.registry.llms.byName('out'),
        (now) => now?.inactiveReason === 'denied',
      );
      await worker.kill('SIGTERM');
    });
  });
}

describe('mcplocal without a worker', function () {
  this.timeout(120_000);
  let t: System;
  before(async () => {
    t = await startSystem({}, { transport: 'sse' });
  });
  after(() => t.close());

  it('says that none runs, a killed one’s socket and lock are in nobody’s way, and nobody serves beside one', async () => {
    const first = await t.startWorker([{ name: 'killed', backend: t.backend }]);
    await first.kill('SIGKILL');
    const { code, err } = await mcplocal(first.home, 'status');
    expect(code).to.equal(1);
    expect(err).to.match(/No worker runs with this home .*mcplocal run/);
    const second = await t.startWorker([{ name: 'killed', backend: t.backend }], { home: first.home });
    expect((await statusOf(first.home)).pid).to.equal(second.child.pid);
    const beside = await mcplocal(first.home, 'run');
    expect(beside.code).to.equal(1);
    expect(beside.err).to.equal(
      `mcplocal: A worker runs with this home already (process ${String(second.child.pid)}, home ${first.home}), perhaps that of "npm start": it serves what is published here. Stop that one first, or set MCPCTL_HOME to a home of its own.\n`,
    );
    expect((await statusOf(first.home)).state).to.equal('serving');
    await second.kill('SIGTERM');
    expect((await mcplocal(first.home, 'status')).err).to.include('No worker runs');
  });

  it('joins with a code, tries itself, pauses for a while, and is out as its credential is revoked', async () => {
    const home = await mkdtemp(join(tmpdir(), 'joins-'));
    try {
      await writeFile(join(home, 'credentials'), JSON.stringify({ mcpdUrl: t.url, token: t.token }), {
        mode: 0o600,
      });
      const made = await t.call('POST', '/api/v1/join-codes', {
        body: { pools: ['desk'], name: 'ada-desk' },
      });
      const { code } = (await made.json()) as { code: string };
      const joined = await mcplocal(home, 'join', t.url, '--code', code, '--no-input');
      expect(joined.code, joined.err).to.equal(0);
      const worker = await t.startWorker([{ name: 'joined', backend: t.backend, poolName: 'desk' }], {
        home,
      });
      const sessions = (await (await t.call('GET', '/api/v1/sessions')).json()) as {
        items: { name: string; token: string; llms: { name: string }[] }[];
      };
      expect(sessions.items.find(({ llms }) => llms[0]?.name === 'joined')).to.include({
        name: 'ada-desk',
        token: 'ada-desk',
      });
      t.backend.models = ['tiny'];
      for (let n = 0; n < 2; n++) t.backend.once(chats(['OK']));
      const tried = await mcplocal(home, 'test');
      expect(tried.code, tried.out).to.equal(0);
      expect(tried.out).to.match(/PASS joined at the backend.*OK\nPASS joined at the server.*OK\n/);
      const used = await until(
        async () =>
          JSON.parse((await mcplocal(home, 'usage', '-o', 'json')).out) as { items: { tasks: number }[] },
        ({ items }) => items.length > 0,
      );
      expect(used.items).to.have.length(1);
      expect(used.items[0]).to.include({ tasks: 1 });
      const looked = JSON.parse((await mcplocal(home, 'doctor', '-o', 'json')).out) as {
        failed: number;
        checks: { name: string; level: string }[];
      };
      expect(looked.checks.filter(({ level }) => level === 'FAIL')).to.deep.equal([]);
      const passed = looked.checks.filter(({ level }) => level === 'PASS').map(({ name }) => name);
      expect(passed).to.include.members(['config', 'server', 'credential', 'version', 'backend', 'worker']);
      expect((await mcplocal(home, 'pause', '1h')).out).to.match(/until \d\d:\d\d, or "mcplocal resume"/);
      const { pausedUntil = '', state } = await statusOf(home);
      expect(state).to.equal('paused');
      expect(Date.parse(pausedUntil) - Date.now()).to.be.within(3_000_000, 3_600_000);
      expect((await mcplocal(home, 'pause')).out).to.include('until "mcplocal resume"');
      await askWorker(join(home, 'worker.sock'), 'pause', 200);
      await until(
        () => askWorker(join(home, 'worker.sock'), 'status'),
        (status) => status.state === 'serving' && status.pausedUntil === undefined,
      );
      const { items } = (await (await t.call('GET', '/api/v1/tokens')).json()) as {
        items: { id: string; name: string }[];
      };
      const own = items.find(({ name }) => name === 'ada-desk') ?? expect.fail('no credential');
      await t.call('DELETE', `/api/v1/tokens/${own.id}`);
      await until(
        () => askWorker(join(home, 'worker.sock'), 'status'),
        ({ refused }) => refused !== undefined,
        20_000,
      );
      await until(
        () => t.registry.llms.byName('joined'),
        (row) => row?.inactiveReason === 'denied',
      );
      const left = await mcplocal(home, 'leave');
      expect(left.out).to.include('knew this machine no more').and.include('The worker that runs here ends');
      expect(await worker.exited).to.equal(0);
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  });

  it('hears nothing but its four words', async () => {
    const { home, ...worker } = await t.startWorker([{ name: 'heard', backend: t.backend }]);
    const status = await new Promise<number | undefined>((resolve) => {
      const req = request({ socketPath: join(home, 'worker.sock'), path: '/drain', method: 'GET' }, (res) => {
        res.resume();
        resolve(res.statusCode);
      });
      req.end();
    });
    expect(status).to.equal(404);
    expect((await statusOf(home)).state).to.equal('serving');
    await worker.kill('SIGTERM');
  });
});
