import { mkdtemp, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { startDemoEngine, type DemoEngine } from '../support/demo-engine.ts';
import { openNamespace, type Namespace } from '../support/namespace.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { nextText, sseData } from '../support/sse.ts';
import { startSystem, type System } from '../support/system.ts';
import { startTlsFront, type TlsFront } from '../support/tls-front.ts';

const question = { messages: [{ role: 'user', content: 'What is the capital of France?' }], temperature: 0 };
const answer = 'The capital of France is Paris.';
const portOf = (url: string): number => Number(new URL(url).port);

/** Asks the real model, in one piece and token by token. */
async function servesTheRealModel(t: System): Promise<void> {
  const infer = (more: object = {}) =>
    t.call('POST', '/api/v1/llms/tiny/infer', { body: { ...question, ...more } });
  const whole = await infer();
  expect(whole.status).to.equal(200);
  expect(await whole.json()).to.have.nested.property('choices[0].message.content', answer);
  const events = sseData(await infer({ stream: true }));
  const tokens: string[] = [];
  for (let text = await nextText(events); text !== undefined; text = await nextText(events))
    tokens.push(text);
  expect(tokens.join('')).to.equal(answer);
  expect(tokens.length).to.be.above(3);
}

const offer = (engine: DemoEngine) => [{ name: 'tiny', model: 'tiny-chat-demo', backend: engine }];

describe('a worker in a network that lets nothing through but the edge’s port', function () {
  this.timeout(180_000);
  let t: System;
  let network: Namespace;
  let engine: DemoEngine;

  before(async function () {
    const made = await openNamespace();
    if (typeof made === 'string') {
      if (this.test) this.test.title += ` (${made})`;
      return this.skip();
    }
    network = made;
    const started = await startDemoEngine({ network });
    if (!started) return this.skip();
    engine = started;
    t = await startSystem({}, { transport: 'sse' });
    await network.admit(portOf(t.url));
  });
  after(async () => {
    await t?.close();
    await engine?.stop();
    await network?.close();
  });

  it('serves the real model', async () => {
    const worker = await t.startWorker(offer(engine), { through: network.through });
    await servesTheRealModel(t);
    const own = await readlink(`/proc/${String(worker.child.pid)}/ns/net`);
    expect(own).to.not.equal(await readlink('/proc/self/ns/net'));
    expect(await worker.kill('SIGTERM')).to.equal(0);
  });

  it('cannot reach Redis or Postgres from there, which is what the test above rests on', async () => {
    const reach = (url: string): string => `
      import { connect } from 'node:net';
      connect(${String(portOf(url) || 5432)}, '127.0.0.1')
        .on('connect', function () { console.log('open'); this.destroy(); })
        .on('error', (error) => console.log(error.code));`;
    expect(await network.evaluate(reach(t.url))).to.equal('open');
    for (const url of [t.sandbox.redisUrl, t.sandbox.databaseUrl])
      expect(await network.evaluate(reach(url))).to.equal('ECONNREFUSED');
  });
});

describe('a worker behind a corporate proxy', function () {
  this.timeout(180_000);
  let t: System;
  let engine: DemoEngine;
  let front: TlsFront;
  let proxy: Proxy;
  let folder: string;

  before(async function () {
    folder = await mkdtemp(join(tmpdir(), 'mcpctl-proxy-'));
    const started = await startDemoEngine();
    if (!started) return this.skip();
    engine = started;
    t = await startSystem({ MCPCTL_ALLOWED_HOSTS: 'edge.test' }, { transport: 'sse' });
    front = await startTlsFront('edge.test', t);
    proxy = await startProxy({ 'edge.test:443': { host: '127.0.0.1', port: front.port } });
  });
  after(async () => {
    await t?.close();
    await engine?.stop();
    await proxy?.close();
    await front?.close();
    await rm(folder, { recursive: true, force: true });
  });

  // No DNS has that name, and no public authority that certificate: there is no other way.
  const start = async (env: Record<string, string>) =>
    t.startWorker(offer(engine), { url: 'https://edge.test', env });

  it('serves the real model through HTTPS_PROXY, with an authority of the company’s own', async () => {
    const trusted = join(folder, 'company.pem');
    await writeFile(trusted, front.certificate);
    const worker = await start({ HTTPS_PROXY: proxy.url, NODE_EXTRA_CA_CERTS: trusted });
    await servesTheRealModel(t);
    expect(new Set(proxy.passed)).to.deep.equal(new Set(['edge.test:443']));
    expect(proxy.refused, 'its own backend is not asked for through the proxy').to.deep.equal([]);
    expect(proxy.open()).to.be.above(0);
    expect(await worker.kill('SIGTERM')).to.equal(0);
  });
});
