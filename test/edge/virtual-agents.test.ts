import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { documentsIn } from '../backup/installation.ts';
import { startSession } from '../cli/session.ts';
import { createDuties } from '../../scheduler/duties/index.ts';
import { edgeFixture, lapse, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';
import { dutyDeps } from '../support/tasks.ts';

const hi = { messages: [{ role: 'user', content: 'hi' }] };
const later = { prefer: 'respond-async' };
const codeOf = (answer: Answer): unknown => (answer.json as { code?: string }).code;

describe('virtual agents', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let turn = 0;
  before(async () => {
    t = await edgeFixture({ MCPCTL_QUOTAS: 'agent=40/60,prompt=3/20000' });
  });
  after(() => t.close());

  /** Names of this test alone. */
  const named = (): ((word: string) => string) => {
    const n = ++turn;
    return (word) => `${word}-${n}`;
  };
  const offer = (name: string, more: object = {}): object => ({ name, type: 'openai', model: 'm', ...more });
  const publish = (
    session: string,
    body: { providers?: object[]; agents?: object[]; transports?: string[] },
    options: Call = {},
  ): Promise<Answer> =>
    t.call('POST /api/v1/llms/_provider-register', {
      ...options,
      body: { providerSessionId: session, instanceId: session, transports: ['sse'], providers: [], ...body },
    });
  const published = async (...asked: Parameters<typeof publish>): Promise<Answer> => {
    const answer = await publish(...asked);
    expect(answer.status, answer.text).to.equal(201);
    return answer;
  };
  const say = (what: 'heartbeat' | 'goodbye', providerSessionId: string): Promise<Answer> =>
    t.call(`POST /api/v1/llms/_provider-${what}`, { body: { providerSessionId } });
  const shown = async (name: string): Promise<Record<string, unknown>> => {
    const answer = await t.call(`GET /api/v1/agents/${name}`);
    expect(answer.status, answer.text).to.equal(200);
    return answer.json as Record<string, unknown>;
  };
  const stateOf = async (name: string): Promise<string> => {
    const { kind, status, inactiveReason } = await shown(name);
    return [kind, status, inactiveReason].join(' ');
  };
  const chat = (model: string, options: Call = {}): Promise<Answer> =>
    t.call('POST /v1/chat/completions', { body: { model, ...hi }, headers: later, ...options });

  for (const transports of [['sse'], ['redis', 'sse']])
    it(`appear with their llm, leave with it at once, lapse, and come back as they were, over ${transports[0]}`, async () => {
      const of = named();
      const session = randomUUID();
      const body = {
        ...{ providers: [offer(of('desk'))], transports },
        agents: [
          { name: of('critic'), llm: of('desk'), systemPrompt: 'You review.', defaultParams: { seed: 1 } },
        ],
      };
      const { agents, warnings } = (await published(session, body)).json as Record<string, unknown[]>;
      const { id } = await shown(of('critic'));
      const active = { kind: 'virtual', status: 'active', inactiveReason: null, inactiveSince: null };
      const pool = of('desk');
      expect(agents).to.deep.equal([{ id, name: of('critic'), llm: of('desk'), ...active, pool }]);
      expect(warnings).to.deep.equal([]);
      expect(await shown(of('critic'))).to.deep.include({
        ...active,
        systemPrompt: 'You review.',
        llm: of('desk'),
      });
      expect((await chat(of('critic'))).status).to.equal(202);
      expect((await say('goodbye', session)).status).to.equal(200);
      expect(await stateOf(of('critic'))).to.equal('virtual inactive publisher_gone');
      expect((await shown(of('critic')))['inactiveSince']).to.be.a('string');
      await published(session, body);
      expect(await shown(of('critic'))).to.include({ ...active, id, revision: 1 });
      await lapse(t, session);
      expect(await stateOf(of('critic'))).to.equal('virtual inactive publisher_gone');
      expect((await say('heartbeat', session)).status).to.equal(200);
      expect(await stateOf(of('critic'))).to.equal('virtual active ');
      const edited = { ...body, agents: [{ ...body.agents[0], systemPrompt: 'Otherwise.' }] };
      await published(session, edited);
      expect(await shown(of('critic'))).to.include({ id, revision: 2, systemPrompt: 'Otherwise.' });
      await published(session, { ...body, agents: [] });
      expect(await stateOf(of('critic'))).to.equal('virtual inactive unpublished');
      const refused = await chat(of('critic'));
      expect([refused.status, refused.text]).to.satisfy(
        ([status, text]: [number, string]) => status === 503 && text.includes('not published any more'),
      );
    });

  it('say which of the two is not there: the publisher, though another member of the pool is, or the llm', async () => {
    const of = named();
    const [publisher, other] = [randomUUID(), randomUUID()];
    const agents = [{ name: of('critic'), llm: of('b') }];
    await published(other, { providers: [offer(of('b'))] });
    await published(publisher, { agents });
    expect(await stateOf(of('critic'))).to.equal('virtual active ');
    await say('goodbye', other);
    expect(await stateOf(of('critic'))).to.equal('virtual inactive llm_down');
    await published(other, { providers: [offer(of('b'))] });
    await say('goodbye', publisher);
    expect(await stateOf(of('critic'))).to.equal('virtual inactive publisher_gone');
    const now = await chat(of('critic'), { headers: {} });
    expect(now.status).to.equal(503);
    expect(now.text).to.include('the worker that publishes it is gone');
    expect((await chat(of('critic'))).status, 'who can wait, waits').to.equal(202);
    const models = async (): Promise<string> => (await t.call('GET /v1/models')).text;
    expect(await models()).not.to.include(`"${of('critic')}"`);
    await published(publisher, { agents });
    expect(await models()).to.include(`"${of('critic')}"`);
  });

  it('are refused with all that comes with them where a name is somebody’s, and leave nothing', async () => {
    const of = named();
    const [first, second] = [randomUUID(), randomUUID()];
    await published(first, {
      providers: [offer(of('desk'), { poolName: of('pool') })],
      agents: [{ name: of('live'), llm: of('desk') }],
    });
    const kept = { name: of('kept'), llm: of('desk') };
    expect((await t.call('POST /api/v1/agents', { body: kept })).status).to.equal(201);
    const refused = async (name: string, options: Call = {}): Promise<void> => {
      const offers = [offer(of('x'))];
      const agents = [
        { name: of('also'), llm: of('x') },
        { name, llm: of('x') },
      ];
      const answer = await publish(second, { providers: offers, agents }, options);
      expect([name, answer.status, codeOf(answer)]).to.deep.equal([name, 409, 'name_taken']);
      const asRoot = { token: t.tokens.root };
      expect((await t.call(`GET /api/v1/llms/${of('x')}`, asRoot)).status, name).to.equal(404);
      expect((await t.call(`GET /api/v1/agents/${of('also')}`, asRoot)).status, name).to.equal(404);
    };
    await refused(of('live'));
    await refused(of('kept'));
    await refused(of('desk'));
    await refused(of('pool'));
    await refused(of('x'));
    await refused(of('live'), { token: t.tokens.bob });
    const bobs = await publish(second, { agents: [{ name: of('new'), llm: of('nowhere') }] });
    expect([bobs.status, bobs.text]).to.satisfy(
      ([status, text]: [number, string]) => status === 400 && text.includes('agents.0.llm'),
    );
    // The session that has it is gone: it is its owner's to take up, with the same id.
    const { id } = await shown(of('live'));
    await say('goodbye', first);
    await published(second, { providers: [offer(of('x'))], agents: [{ name: of('live'), llm: of('x') }] });
    expect(await shown(of('live'))).to.include({ id, llm: of('x') });
  });

  it('belong to their worker but for project, default, personalities and prompts, which stay', async () => {
    const of = named();
    const session = randomUUID();
    const critic = { name: of('critic'), llm: of('desk'), prompts: [{ name: 'tone', content: 'Be brief.' }] };
    const body = { providers: [offer(of('desk'))], agents: [critic] };
    await published(session, body);
    const edit = (what: object): Promise<Answer> =>
      t.call(`PATCH /api/v1/agents/${of('critic')}`, { body: what });
    for (const what of [
      { systemPrompt: 'x' },
      { llm: of('desk'), description: 'x' },
      { visibility: 'private' },
    ])
      expect(codeOf(await edit(what))).to.equal('agent_published');
    expect(codeOf(await t.call(`DELETE /api/v1/agents/${of('critic')}`))).to.equal('agent_published');
    await t.call('POST /api/v1/projects', { body: { name: of('core') } });
    await t.call('POST /api/v1/personalities', { body: { name: 'grumpy', agent: of('critic') } });
    const mine = { name: 'mine', content: 'Of mine.', agent: of('critic') };
    expect((await t.call('POST /api/v1/prompts', { body: mine })).status).to.equal(201);
    expect((await edit({ project: of('core'), defaultPersonality: 'grumpy' })).status).to.equal(200);
    // No document makes it, whatever it says of it; the worker's own prompt neither.
    const document = (more: object): object => ({
      ...{ resource: 'agent', name: of('critic'), llm: of('desk'), project: of('core') },
      ...{ defaultPersonality: 'grumpy', ...more },
    });
    const apply = (more: object): Promise<Answer> =>
      t.call('POST /api/v1/apply', { body: { documents: [document(more)] } });
    for (const more of [{}, { description: 'x' }]) {
      const refused = await apply(more);
      expect([refused.status, codeOf(refused)]).to.deep.equal([409, 'agent_published']);
    }
    const tone = { resource: 'prompt', agent: of('critic'), ...critic.prompts[0] };
    expect(codeOf(await t.call('POST /api/v1/apply', { body: { documents: [tone] } }))).to.equal(
      'agent_published',
    );
    // A backup has neither: what it would make of them would be in their worker's way.
    const { text: backup } = await t.call('POST /api/v1/backup', {
      token: t.tokens.root,
      body: { secrets: 'none' },
    });
    const inBackup = documentsIn(backup).map(({ resource, name }) => `${resource}/${String(name)}`);
    expect(inBackup).to.include.members([`project/${of('core')}`, 'personality/grumpy', 'prompt/mine']);
    expect(inBackup).not.to.include(`agent/${of('critic')}`);
    expect(inBackup).not.to.include('prompt/tone');
    const s = await startSession(null, { env: { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.tokens.ada } });
    try {
      expect(await s.run('get', 'agent', of('critic'), '-o', 'yaml'), s.err()).to.equal(0);
      expect(await s.run('get', 'prompt', '-o', 'yaml'), s.err()).to.equal(0);
      const documents = s
        .out()
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'));
      expect(documents.join('\n'))
        .to.include('name: mine')
        .and.not.to.include('tone')
        .and.not.to.include(of('critic') + '\nllm');
      expect(s.out()).to.match(/^# A worker publishes it: no document makes it\./m);
    } finally {
      await s.close();
    }
    await published(session, body);
    expect(await shown(of('critic'))).to.include({ project: of('core'), defaultPersonality: 'grumpy' });
    const prompts = async (): Promise<{ id: string; name: string; content: string }[]> =>
      (
        (await t.call(`GET /api/v1/prompts?agent=${of('critic')}`)).json as {
          items: { id: string; name: string; content: string }[];
        }
      ).items;
    const contents = async (): Promise<string[]> => (await prompts()).map(({ content }) => content).sort();
    expect(await contents()).to.deep.equal(['Be brief.', 'Of mine.']);
    const theirs = (await prompts()).find(({ name }) => name === 'tone')?.id ?? '';
    for (const method of ['PATCH', 'DELETE']) {
      const options = method === 'PATCH' ? { body: { content: 'x' } } : {};
      expect(codeOf(await t.call(`${method} /api/v1/prompts/${theirs}`, options))).to.equal(
        'agent_published',
      );
    }
    const say = (content: string): { name: string; content: string }[] => [{ name: 'tone', content }];
    await published(session, { ...body, agents: [{ ...critic, prompts: say('Be kind.') }] });
    expect(await contents()).to.deep.equal(['Be kind.', 'Of mine.']);
    const clash = [{ name: 'mine', content: 'x' }];
    const clashing = await publish(session, { ...body, agents: [{ ...critic, prompts: clash }] });
    expect(codeOf(clashing)).to.equal('name_taken');
    const many = ['a', 'b', 'c'].map((name) => ({ name, content: 'x' }));
    const over = await publish(session, { ...body, agents: [{ ...critic, prompts: many }] });
    expect(codeOf(over)).to.equal('quota_exceeded');
    await published(session, { ...body, agents: [{ ...critic, prompts: [] }] });
    expect(await contents()).to.deep.equal(['Of mine.']);
  });

  it('are published by who may publish, within the pools of their token, over llms that their user may run', async () => {
    const of = named();
    const session = randomUUID();
    await published(session, {
      providers: [offer(of('a'), { poolName: of('a-pool') }), offer(of('b'), { poolName: of('b-pool') })],
    });
    const token = async (how: object): Promise<string> => {
      const body = { name: randomUUID(), ...how };
      const made = await t.call('POST /api/v1/tokens', { body });
      expect(made.status, made.text).to.equal(201);
      return (made.json as { token: string }).token;
    };
    const over = (llm: string, by: string): Promise<Answer> =>
      publish(
        randomUUID(),
        { agents: [{ name: of(`over-${randomUUID().slice(0, 8)}`), llm }] },
        { token: by },
      );
    expect((await over(of('a'), await token({ preset: 'publish' }))).status).to.equal(201);
    expect(codeOf(await over(of('a'), await token({ preset: 'call' })))).to.equal('forbidden');
    const bound = await token({ preset: 'publish', pools: [of('a-pool')] });
    expect((await over(of('a'), bound)).status).to.equal(201);
    expect(codeOf(await over(of('b'), bound))).to.equal('forbidden');
    // With no provider in it, a registration says nothing of who may edit pools: names stay their owners'.
    const taken = await publish(
      randomUUID(),
      { agents: [{ name: of('a-pool'), llm: of('a') }] },
      { token: t.tokens.bob },
    );
    expect(codeOf(taken)).to.equal('name_taken');
  });

  it('are no more than a user may have, and go with what else was in their registration', async () => {
    const of = named();
    const agents = Array.from({ length: 41 }, (_, n) => ({ name: of(`many-${n}`), llm: of('x') }));
    const answer = await publish(randomUUID(), { providers: [offer(of('x'))], agents });
    expect([answer.status, codeOf(answer)]).to.deep.equal([429, 'quota_exceeded']);
    expect((await t.call(`GET /api/v1/llms/${of('x')}`)).status).to.equal(404);
    const prompts = Array.from({ length: 3 }, (_, n) => ({ name: `p-${n}`, content: 'x'.repeat(99_000) }));
    const long = await publish(randomUUID(), { agents: [{ name: of('long'), llm: of('x'), prompts }] });
    expect([long.status, long.text.includes('agents.0.prompts')]).to.deep.equal([400, true]);
  });

  it('of a publisher long gone are swept, but for those with threads, and llms that agents keep; nothing jams', async () => {
    const of = named();
    const session = randomUUID();
    const { db } = t.connection;
    const names = { kept: of('kept'), swept: of('swept'), free: of('free'), only: of('only') };
    await published(session, {
      providers: [offer(names.kept), offer(names.free), offer(names.only)],
      agents: [
        { name: of('talked'), llm: names.kept },
        { name: names.swept, llm: names.only },
      ],
    });
    const begun = await t.call(`POST /api/v1/agents/${of('talked')}/chat`, {
      body: { message: 'hi' },
      headers: later,
    });
    expect(begun.status, begun.text).to.equal(202);
    const { threadId } = begun.json as { threadId: string };
    const duty = createDuties(dutyDeps(t)).find(({ name }) => name === 'sweep-llms');
    const sweep = async (): Promise<void> => void (await duty?.run(new AbortController().signal));
    const ago = (hours: number): unknown => db.raw(`now() - ? * interval '1 hour'`, [hours]);
    // As Postgres away for hours leaves it: nobody is marked yet, and the worker may be back at any moment.
    await db('sessions')
      .where({ id: session })
      .update({ lastHeartbeatAt: ago(5) });
    await sweep();
    expect(await stateOf(names.swept)).to.equal('virtual active ');
    await lapse(t, session);
    await db('sessions')
      .where({ id: session })
      .update({ lastHeartbeatAt: ago(5) });
    await sweep();
    expect(await stateOf(names.swept)).to.equal('virtual inactive publisher_gone');
    const age = async (): Promise<void> => {
      await db('agentPublishers')
        .where({ sessionId: session })
        .update({ goneSince: ago(4.5) });
      await db('llms')
        .where({ providerSessionId: session })
        .update({ inactiveSince: ago(5) });
    };
    await age();
    // A sign of life since then counts, whoever wrote it down.
    await db('sessions')
      .where({ id: session })
      .update({ lastHeartbeatAt: ago(4.2) });
    await sweep();
    expect((await t.call(`GET /api/v1/agents/${names.swept}`)).status).to.equal(200);
    await db('sessions')
      .where({ id: session })
      .update({ lastHeartbeatAt: ago(5) });
    await age();
    await sweep();
    const left = await db('llms').whereIn('name', Object.values(names)).pluck<string[]>('name');
    expect(left, 'one that an agent with a thread keeps').to.deep.equal([names.kept]);
    expect((await t.call(`GET /api/v1/agents/${names.swept}`)).status).to.equal(404);
    expect(await db('names').where({ name: names.swept })).to.deep.equal([]);
    const messages = await t.call(`GET /api/v1/threads/${threadId}/messages`);
    expect(messages.text).to.include('hi');
    expect((await t.call(`GET /api/v1/threads/${threadId}/export`)).status).to.equal(200);
    const { id } = await shown(of('talked'));
    await published(session, {
      providers: [offer(names.kept)],
      agents: [{ name: of('talked'), llm: names.kept }],
    });
    expect(await shown(of('talked'))).to.include({ id, status: 'active' });
    const on = await t.call(`POST /api/v1/agents/${of('talked')}/chat`, {
      body: { message: 'again', threadId },
      headers: later,
    });
    expect(on.status, on.text).to.equal(202);
  });

  it('keep their llm: it is not deleted, and those that one may see are named', async () => {
    const of = named();
    const session = randomUUID();
    await published(session, {
      providers: [offer(of('desk'))],
      agents: [{ name: of('critic'), llm: of('desk') }],
    });
    const diary = { name: of('diary'), llm: of('desk'), visibility: 'private' };
    expect((await t.call('POST /api/v1/agents', { token: t.tokens.bob, body: diary })).status).to.equal(201);
    await say('goodbye', session);
    const refused = await t.call(`DELETE /api/v1/llms/${of('desk')}`);
    expect([refused.status, codeOf(refused)]).to.deep.equal([409, 'llm_in_use']);
    expect(refused.text).to.include(of('critic')).and.include('1 more').and.not.include(of('diary'));
    // Nobody publishes it now: it is its owner's to delete.
    expect((await t.call(`DELETE /api/v1/agents/${of('critic')}`)).status).to.equal(204);
    await t.call(`DELETE /api/v1/agents/${of('diary')}`, { token: t.tokens.bob });
    expect((await t.call(`DELETE /api/v1/llms/${of('desk')}`)).status).to.equal(204);
  });

  it('and pools of one name that are made at once: there is one of them, never both', async () => {
    const of = named();
    await published(randomUUID(), { providers: [offer(of('base'))] });
    const race = async (n: number): Promise<void> => {
      const name = of(`both-${n}`);
      const agent = publish(randomUUID(), { agents: [{ name, llm: of('base') }] });
      const pool = publish(randomUUID(), { providers: [offer(of(`m-${n}`), { poolName: name })] });
      const statuses = (await Promise.all([agent, pool])).map(({ status }) => status);
      expect(statuses.sort(), name).to.deep.equal([201, 409]);
    };
    for (let n = 0; n < 10; n++) await race(n);
  });
});
