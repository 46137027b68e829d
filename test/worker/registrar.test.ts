import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { expect } from 'chai';
import { createEdgeClient } from '../../worker/edge-client.ts';
import {
  VirtualLlmRegistrar,
  type LlmProvider,
  type RegistrarOptions,
} from '../../worker/registration/registrar.ts';
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
  const lines: string[] = [];
  const log = {
    info: (m: string) => lines.push(m),
    warn: (m: string) => lines.push(m),
    error: (m: string) => lines.push(m),
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
    lines.length = 0;
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
    expect(lines).to.deep.equal(['nothing to publish']);
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
    await writeFile(join(home, 'provider-session'), 'two words\nand more');
    expect(make(['a']).getSessionId()).to.equal(null);
  });

  it('takes an id of another kind of edge for what it is, and publishes here as a new session', async () => {
    await writeFile(join(home, 'provider-session'), 'sess-1\n');
    const registrar = make(['moved']);
    expect(registrar.getSessionId()).to.equal('sess-1');
    await registrar.start();
    expect(registrar.getSessionId()).to.match(/^[0-9a-f-]{36}$/);
    expect(lines.join()).to.include('of another edge; publishing as a new one');
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
    const throwing = () => Promise.reject(new Error('a provider that somebody wrote'));
    const registrar = make([], {
      publishedProviders: [
        { provider: provider('asleep', false), type: 'openai', model: 'm', wake },
        { provider: provider('awake', true), type: 'openai', model: 'm', wake },
        { provider: provider('away', false), type: 'openai', model: 'm' },
        { provider: { ...provider('odd', true), isAvailable: throwing }, type: 'openai', model: 'm', wake },
      ],
    });
    await registrar.start();
    const statuses = await Promise.all(
      ['asleep', 'awake', 'away', 'odd'].map(async (n) => (await t.registry.llms.byName(n))?.status),
    );
    expect(statuses).to.deep.equal(['hibernating', 'active', 'active', 'hibernating']);
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

  it('keeps the session for its owner’s eyes only', async () => {
    const registrar = make(['private']);
    await registrar.start();
    const { mode } = await stat(join(home, 'provider-session'));
    expect((mode & 0o777).toString(8)).to.equal('600');
    expect(await readdir(home)).to.deep.equal(['provider-session']);
  });

  it('says of a copied session file which file that is', async () => {
    const original = make(['in-use'], { instanceId: 'one' });
    await original.start();
    const listening = await listensAs(t, original.getSessionId() ?? '', 'one');
    const copy = make(['in-use'], { instanceId: 'two' });
    const thrown = await copy.start().then(
      () => null,
      (e: unknown) => e as Error,
    );
    expect(thrown?.message)
      .to.match(/copied\? Delete it on one of the machines\./)
      .and.include(join(home, 'provider-session'));
    await listening.close();
  });

  it('publishes as a new session when the file holds another user’s', async () => {
    const ada = make(['of-ada']);
    await ada.start();
    const bob = make(['of-bob'], { token: t.tokens.bob });
    expect(bob.getSessionId()).to.equal(ada.getSessionId());
    await bob.start();
    expect(bob.getSessionId()).not.to.equal(ada.getSessionId());
    expect(lines.join()).to.include('another user');
  });

  it('publishes what has changed, and unpublishes what is no longer named', async () => {
    const registrar = make(['kept', 'dropped']);
    await registrar.start();
    const offer = { provider: provider('kept'), type: 'openai', model: 'other' };
    await registrar.refresh([{ ...offer, capabilities: { tools: true }, status: 'inactive' }]);
    expect(await t.registry.llms.byName('kept')).to.deep.include({
      model: 'other',
      capabilities: { tools: true },
      status: 'inactive',
      inactiveReason: 'backend_down',
    });
    expect(await t.registry.llms.byName('dropped')).to.include({
      status: 'inactive',
      inactiveReason: 'unpublished',
    });
  });

  it('warms up what it has published and is awake, and no failure of that is anybody’s', async () => {
    const warmed: string[] = [];
    const warm = (name: string, available: boolean): LlmProvider => ({
      ...provider(name, available),
      warmup: () => {
        warmed.push(name);
        return Promise.reject(new TypeError('the address of a backend'));
      },
    });
    const wake = { type: 'http', url: 'http://127.0.0.1:9' };
    const registrar = make([], {
      publishedProviders: [
        { provider: warm('warm', true), type: 'openai', model: 'm' },
        { provider: warm('sleeps', false), type: 'openai', model: 'm', wake },
      ],
    });
    await registrar.start();
    await until(
      async () => lines.join(),
      (text) => text.includes('warm could not be warmed up'),
    );
    expect(warmed).to.deep.equal(['warm']);
    expect(lines.join()).not.to.include('address');
  });

  it('registers once more for news that came while an older answer was on its way', async () => {
    const answers = new EventEmitter();
    let posts = 0;
    const edge = createEdgeClient({ mcpdUrl: t.url, token: t.tokens.ada });
    const holds: unknown[] = [];
    const registrar = make(['mine-held'], {
      heartbeatIntervalMs: 60_000,
      onRegistered: ({ hold }) => void holds.push(hold ?? null),
      edge: {
        ...edge,
        post: async (path, ...rest) => {
          const answer = await edge.post(path, ...rest);
          posts += 1;
          if (posts !== 2) return answer;
          answers.emit('made');
          await once(answers, 'sent');
          return answer;
        },
      },
    });
    await registrar.start();
    const id = registrar.getSessionId() ?? '';
    const ofAda = { token: t.tokens.ada };
    expect((await t.call(`POST /api/v1/sessions/${id}/drain`, ofAda)).status).to.equal(200);
    const made = once(answers, 'made');
    registrar.registerAgain();
    await made;
    expect((await t.call(`POST /api/v1/sessions/${id}/resume`, ofAda)).status).to.equal(200);
    registrar.registerAgain();
    answers.emit('sent');
    await until(
      async () => holds.length,
      (n) => n === 3,
    );
    expect(holds).to.deep.equal([null, 'draining', null]);
  });

  it('stops serving when its token is revoked, says so once, and asks no more for now', async () => {
    const made = { userId: t.ada.id, name: 'mine', pools: null, expiresInDays: null, createdBy: null };
    const { row, text } = await t.registry.tokens.create(made);
    const refusals: string[] = [];
    let posts = 0;
    const edge = createEdgeClient({ mcpdUrl: t.url, token: text });
    const registrar = make(['mine'], {
      token: text,
      heartbeatIntervalMs: 20,
      onRegistered: () => undefined,
      onRefused: (why) => refusals.push(why),
      edge: { ...edge, post: (...args) => ((posts += 1), edge.post(...args)) },
    });
    await registrar.start();
    expect((await t.call(`DELETE /api/v1/tokens/${row.id}`)).status).to.equal(204);
    await until(
      async () => refusals.length,
      (n) => n > 0,
    );
    const asked = posts;
    registrar.registerAgain();
    registrar.hurry();
    await new Promise((resolve) => setTimeout(resolve, 200)); // ten heartbeats, had it gone on
    expect(posts).to.equal(asked);
    expect(registrar.refusal).to.match(/^HTTP 401: /);
    expect(refusals).to.have.length(1);
    expect(lines.filter((line) => line.includes('serves nothing until it is let in again'))).to.have.length(
      1,
    );
    expect(await t.registry.llms.byName('mine')).to.include({ status: 'inactive', inactiveReason: 'denied' });
  });
});
