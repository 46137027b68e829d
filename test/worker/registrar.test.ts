import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { VirtualLlmRegistrar, type LlmProvider, type RegistrarOptions } from '../../worker/registrar.ts';
import { edgeFixture, lapse, listensAs, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';

/** A provider that is there, or not. */
const provider = (name: string, available = true): LlmProvider => ({
  name,
  complete: () => Promise.reject(new TypeError('not asked here')),
  listModels: () => Promise.resolve([]),
  isAvailable: () => Promise.resolve(available),
});

describe('the registrar', () => {
  let t: EdgeFixture;
  let home: string;
  const said: string[] = [];
  const log = {
    info: (m: string) => said.push(m),
    warn: (m: string) => said.push(m),
    error: (m: string) => said.push(m),
  };
  const open: VirtualLlmRegistrar[] = [];
  const make = (names: readonly string[], more: Partial<RegistrarOptions> = {}): VirtualLlmRegistrar => {
    const registrar = new VirtualLlmRegistrar({
      mcpdUrl: `${t.url}/`,
      token: t.tokens.ada,
      publishedProviders: names.map((name) => ({ provider: provider(name), type: 'openai', model: 'm' })),
      sessionFilePath: join(home, 'provider-session'),
      log,
      transports: ['redis'],
      ...more,
    });
    open.push(registrar);
    return registrar;
  };

  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());
  beforeEach(async () => {
    said.length = 0;
    home = await mkdtemp(join(tmpdir(), 'mcpctl-registrar-'));
  });
  afterEach(async () => {
    for (const registrar of open.splice(0)) {
      registrar.stop();
      await registrar.left();
    }
    await rm(home, { recursive: true });
  });

  it('does nothing and says so when there is nothing to publish', async () => {
    const registrar = make([]);
    await registrar.start();
    expect(said).to.deep.equal(['nothing to publish']);
    expect(registrar.getSessionId()).to.equal(null);
  });

  it('registers, keeps the session in its file, and finds the same rows again after a restart', async () => {
    const first = make(['sticky']);
    await first.start();
    const id = first.getSessionId();
    expect((await readFile(join(home, 'provider-session'), 'utf8')).trim()).to.equal(id);
    const row = await t.registry.llms.byName('sticky');
    const second = make(['sticky']);
    expect(second.getSessionId()).to.equal(id);
    await second.start();
    expect((await t.registry.llms.byName('sticky'))?.id).to.equal(row?.id);
  });

  it('trims the session file, and passes over one that holds no id', async () => {
    const id = randomUUID();
    await writeFile(join(home, 'provider-session'), `  ${id} \n\n`);
    expect(make(['a']).getSessionId()).to.equal(id);
    await writeFile(join(home, 'provider-session'), 'rubbish');
    expect(make(['a']).getSessionId()).to.equal(null);
  });

  it('rejects with the status and what the edge said', async () => {
    const thrown = await make(['a'], { token: 'wrong' })
      .start()
      .then(
        () => null,
        (e: unknown) => e,
      );
    expect(thrown)
      .to.have.property('message')
      .that.matches(/^HTTP 401: /);
    const other = await make(['Not A Name'])
      .start()
      .then(
        () => null,
        (e: unknown) => e,
      );
    expect(other)
      .to.have.property('message')
      .that.matches(/^HTTP 400: /);
  });

  it('tells a copied session file from a restart', async () => {
    const original = make(['copied'], { instanceId: 'one' });
    await original.start();
    const session = original.getSessionId() ?? '';
    const listening = await listensAs(t, session, 'one');
    const copy = make(['copied'], { instanceId: 'two' });
    const thrown = await copy.start().then(
      () => null,
      (e: unknown) => e,
    );
    expect(thrown)
      .to.have.property('message')
      .that.matches(/^HTTP 409: .*session/);
    await listening.close();
    await copy.start();
  });

  it('says how a provider with a recipe is at first: hibernating when it does not answer', async () => {
    const wake = { type: 'http', url: 'http://127.0.0.1:9' };
    const registrar = make([], {
      publishedProviders: [
        { provider: provider('asleep', false), type: 'openai', model: 'm', wake },
        { provider: provider('awake', true), type: 'openai', model: 'm', wake },
        { provider: provider('away', false), type: 'openai', model: 'm' },
      ],
    });
    await registrar.start();
    const statuses = await Promise.all(
      ['asleep', 'awake', 'away'].map(async (n) => (await t.registry.llms.byName(n))?.status),
    );
    expect(statuses).to.deep.equal(['hibernating', 'active', 'active']);
  });

  it('registers again when the edge has forgotten the session', async () => {
    let times = 0;
    const registrar = make(['again'], { heartbeatIntervalMs: 20, onRegistered: () => (times += 1) });
    await registrar.start();
    const session = registrar.getSessionId() ?? '';
    await t.registry.sessions.leave(session);
    await lapse(t, session);
    await until(
      async () => times,
      (n) => n >= 2,
    );
    expect((await t.registry.llms.byName('again'))?.status).to.equal('active');
  });

  it('says goodbye without being waited for, and its rows are gone at once', async () => {
    const registrar = make(['leaving']);
    await registrar.start();
    expect(registrar.stop()).to.equal(undefined);
    await registrar.left();
    expect(await t.registry.llms.byName('leaving')).to.include({
      status: 'inactive',
      inactiveReason: 'publisher_gone',
    });
  });

  it('cannot reach an edge that is not there, and says which', async () => {
    const thrown = await make(['x'], { mcpdUrl: 'http://127.0.0.1:9' })
      .start()
      .then(
        () => null,
        (e: unknown) => e,
      );
    expect(thrown).to.have.property('code', 'server_unreachable');
    expect(thrown).to.have.property('message').that.includes('http://127.0.0.1:9');
  });
});
