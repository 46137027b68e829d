import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { answers, chats, startBackend, type Backend, type Script } from '../support/backend.ts';
import { createPublic, everythingStored, startHosted } from '../support/hosted.ts';
import type { TestProcess } from '../support/process.ts';
import { startSystem, until, type System } from '../support/system.ts';
import { killWithServers } from './killed-servers.ts';
import { wireToUrl } from '../support/wire.ts';

const ask = { messages: [{ role: 'user', content: 'hi' }] };
/** The promise is five seconds; a busy machine is given more, and what it took is looked at. */
const WITHIN_MS = 20_000;
const posts = (backend: Backend) => backend.requests.filter(({ method }) => method === 'POST');

describe('a hosted worker', function () {
  this.timeout(120_000);
  let t: System;
  let hosted: TestProcess;
  let folder: string;
  const others: TestProcess[] = [];
  const backends: Backend[] = [];
  const canaries = { CANARY_ONE: 'sk-canary-one-4f1c', CANARY_TWO: 'sk-canary-two-9b7e' };
  const newBackend = async (): Promise<Backend> => {
    const backend = await startBackend();
    backends.push(backend);
    return backend;
  };
  const infer = (llm: string, headers: Record<string, string> = {}): Promise<Response> =>
    t.call('POST', `/api/v1/llms/${llm}/infer`, { body: ask, headers });
  const codeOf = async (answer: Promise<Response>): Promise<[number, unknown]> => {
    const { status, ...rest } = await answer.then(async (a) => ({
      status: a.status,
      json: (await a.json()) as { code?: string },
    }));
    return [status, rest.json.code];
  };
  const servedBy = (name: string, count: number, withinMs = WITHIN_MS) =>
    until(
      () => t.llm(name),
      (llm) => llm.servedBy === count,
      withinMs,
    );
  const change = async (name: string, patch: object): Promise<void> => {
    expect((await t.call('PATCH', `/api/v1/llms/${name}`, { body: patch })).status).to.equal(200);
  };

  before(async () => {
    t = await startSystem();
    folder = await mkdtemp(join(tmpdir(), 'mcpctl-hosted-'));
    hosted = startHosted(t, canaries);
    await hosted.event('service.ready');
  });
  after(async () => {
    for (const worker of [hosted, ...others]) await worker.kill('SIGKILL');
    await t.close();
    for (const backend of backends) await backend.close();
    await rm(folder, { recursive: true });
  });

  it('serves a row within five seconds of its making, follows its changes, and lets go of it', async () => {
    const [first, second] = [await newBackend(), await newBackend()];
    const made = performance.now();
    await createPublic(t, { name: 'cloud', url: first.url, maxConcurrency: 2 });
    const row = await servedBy('cloud', 1);
    expect(row).to.include({ status: 'active', kind: 'public' });
    expect(performance.now() - made).to.be.lessThan(5_000);
    expect((await t.llm('cloud')).pool).to.deep.equal({ key: 'cloud', size: 1, activeCount: 1 });
    expect((await infer('cloud')).status).to.equal(200);
    expect(posts(first)[0]?.json).to.include({ model: 'tiny' });
    expect(posts(first)[0]?.headers).not.to.have.property('authorization');

    await change('cloud', { url: second.url, model: 'tinier', apiKeyRef: { env: 'CANARY_ONE' } });
    await until(
      () => infer('cloud').then(() => posts(second)[0]),
      (request) => request !== undefined,
    );
    expect(posts(second)[0]?.json).to.include({ model: 'tinier' });
    expect(posts(second)[0]?.headers['authorization']).to.equal(`Bearer ${canaries.CANARY_ONE}`);
    const asked = posts(first).length;

    await change('cloud', { maxConcurrency: 5 });
    await until(
      async () =>
        (await (await t.call('GET', '/api/v1/llms/cloud/members')).json()) as {
          members: { slots: number }[];
        },
      ({ members }) => members[0]?.slots === 5,
      WITHIN_MS,
    );
    await change('cloud', { poolName: 'sky' });
    await until(
      () => infer('sky'),
      ({ status }) => status === 200,
      WITHIN_MS,
    );
    expect((await t.llm('cloud')).pool).to.deep.equal({ key: 'sky', size: 1, activeCount: 1 });
    expect((await t.call('DELETE', '/api/v1/llms/cloud')).status).to.equal(204);
    await hosted.next((line) => line.msg === 'the hosted worker serves' && line['count'] === 0);
    expect((await infer('sky')).status).to.equal(404);
    expect(posts(first).length).to.equal(asked);
  });

  it('lets what runs go on to its end when the row is changed or deleted under it', async () => {
    const backend = await newBackend();
    backend.reply(chats(['one', 'two'], { paced: true }));
    await createPublic(t, { name: 'busy', url: backend.url });
    await servedBy('busy', 1);
    const running = infer('busy');
    await backend.next('request');
    await change('busy', { model: 'other' });
    await hosted.next((line) => line.msg === 'the hosted worker serves');
    backend.release(Infinity);
    expect((await running).status).to.equal(200);
    expect(posts(backend)).to.have.length(1);
    await t.call('DELETE', '/api/v1/llms/busy');
  });

  it('takes what waits in a pool that a row was moved out of', async () => {
    const backend = await newBackend();
    backend.reply(chats(['x'], { paced: true }));
    await createPublic(t, { name: 'rover', url: backend.url, maxConcurrency: 1 });
    await servedBy('rover', 1);
    const callers = [infer('rover')];
    await backend.next('request');
    callers.push(infer('rover'));
    await until(
      () => t.openTasks('rover'),
      (open) => open === 2,
    );
    await change('rover', { poolName: 'roved' });
    await hosted.next((line) => line.msg === 'the hosted worker serves');
    backend.release();
    await backend.next('request');
    backend.release();
    for (const caller of callers) expect((await caller).status).to.equal(200);
    await t.call('DELETE', '/api/v1/llms/rover');
  });

  it('shares a pool with a virtual member: slots, pins and failover', async () => {
    const [cloud, desk] = [await newBackend(), await newBackend()];
    for (const [backend, name] of [
      [cloud, 'cloud'],
      [desk, 'desk'],
    ] as const)
      backend.reply(chats([name], { intervalMs: 50 }));
    await createPublic(t, { name: 'mixed-cloud', poolName: 'mixed', url: cloud.url, maxConcurrency: 1 });
    await t.startWorker([{ name: 'mixed-desk', poolName: 'mixed', backend: desk, maxConcurrency: 1 }]);
    await servedBy('mixed-cloud', 1);
    expect((await t.llm('mixed-cloud')).pool).to.deep.equal({ key: 'mixed', size: 2, activeCount: 2 });
    const all = await Promise.all(Array.from({ length: 8 }, () => infer('mixed')));
    expect(all.map(({ status }) => status)).to.deep.equal(Array(8).fill(200));
    expect(posts(cloud).length).to.be.above(0);
    expect(posts(desk).length).to.be.above(0);
    const before = posts(desk).length;
    for (let n = 0; n < 4; n++) await infer('mixed', { 'x-mcpctl-pin': 'mixed-cloud' });
    expect(posts(desk).length).to.equal(before);
    cloud.reply(answers(500, { error: 'broken' }));
    const failed = posts(cloud).length;
    const over = await Promise.all(Array.from({ length: 4 }, () => infer('mixed')));
    expect(over.map(({ status }) => status)).to.deep.equal(Array(4).fill(200));
    expect(posts(cloud).length).to.be.above(failed);
  });

  it('refuses an address inside, also one that a name leads to; a pool tries its other member', async () => {
    const inside = await newBackend();
    const strict = startHosted(t, { MCPCTL_HOSTED_ALLOW: '127.0.0.2/32' });
    others.push(strict);
    await strict.event('service.ready');
    await hosted.kill('SIGTERM');
    const { port } = new URL(inside.url);
    for (const [name, host] of [
      ['number', '127.0.0.1'],
      ['name', 'localhost'],
    ] as const) {
      await createPublic(t, { name: `by-${name}`, url: `http://${host}:${port}` });
      await servedBy(`by-${name}`, 1);
      const answer = await infer(`by-${name}`);
      const refusal = (await answer.json()) as { code: string; error: string };
      expect([answer.status, refusal.code]).to.deep.equal([502, 'address_refused']);
      expect(refusal.error).not.to.match(/127\.|localhost/);
      await servedBy(`by-${name}`, 0);
      await t.call('DELETE', `/api/v1/llms/by-${name}`);
    }
    const open = await newBackend();
    await createPublic(t, { name: 'refused', poolName: 'half', url: inside.url, maxConcurrency: 1 });
    await t.startWorker([{ name: 'desk', poolName: 'half', backend: open }]);
    await servedBy('refused', 1);
    for (let n = 0; n < 6; n++) expect((await infer('half')).status).to.equal(200);
    expect(inside.connections()).to.equal(0);
    await strict.kill('SIGTERM');
    hosted = startHosted(t, canaries);
    await hosted.event('service.ready');
  });

  it('follows no redirect, and sends the key nowhere else', async () => {
    const [redirects, elsewhere] = [await newBackend(), await newBackend()];
    redirects.reply(answers(307, '', { location: `${elsewhere.url}/v1/chat/completions` }));
    await createPublic(t, { name: 'moved', url: redirects.url, apiKeyRef: { env: 'CANARY_ONE' } });
    await servedBy('moved', 1);
    expect(await codeOf(infer('moved'))).to.deep.equal([502, 'backend_misconfigured']);
    expect(posts(redirects)[0]?.headers['authorization']).to.equal(`Bearer ${canaries.CANARY_ONE}`);
    expect(elsewhere.connections()).to.equal(0);
    const move = await t.call('PATCH', '/api/v1/llms/moved', { body: { url: elsewhere.url } });
    expect(move.status).to.equal(400);
    await t.call('DELETE', '/api/v1/llms/moved');
  });

  it('speaks the protocol of the row’s type, with that protocol’s way to say a key', async () => {
    const backend = await newBackend();
    const message = {
      ...{ id: 'msg_1', type: 'message', role: 'assistant', model: 'claude', stop_reason: 'end_turn' },
      content: [{ type: 'text', text: 'Bonjour' }],
      usage: { input_tokens: 3, output_tokens: 2 },
    };
    backend.reply(answers(200, message));
    const row = { name: 'claude', type: 'anthropic', url: backend.url, apiKeyRef: { env: 'CANARY_ONE' } };
    await createPublic(t, row);
    await servedBy('claude', 1);
    const answer = (await (await infer('claude')).json()) as { choices: { message: { content: string } }[] };
    expect(answer.choices[0]?.message.content).to.equal('Bonjour');
    const [request] = posts(backend);
    expect(request?.path).to.equal('/v1/messages');
    expect(request?.headers).to.include({ 'x-api-key': canaries.CANARY_ONE });
    backend.once(answers(401, { error: { message: `Bad key ${canaries.CANARY_ONE}` } }));
    expect((await infer('claude')).status).to.equal(502);
    const { misconfigured } = await until(
      () => t.llm('claude'),
      (llm) => llm.misconfigured !== null,
    );
    expect(misconfigured).to.equal(
      'The backend refused the key that its worker has; its owner must mend it.',
    );
    await t.call('DELETE', '/api/v1/llms/claude');
    await createPublic(t, { ...row, name: 'odd', type: 'telepathy' });
    const logged = await hosted.next((line) => line['llm'] === 'odd');
    expect(logged['why']).to.include('telepathy').and.include('anthropic');
    expect((await infer('odd')).status).to.equal(503);
    await t.call('DELETE', '/api/v1/llms/odd');
  });

  it('reads a key anew when its file changes, and serves nothing whose key it cannot read', async () => {
    const backend = await newBackend();
    const file = join(folder, 'key');
    await createPublic(t, { name: 'rotates', url: backend.url, apiKeyRef: { file } });
    const logged = await hosted.next((line) => line['llm'] === 'rotates');
    expect(logged['why']).to.match(/cannot read the file/);
    expect(JSON.stringify(logged)).not.to.include(folder);
    expect((await t.llm('rotates')).servedBy).to.equal(0);
    await writeFile(file, 'sk-first\n');
    await servedBy('rotates', 1);
    await infer('rotates');
    await writeFile(file, 'sk-second\n');
    await infer('rotates');
    expect(posts(backend).map(({ headers }) => headers['authorization'])).to.deep.equal([
      'Bearer sk-first',
      'Bearer sk-second',
    ]);
    await t.call('DELETE', '/api/v1/llms/rotates');
  });

  it('lets a key be seen nowhere but at its backend', async () => {
    const backend = await newBackend();
    const file = join(folder, 'canary');
    await writeFile(file, canaries.CANARY_TWO);
    await createPublic(t, { name: 'canary-env', url: backend.url, apiKeyRef: { env: 'CANARY_ONE' } });
    await createPublic(t, { name: 'canary-file', url: backend.url, apiKeyRef: { file } });
    const quotes =
      (status: number): Script =>
      (exchange) =>
        answers(status, { error: { message: exchange.request.headers['authorization'] } })(exchange);
    const texts: string[] = [];
    for (const name of ['canary-env', 'canary-file']) {
      await servedBy(name, 1);
      for (const script of [chats(['x']), quotes(400), quotes(401)]) {
        backend.once(script);
        texts.push(await (await infer(name)).text());
        await servedBy(name, 1);
      }
    }
    const keys = posts(backend).map(({ headers }) => headers['authorization']);
    expect([...new Set(keys)]).to.have.members(Object.values(canaries).map((key) => `Bearer ${key}`));
    const secret = /sk-canary-(one|two)-/;
    expect(texts.join('\n')).to.include('Bearer [key]').and.not.match(secret);
    const metrics = await (await t.call('GET', '/metrics')).text();
    expect(metrics).to.include('mcpctl_').and.not.match(secret);
    for (const { lines } of [t.edge, t.scheduler, hosted, ...others])
      expect(lines.map((line) => JSON.stringify(line)).filter((line) => secret.test(line))).to.deep.equal([]);
    for (const { child } of [t.edge, hosted])
      expect(readFileSync(`/proc/${String(child.pid)}/cmdline`, 'utf8')).not.to.match(secret);
    const stored = await everythingStored(t.sandbox);
    expect(stored).to.include('canary-file').and.include('Bearer [key]').and.not.match(secret);
  });

  it('runs an MCP server that no other does, and leaves it to the other when it is killed, but for what it ran', async () => {
    const second = startHosted(t);
    others.push(second);
    await second.event('service.ready');
    const killed = await killWithServers(t, { workers: [hosted, second], folder });
    await second.kill('SIGTERM');
    if (killed === hosted) {
      hosted = startHosted(t, canaries);
      await hosted.event('service.ready');
    }
  });

  it('works beside another one, and one that is killed leaves its tasks to the other', async () => {
    const backend = await newBackend();
    backend.reply(chats(['x'], { paced: true }));
    const second = startHosted(t);
    others.push(second);
    await second.event('service.ready');
    await createPublic(t, { name: 'twice', url: backend.url, maxConcurrency: 1 });
    await servedBy('twice', 2);
    const members = (await (await t.call('GET', '/api/v1/llms/twice/members')).json()) as {
      activeCount: number;
      members: { slots: number }[];
    };
    expect([members.activeCount, members.members[0]?.slots]).to.deep.equal([1, 2]);
    const calls = [infer('twice'), infer('twice')];
    for (let n = 0; n < 2; n++) await backend.next('request', WITHIN_MS);
    await second.kill('SIGKILL');
    backend.release(Infinity);
    for (const call of calls) expect((await call).status).to.equal(200);
    expect(posts(backend)).to.have.length(3);
    await servedBy('twice', 1, 60_000);
    const third = startHosted(t);
    others.push(third);
    await servedBy('twice', 2);
    const left = performance.now();
    await third.kill('SIGTERM');
    await servedBy('twice', 1, 5_000);
    expect(performance.now() - left).to.be.lessThan(5_000);
    expect((await infer('twice')).status).to.equal(200);
  });

  it('goes on serving what it knows while Postgres is away, and says so once', async () => {
    const wire = await wireToUrl(t.sandbox.databaseUrl);
    const cutOff = startHosted(t, { DATABASE_URL: wire.url(t.sandbox.databaseUrl) });
    others.push(cutOff);
    try {
      await cutOff.event('service.ready');
      await hosted.kill('SIGTERM');
      const backend = await newBackend();
      await createPublic(t, { name: 'known', url: backend.url });
      await servedBy('known', 1);
      wire.cut();
      const away = 'the registry cannot be read; what is known goes on being served';
      await cutOff.next((line) => line.msg === away);
      await createPublic(t, { name: 'unknown', url: backend.url });
      for (let n = 0; n < 5; n++) {
        await until(
          () => t.llm('known'),
          (llm) => llm.servedBy === 1,
        );
        expect((await infer('known')).status).to.equal(200);
      }
      expect((await t.llm('unknown')).servedBy).to.equal(0);
      expect(cutOff.lines.filter((line) => line.msg === away)).to.have.length(1);
      wire.mend();
      await servedBy('unknown', 1);
    } finally {
      await cutOff.kill('SIGKILL');
      await wire.close();
    }
  });

  it('says at once what it lacks', async () => {
    const bare = startHosted(t, { DATABASE_URL: '', REDIS_URL: '' });
    others.push(bare);
    expect(await bare.exited).to.equal(1);
    const sentences = bare.lines.map((line) => line.msg).join('\n');
    expect(sentences)
      .to.include('DATABASE_URL')
      .and.include('REDIS_URL')
      .and.include('WORKER_SOURCE=registry');
    const wrong = startHosted(t, { MCPCTL_HOSTED_ALLOW: '10.0.0.0/33' });
    others.push(wrong);
    expect(await wrong.exited).to.equal(1);
    expect(wrong.lines.map((line) => line.msg).join('\n')).to.include('MCPCTL_HOSTED_ALLOW');
  });
});
