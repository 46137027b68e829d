import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { edgeFixture, lapse, listensAs, type Answer, type EdgeFixture } from '../support/edge.ts';

interface Registered {
  providerSessionId: string;
  llms: { id: string; name: string; poolKey: string; status: string }[];
  agents: unknown[];
  warnings: string[];
  transport: { kind: string; namespace: string };
}

const codeOf = (answer: Answer): unknown => (answer.json as { code?: string }).code;

describe('the wire protocol of workers', () => {
  let t: EdgeFixture;
  beforeEach(async () => {
    t = await edgeFixture();
  });
  afterEach(() => t.close());

  const offer = { name: 'tiny', type: 'openai', model: 'tiny-chat' };
  const register = (body: Record<string, unknown>, token = t.tokens.ada): Promise<Answer> =>
    t.call('POST /api/v1/llms/_provider-register', {
      token,
      body: { transports: ['redis', 'sse'], providers: [offer], instanceId: 'boot-1', ...body },
    });
  const say = (
    what: 'heartbeat' | 'goodbye',
    providerSessionId: string,
    token = t.tokens.ada,
  ): Promise<Answer> => t.call(`POST /api/v1/llms/_provider-${what}`, { token, body: { providerSessionId } });
  const statusOf = async (name = 'tiny'): Promise<unknown> => {
    const { status, inactiveReason } = (await t.call(`GET /api/v1/llms/${name}`)).json as {
      status: string;
      inactiveReason: string | null;
    };
    return inactiveReason ? `${status}:${inactiveReason}` : status;
  };

  it('answers a registration with the session, its rows and how to take tasks', async () => {
    const answer = await register({ somethingNewer: true });
    expect(answer.status).to.equal(201);
    const body = answer.json as Registered;
    expect(body.llms.map(({ name, poolKey, status }) => ({ name, poolKey, status }))).to.deep.equal([
      { name: 'tiny', poolKey: 'tiny', status: 'active' },
    ]);
    expect(body.transport).to.include({ kind: 'redis', namespace: t.namespace });
    expect([body.agents, body.warnings]).to.deep.equal([[], []]);
    expect(await statusOf()).to.equal('active');
  });

  it('shows why a backend refuses what is configured, made fit to be shown, until its worker no longer says so', async () => {
    const first = (await register({})).json as Registered;
    const { providerSessionId } = first;
    const misconfiguredAfter = async (misconfigured?: unknown): Promise<unknown> => {
      const again = { providerSessionId, providers: [{ ...offer, misconfigured }] };
      expect((await register(again)).status).to.equal(201);
      const { json } = await t.call('GET /api/v1/llms/tiny');
      const members = (await t.call('GET /api/v1/llms/tiny/members')).json as {
        members: { misconfigured: unknown }[];
      };
      expect(members.members[0]?.misconfigured).to.equal((json as { misconfigured: unknown }).misconfigured);
      return (json as { misconfigured: unknown }).misconfigured;
    };
    expect(await misconfiguredAfter('No such model.')).to.equal('No such model.');
    expect(await statusOf()).to.equal('active');
    expect(await misconfiguredAfter(`ab\u001b[31m\n${'x'.repeat(2_000)}`))
      .to.match(/^ab \[31m x+$/)
      .with.lengthOf(500);
    expect(await misconfiguredAfter()).to.equal(null);
    await misconfiguredAfter('No such model.');
    await say('goodbye', providerSessionId);
    expect((await t.call('GET /api/v1/llms/tiny')).json).to.include({
      misconfigured: null,
      status: 'inactive',
    });
  });

  it('keeps a session id that it is given, and takes an unknown one as new', async () => {
    const id = randomUUID();
    expect(((await register({ providerSessionId: id })).json as Registered).providerSessionId).to.equal(id);
    expect(((await register({ providerSessionId: id })).json as Registered).providerSessionId).to.equal(id);
  });

  it("answers another user's session as one that is not there, and a malformed one as a fault", async () => {
    const { providerSessionId } = (await register({})).json as Registered;
    const foreign = await register({ providerSessionId, providers: [] }, t.tokens.bob);
    expect([foreign.status, codeOf(foreign)]).to.deep.equal([404, 'session_not_found']);
    expect((await register({ providerSessionId: 'abc' })).status).to.equal(400);
  });

  it('says which protocol and transport it lacks', async () => {
    expect(codeOf(await register({ protocol: 2 }))).to.equal('protocol_unsupported');
    expect(codeOf(await register({ transports: ['carrier-pigeon'] }))).to.equal('transport_unavailable');
    const older = await register({ transports: ['redis'], bullmqVersion: '5.0.0' });
    expect(codeOf(older)).to.equal('transport_unavailable');
    expect((older.json as { error: string }).error).to.include('bullmq 6.7.0');
    expect((await register({ bullmqVersion: '6.7.0' })).status).to.equal(201);
  });

  it('gives Redis to a worker of our release that has it, and sse to every other', async () => {
    const kindOf = async (body: Record<string, unknown>): Promise<string> => {
      const answer = await register(body);
      expect(answer.status).to.equal(201);
      return (answer.json as Registered).transport.kind;
    };
    const { providerSessionId } = (await register({})).json as Registered;
    const same = { providerSessionId };
    expect(await kindOf({ ...same, transports: ['sse', 'redis'] })).to.equal('redis');
    expect(await kindOf({ ...same, transports: ['sse'] })).to.equal('sse');
    expect(await kindOf({ ...same, transports: undefined })).to.equal('sse');
    expect(await kindOf({ ...same, bullmqVersion: '5.0.0' })).to.equal('sse');
    expect((await t.registry.sessions.byId(providerSessionId))?.transport).to.equal('sse');
  });

  it('shows a backend that does not answer as down, until its worker says that it does', async () => {
    const { providerSessionId } = (await register({ providers: [{ ...offer, initialStatus: 'inactive' }] }))
      .json as Registered;
    expect(await statusOf()).to.equal('inactive:backend_down');
    const since = (await t.registry.llms.byName('tiny'))?.inactiveSince;
    expect((await say('heartbeat', providerSessionId)).status).to.equal(200);
    await register({ providerSessionId, providers: [{ ...offer, initialStatus: 'inactive' }] });
    expect(await statusOf()).to.equal('inactive:backend_down');
    expect((await t.registry.llms.byName('tiny'))?.inactiveSince).to.deep.equal(since);
    // Its worker lives: another one of the same owner may not take the row.
    expect(codeOf(await register({ instanceId: 'boot-2' }))).to.equal('name_taken');
    await lapse(t, providerSessionId);
    await t.registry.sessions.markGone([providerSessionId]);
    expect(await statusOf()).to.equal('inactive:publisher_gone');
    await say('heartbeat', providerSessionId);
    expect(await statusOf()).to.equal('inactive:backend_down');
    await register({ providerSessionId });
    expect(await statusOf()).to.equal('active');
  });

  it('refuses a copied session file while the first process is connected, and lets a restarted one in', async () => {
    const { providerSessionId } = (await register({})).json as Registered;
    const first = await listensAs(t, providerSessionId, 'boot-1');
    const copy = await register({ providerSessionId, instanceId: 'boot-2' });
    expect([copy.status, codeOf(copy)]).to.deep.equal([409, 'session_in_use']);
    expect((await register({ providerSessionId })).status).to.equal(201);
    await first.close();
    expect((await register({ providerSessionId, instanceId: 'boot-2' })).status).to.equal(201);
  });

  it('refuses a public row by its words', async () => {
    await t.call('POST /api/v1/llms', {
      token: t.tokens.root,
      body: { ...offer, url: 'http://backend.test/v1' },
    });
    const answer = await register({});
    expect([answer.status, codeOf(answer), (answer.json as { error: string }).error]).to.deep.equal([
      409,
      'name_taken',
      'Cannot publish over public LLM: tiny',
    ]);
  });

  it("refuses a live session's row and adopts it when that session lapsed", async () => {
    const { providerSessionId } = (await register({})).json as Registered;
    expect((await register({ instanceId: 'boot-2' })).status).to.equal(409);
    await lapse(t, providerSessionId);
    expect((await register({ instanceId: 'boot-2' })).status).to.equal(201);
  });

  it('keeps a token that is bound to pools inside them', async () => {
    const { token } = (
      await t.call('POST /api/v1/tokens', { body: { name: 'bound', preset: 'publish', pools: ['team'] } })
    ).json as { token: string };
    expect(codeOf(await register({}, token))).to.equal('pool_not_yours');
    const inside = await register({ providers: [{ ...offer, poolName: 'team' }] }, token);
    expect(inside.status).to.equal(201);
  });

  it('reads inactive at once after a goodbye, which may be said twice', async () => {
    const { providerSessionId } = (await register({})).json as Registered;
    for (let n = 0; n < 2; n++) expect((await say('goodbye', providerSessionId)).status).to.equal(200);
    expect(await statusOf()).to.equal('inactive:publisher_gone');
    expect((await say('goodbye', randomUUID())).status).to.equal(200);
    const heartbeat = await say('heartbeat', providerSessionId);
    expect([heartbeat.status, codeOf(heartbeat)]).to.deep.equal([404, 'session_not_found']);
    expect((await register({ providerSessionId })).status).to.equal(201);
    expect(await statusOf()).to.equal('active');
  });

  it("changes nothing on another user's goodbye", async () => {
    const { providerSessionId } = (await register({})).json as Registered;
    expect((await say('goodbye', providerSessionId, t.tokens.bob)).status).to.equal(200);
    expect(await statusOf()).to.equal('active');
  });

  it('extends the lease of a session, and of the own ones only', async () => {
    const { providerSessionId } = (await register({})).json as Registered;
    expect((await say('heartbeat', providerSessionId)).status).to.equal(200);
    for (const [id, token] of [
      [providerSessionId, t.tokens.bob],
      [randomUUID(), t.tokens.ada],
    ] as const) {
      expect((await say('heartbeat', id, token)).status).to.equal(404);
    }
  });

  describe('a session', () => {
    const tell = (
      what: 'heartbeat' | 'goodbye',
      providerSessionId: string,
      { instance, token = t.tokens.ada }: { instance?: string; token?: string } = {},
    ): Promise<Answer> =>
      t.call(`POST /api/v1/llms/_provider-${what}`, {
        token,
        body: { providerSessionId },
        ...(instance === undefined ? {} : { headers: { 'x-mcpctl-instance': instance } }),
      });
    const another = async (): Promise<string> => {
      const made = await t.call('POST /api/v1/tokens', {
        token: t.tokens.ada,
        body: { name: 'another', preset: 'publish' },
      });
      return (made.json as { token: string }).token;
    };

    it('that says its instance is that instance’s alone, in each call', async () => {
      const { providerSessionId } = (await register({ saysInstance: true })).json as Registered;
      const unsaid = await tell('heartbeat', providerSessionId);
      expect([unsaid.status, codeOf(unsaid)]).to.deep.equal([404, 'session_not_found']);
      expect((unsaid.json as { error: string }).error).to.include('x-mcpctl-instance');
      expect((await tell('heartbeat', providerSessionId, { instance: 'boot-2' })).status).to.equal(404);
      expect((await tell('goodbye', providerSessionId)).status).to.equal(404);
      await tell('goodbye', providerSessionId, { instance: 'boot-2' });
      expect(await statusOf()).to.equal('active');
      expect((await tell('heartbeat', providerSessionId, { instance: 'boot-1' })).status).to.equal(200);
      await tell('goodbye', providerSessionId, { instance: 'boot-1' });
      expect(await statusOf()).to.equal('inactive:publisher_gone');
    });

    it('of a worker that does not is its token’s alone', async () => {
      const token = await another();
      for (const body of [{}, { instanceId: undefined }]) {
        const { providerSessionId } = (await register(body)).json as Registered;
        expect((await tell('heartbeat', providerSessionId)).status).to.equal(200);
        for (const instance of [undefined, providerSessionId])
          expect(
            (await tell('heartbeat', providerSessionId, { token, ...(instance ? { instance } : {}) })).status,
          ).to.equal(404);
        await tell('goodbye', providerSessionId, { token });
        expect(await statusOf()).to.equal('active');
        await tell('goodbye', providerSessionId);
      }
    });

    it('that another process has taken over hears the former no more', async () => {
      const { providerSessionId } = (await register({ saysInstance: true })).json as Registered;
      expect((await tell('heartbeat', providerSessionId, { instance: 'boot-1' })).status).to.equal(200);
      await register({ providerSessionId, instanceId: 'boot-2', saysInstance: true });
      expect((await tell('heartbeat', providerSessionId, { instance: 'boot-1' })).status).to.equal(404);
      expect((await tell('goodbye', providerSessionId, { instance: 'boot-1' })).status).to.equal(200);
      expect(await statusOf()).to.equal('active');
      expect((await tell('heartbeat', providerSessionId, { instance: 'boot-2' })).status).to.equal(200);
    });
  });

  it('revives with a heartbeat what the sweep had marked, to what it last was', async () => {
    const providers = [
      offer,
      { ...offer, name: 'sleepy', initialStatus: 'hibernating' },
      { ...offer, name: 'old' },
    ];
    const { providerSessionId } = (await register({ providers })).json as Registered;
    await register({ providerSessionId, providers: providers.slice(0, 2) });
    await lapse(t, providerSessionId);
    const { sessions } = t.registry;
    expect(await sessions.published()).to.deep.equal([providerSessionId]);
    expect((await sessions.markGone([providerSessionId])).map((row) => row.inactiveReason)).to.deep.equal(
      Array(3).fill('publisher_gone'),
    );
    expect(await sessions.markGone([providerSessionId])).to.deep.equal([]);
    expect(await sessions.published()).to.deep.equal([]);
    expect((await say('heartbeat', providerSessionId)).status).to.equal(200);
    expect([await statusOf('tiny'), await statusOf('sleepy'), await statusOf('old')]).to.deep.equal([
      'active',
      'hibernating',
      'inactive:unpublished',
    ]);
  });

  it('writes down heartbeats in batches', async () => {
    const { providerSessionId } = (await register({})).json as Registered;
    await t.connection.db.raw(`update sessions set last_heartbeat_at = now() - interval '1 h'`);
    const beats = Array.from({ length: 20 }, () => say('heartbeat', providerSessionId));
    await Promise.all(beats);
    await t.deps.heartbeats.stop();
    expect([...(await t.registry.sessions.beatenWithin([providerSessionId], 10_000))]).to.deep.equal([
      providerSessionId,
    ]);
  });

  it('deletes rows and session of a publisher that is gone for too long, and frees the name', async () => {
    const { providerSessionId } = (await register({})).json as Registered;
    await say('goodbye', providerSessionId);
    const { sessions } = t.registry;
    expect(await sessions.deleteGone(60_000)).to.deep.equal([]);
    await t.connection.db.raw(
      `update llms set inactive_since = now() - interval '5 h'; update sessions set last_heartbeat_at = now() - interval '5 h'`,
    );
    expect((await sessions.deleteGone(4 * 3_600_000)).map((row) => row.name)).to.deep.equal(['tiny']);
    expect(await sessions.byId(providerSessionId)).to.equal(undefined);
    expect((await t.call('GET /api/v1/llms/tiny')).status).to.equal(404);
    // The name is free; the pool still belongs to whom its callers trust.
    expect(codeOf(await register({}, t.tokens.bob))).to.equal('pool_not_yours');
    expect((await register({})).status).to.equal(201);
  });

  it('refuses the same name twice in one registration', async () => {
    const answer = await register({ providers: [offer, offer] });
    expect([answer.status, codeOf(answer)]).to.deep.equal([400, 'invalid_request']);
  });

  it('answers fifty registrations of the same names at once without a fault of its own', async () => {
    const providers = ['c', 'a', 'b'].map((name) => ({ ...offer, name }));
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => register({ providers, instanceId: `boot-${n}` })),
    );
    expect([...new Set(answers.map((answer) => answer.status))].sort()).to.deep.equal([201, 409]);
    expect(answers.filter((answer) => answer.status === 201)).to.have.length(1);
  });
});
