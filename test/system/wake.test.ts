import { execFileSync } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { TaskView } from '../../core/task/task.ts';
import { pause } from '../../core/runtime/clock.ts';
import { freePort } from '../../start/port.ts';
import { askWorker } from '../../worker/local/client.ts';
import { startBackend, type Backend } from '../support/backend.ts';
import { onceIn } from '../support/each-transport.ts';
import { startSleepy, type Sleepy } from '../support/sleepy.ts';
import { isAlive } from '../support/supervised.ts';
import { sseData } from '../support/sse.ts';
import { startSystem, transports, until, type EdgeProcess, type System } from '../support/system.ts';

const body = { messages: [{ role: 'user', content: 'hi' }] };
const standIn = fileURLToPath(new URL('../managed/stand-in.mjs', import.meta.url));

/** Who is of that process group. */
const processesOf = (group: number): number[] =>
  execFileSync('ps', ['-eo', 'pgid=,pid='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([leader, pid]) => (leader === group ? (pid ?? []) : []));

/** The bounds of the product are seconds; a busy machine is slow. */
const LONG_MS = 60_000;

interface Chunk {
  choices?: { delta: { content?: string | null } }[];
  mcpctl?: { state: string; seconds?: number };
}

for (const transport of transports) {
  describe(`a sleeping backend, over ${transport}`, function () {
    this.timeout(180_000);
    const once = onceIn(transport);
    let t: System;
    let edges: EdgeProcess[];
    let sleepy: Sleepy;
    let n = 0;
    /** Of this test: rows of earlier ones are not in the way. */
    let name: string;
    const others: { close(): Promise<void> }[] = [];
    before(async () => {
      // With 500 answers at once on a busy machine Postgres may take its time.
      t = await startSystem({ MCPCTL_SETTLE_WAIT_MS: '60000' }, { transport });
      edges = [t.edge, await t.startEdge(), await t.startEdge()];
    });
    after(() => t.close());
    beforeEach(async () => {
      n += 1;
      name = `sleepy-${n}`;
      sleepy = await startSleepy();
    });
    afterEach(async () => {
      await t.killWorkers();
      await sleepy.close();
      for (const other of others.splice(0)) await other.close();
    });

    const infer = (more: object = {}, at = edges[0], headers: Record<string, string> = {}) =>
      t.call('POST', `/api/v1/llms/${name}/infer`, {
        body: { ...body, ...more },
        headers,
        ...(at && { at }),
      });
    const publish = (wake: object | undefined, more: object = {}) =>
      t.startWorker([{ name, backend: sleepy.backend, ...(wake && { wake }), ...more }]);
    const content = async (answer: Response): Promise<unknown> => {
      const json = (await answer.json()) as { choices?: { message: { content: string } }[]; error?: unknown };
      return json.choices?.[0]?.message.content ?? json.error;
    };
    const status = async (of = name): Promise<unknown> => (await t.llm(of)).status;
    const untilStatus = (fits: string, of = name): Promise<unknown> =>
      until(
        () => status(of),
        (now) => now === fits,
        LONG_MS,
      );
    const other = async (text?: string): Promise<Sleepy> => {
      const made = await startSleepy(text);
      others.push(made);
      return made;
    };
    const awake = async (): Promise<Backend> => {
      const made = await startBackend();
      others.push(made);
      return made;
    };

    // Edges agree on who wakes it in the same way, however its worker hears of that.
    const herd = transport === 'redis' ? 500 : 100;
    it(`is woken once for ${String(herd)} requests at three edges, which all are answered then`, async () => {
      sleepy.takesMs = Infinity;
      await publish(sleepy.http({ maxWaitSeconds: 120 }), { maxConcurrency: 16 });
      expect(await status()).to.equal('hibernating');
      const answers: Promise<Response>[] = [];
      for (let i = 0; i < herd; i++) {
        answers.push(infer({}, edges[i % edges.length]));
        if (i % 20 === 19) await pause(100); // a storm of connections is another test's
      }
      await until(
        () => t.openTasks(),
        (open) => open === herd,
        LONG_MS,
      );
      sleepy.backend.down = false;
      const contents = await Promise.all(answers.map(async (answer) => content(await answer)));
      expect([...new Set(contents)]).to.deep.equal(['awake']);
      expect(sleepy.calls).to.have.length(1);
      await untilStatus('active');
      expect(sleepy.calls).to.have.length(1);
    });

    once('is woken once for ten turns of an agent, each in a thread of its own', async () => {
      sleepy.takesMs = 2_000;
      await publish(sleepy.http());
      await t.call('POST', '/api/v1/agents', { body: { name: `of-${name}`, llm: name } });
      const turns = Array.from({ length: 10 }, (_, at) =>
        t.call('POST', `/api/v1/agents/of-${name}/chat`, {
          body: { message: 'hi' },
          at: edges[at % 3] ?? t.edge,
        }),
      );
      for (const answer of await Promise.all(turns))
        expect(await answer.json()).to.include({ assistant: 'awake' });
      expect(sleepy.calls).to.have.length(1);
    });

    once('is woken by a command too, and who streams is told for how long', async () => {
      sleepy.takesMs = 7_000;
      await publish(sleepy.command());
      const events: string[] = [];
      for await (const data of sseData(await infer({ stream: true }))) {
        if (data === '[DONE]') continue;
        const { mcpctl, choices } = JSON.parse(data) as Chunk;
        if (mcpctl?.state === 'waking') events.push(`waking ${mcpctl.seconds ?? '?'} s`);
        const text = choices?.[0]?.delta.content;
        if (text) events.push(text);
      }
      expect(events[0]).to.match(/^waking [1-9]\d* s$/);
      expect(events.length).to.be.greaterThan(2);
      expect(events.at(-1)).to.equal('awake');
      expect(sleepy.calls).to.have.length(1);
      await untilStatus('active');
    });

    it('tells every waiting caller why it failed, keeps what nobody waits for, and tries again for the next', async () => {
      sleepy.status = 503;
      const worker = await publish(sleepy.command());
      const made = await t.call('POST', '/api/v1/tasks', { body: { llm: name, request: body } });
      const { id } = (await made.json()) as TaskView;
      const answers = await Promise.all(
        [0, 1, 2].flatMap((at) => [infer({}, edges[at]), infer({ stream: true }, edges[at])]),
      );
      for (const answer of answers) {
        expect(answer.status).to.equal(503);
        const { code, error } = (await answer.json()) as { code: string; error: string };
        expect(code).to.equal('wake_failed');
        expect(error).to.contain(name).and.contain('ended with code 3: the switch said 503');
        expect(error).not.to.contain('secret');
      }
      expect((await t.task(id)).status).to.equal('pending');
      expect(await status()).to.equal('hibernating');
      sleepy.status = 200;
      const next = await infer();
      expect([next.status, await content(next)]).to.deep.equal([200, 'awake']);
      await until(
        () => t.task(id),
        (task) => task.status === 'completed',
        LONG_MS,
      );
      expect(JSON.stringify(worker.lines)).not.to.contain('sk-secret');
    });

    once('is woken by the leader for a task that nobody waits for', async () => {
      await publish(sleepy.http());
      const made = await t.call('POST', '/api/v1/tasks', { body: { llm: name, request: body } });
      const { id } = (await made.json()) as TaskView;
      await until(
        () => t.task(id),
        (task) => task.status === 'completed',
        LONG_MS,
      );
      expect(sleepy.calls).to.have.length(1);
    });

    it('can be tried again when its worker was killed in the middle of it', async () => {
      sleepy.takesMs = Infinity;
      const worker = await publish(sleepy.http({ maxWaitSeconds: 120 }));
      const answer = infer();
      await until(
        async () => sleepy.calls.length,
        (calls) => calls === 1,
      );
      await worker.kill('SIGKILL');
      sleepy.takesMs = 0;
      await t.startWorker([{ name, backend: sleepy.backend, wake: sleepy.http() }], { home: worker.home });
      // The edge waits seconds for a worker that was killed; on a busy machine one may need longer, and the caller asks again then.
      const first = await answer;
      const next = first.headers.get('retry-after') === null ? first : await infer();
      expect(await content(next)).to.equal('awake');
      expect(sleepy.calls).to.have.length(2);
    });

    once('sleeps on while an active sibling serves, unless a pin asks for it', async () => {
      const sibling = await awake();
      const pool = { poolName: name };
      await t.startWorker([{ name: `${name}-up`, backend: sibling, ...pool }]);
      await t.startWorker([{ name: `${name}-zz`, backend: sleepy.backend, wake: sleepy.http(), ...pool }]);
      const many = await Promise.all(Array.from({ length: 20 }, (_, i) => infer({}, edges[i % 3])));
      expect(new Set(many.map((a) => a.status))).to.deep.equal(new Set([200]));
      expect(sleepy.calls).to.have.length(0);
      expect(await status(`${name}-zz`)).to.equal('hibernating');
      const pinned = await infer({}, edges[1], { 'x-mcpctl-pin': `${name}-zz` });
      expect(await content(pinned)).to.equal('awake');
      expect(sleepy.calls).to.have.length(1);
    });

    once('has the next sleeper woken when the first could not be', async () => {
      const second = await other('the second');
      sleepy.status = 500;
      const pool = { poolName: name };
      await t.startWorker([
        { name: `${name}-a`, backend: sleepy.backend, wake: sleepy.http(), ...pool },
        { name: `${name}-b`, backend: second.backend, wake: second.http(), ...pool },
      ]);
      expect(await content(await infer())).to.equal('the second');
      expect([sleepy.calls.length, second.calls.length]).to.deep.equal([1, 1]);
    });

    it('was there and went: hibernating with a recipe, backend_down without, until it answers', async () => {
      const plain = await other();
      sleepy.backend.down = false;
      plain.backend.down = false;
      await t.startWorker([
        { name, backend: sleepy.backend, wake: sleepy.http() },
        { name: `${name}-plain`, backend: plain.backend },
      ]);
      expect(await status()).to.equal('active');
      sleepy.sleep();
      plain.sleep();
      await untilStatus('hibernating');
      await untilStatus('inactive', `${name}-plain`);
      expect((await t.llm(`${name}-plain`)).inactiveReason).to.equal('backend_down');
      const refused = await t.call('POST', `/api/v1/llms/${name}-plain/infer`, { body });
      expect(refused.status).to.equal(503);
      plain.backend.down = false;
      sleepy.backend.down = false;
      await untilStatus('active');
      await untilStatus('active', `${name}-plain`);
      expect(sleepy.calls).to.have.length(0);
    });

    /** A backend that its worker starts itself, as test/managed/stand-in.mjs fails. */
    const managed = async (how: readonly string[] = [], more: object = {}) => {
      const port = String(await freePort());
      const entry = { command: process.execPath, args: [standIn, port, ...how], ...more };
      return { type: 'llamacpp', backend: { url: `http://127.0.0.1:${port}` }, managed: entry };
    };
    const inferAt = (of: string): Promise<Response> => t.call('POST', `/api/v1/llms/${of}/infer`, { body });

    it('that its worker starts itself sleeps until it is ready; who calls waits for that, and for its restart', async () => {
      const broken = `${name}-broken`;
      const once = join(await mkdtemp(join(tmpdir(), 'mcpctl-managed-')), 'once');
      const worker = await t.startWorker([
        { name, ...(await managed(['slow=1500', 'child', `crash-once=${once}`])) },
        { name: broken, ...(await managed(['crash'])) },
      ]);
      expect(await status()).to.equal('hibernating');
      // Its first process ends in the middle of that answer.
      const answer = await infer();
      expect([answer.status, await content(answer)]).to.deep.equal([200, await content(await infer())]);
      await untilStatus('active');
      expect(await t.llm(name)).to.include({ statusReason: null });
      const refused = await inferAt(broken);
      const { code, error } = (await refused.json()) as { code: string; error: string };
      expect([refused.status, code]).to.deep.equal([503, 'wake_failed']);
      expect(error).to.contain("ended with code 3: error: couldn't bind to [address]");
      await until(
        async () => (await t.llm(broken)).statusReason ?? '',
        (reason) => reason.startsWith('It ended with code 3'),
        LONG_MS,
      );
      await until(
        async () => (await t.call('GET', `/api/v1/llms/${broken}/explain`)).text(),
        (text) => text.includes('It ended with code 3'), // as often as it is not just being tried again
        LONG_MS,
      );
      const { llms } = await askWorker(join(worker.home, 'worker.sock'), 'status');
      expect(llms[0]?.managed).to.include({
        state: 'ready',
        starts: 2,
        lastExit: 'ended with code 134: GGML_ASSERT failed',
      });
      expect(llms[1]?.managed?.lastExit).to.match(/^ended with code 3/);
      const group = processesOf(llms[0]?.managed?.pid ?? 0);
      expect(group).to.have.length(2);
      await worker.kill('SIGKILL');
      await until(
        async () => group.filter(isAlive),
        (alive) => alive.length === 0,
        LONG_MS,
      );
    });

    once('of one group with another is swapped for it, and nobody who calls either is refused', async () => {
      const group = { group: 'gpu' };
      const other = `${name}-b`;
      await t.startWorker([
        { name, ...(await managed([], group)) },
        { name: other, ...(await managed([], group)) },
      ]);
      const made = await t.call('POST', '/api/v1/tasks', { body: { llm: other, request: body } });
      const answers = await Promise.all([name, other, name, other].map((of) => inferAt(of)));
      expect(answers.map((answer) => answer.status)).to.deep.equal([200, 200, 200, 200]);
      const { id } = (await made.json()) as TaskView;
      await until(
        () => t.task(id),
        (task) => task.status === 'completed' && task.attempts === 0,
        LONG_MS,
      );
    });

    once(
      'is kept by its owner in their hours: nobody wakes it or is given it, and all are told until when',
      async () => {
        sleepy.backend.down = false;
        await t.startWorker([{ name, backend: sleepy.backend }], { more: { quiet: ['0-24'] } });
        const refused = await infer();
        expect(refused.status).to.equal(503);
        expect(await t.llm(name)).to.include({
          status: 'active',
          statusReason: 'Its owner keeps it quiet until further notice.',
        });
        const texts = await Promise.all(
          [`/api/v1/llms/${name}/explain`, `/api/v1/llms/${name}/members`].map(async (path) =>
            (await t.call('GET', path)).text(),
          ),
        );
        for (const text of texts) expect(text).to.contain('quiet until further notice');
        expect(texts[0]).to.contain('away');
        const made = await t.call('POST', '/api/v1/tasks', { body: { llm: name, request: body } });
        expect(made.status).to.equal(202);
      },
    );

    it('is put to sleep by its recipe when nobody has called it for a while, although it answers still', async () => {
      sleepy.backend.down = false;
      const nap = await other();
      await publish(sleepy.http(), { sleep: nap.http(), idleStopSeconds: 1 });
      await untilStatus('hibernating');
      expect([nap.calls.length, sleepy.calls.length]).to.deep.equal([1, 0]);
      expect((await t.llm(name)).statusReason).to.match(/put it to sleep as nobody called it/);
      expect(await content(await infer())).to.equal('awake');
      expect(sleepy.calls).to.have.length(1);
      await until(
        async () => nap.calls.length,
        (calls) => calls === 2,
        LONG_MS,
      );
    });

    once('is active at first where there is no recipe, whether it answers or not', async () => {
      await publish(undefined);
      expect(await status()).to.equal('active');
    });
  });
}
