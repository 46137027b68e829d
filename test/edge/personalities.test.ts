import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { codeOf } from '../support/registry.ts';
import { secondEdge } from '../relay/second-edge.ts';
import { untilBlocking } from '../support/system.ts';
import { edgeFixture, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';

const hi = { messages: [{ role: 'user', content: 'hi' }] };
const later = { prefer: 'respond-async' };
interface Composed {
  personality: string | null;
  pieces: { source: string; name?: string; priority: number | null }[];
  outOfReach?: string[];
  body?: string;
}

describe('personalities', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  const asBob = (options: Call = {}): Call => ({ token: t.tokens.bob, ...options });
  const ok = async (call: string, options: Call = {}): Promise<Answer> => {
    const [method = '', path = ''] = call.split(' ');
    const answer = await t.call(`${method} /api/v1${path}`, options);
    expect(answer.status, `${call} ${answer.text}`).to.be.within(200, 204);
    return answer;
  };
  const refused = async (call: string, options: Call = {}): Promise<[number, string]> => {
    const [method = '', path = ''] = call.split(' ');
    const { status, json } = await t.call(`${method} /api/v1${path}`, options);
    return [status, (json as { code: string }).code];
  };
  const composed = async (body: object = hi, options: Call = {}): Promise<Composed> =>
    (await ok('POST /agents/reviewer/compose', { body, ...options })).json as Composed;
  const systemOf = ({ body = '{}' }: Composed): string =>
    (JSON.parse(body) as { messages: { content: string }[] }).messages[0]?.content ?? '';
  const bodyOf = async ({ headers, text }: Answer): Promise<string> => {
    const { requestBody } = await t.registry.tasks.bodies(headers.get('x-mcpctl-task-id') ?? text);
    return requestBody ?? '';
  };

  before(async () => {
    t = await edgeFixture();
    const providers = [{ name: 'desk', type: 'openai', model: 'm' }];
    const session = { providerSessionId: randomUUID(), instanceId: randomUUID(), transports: ['sse'] };
    await ok('POST /llms/_provider-register', { body: { ...session, providers } });
    await ok('POST /projects', { body: { name: 'core' } });
    const texts: [string, object][] = [
      ['style', { agent: 'reviewer', priority: 100 }],
      ['house', { project: 'core', priority: 200 }],
      ['mood', {}],
    ];
    const shared = { name: 'reviewer', llm: 'desk', project: 'core', systemPrompt: 'You review.' };
    await ok('POST /agents', { body: shared });
    await ok('POST /agents', { body: { name: 'other', llm: 'desk' } });
    for (const [name, more] of texts)
      await ok('POST /prompts', { body: { name, content: `${name}!`, ...more } });
    const foreign = { name: 'foreign', agent: 'other', content: 'x' };
    await ok('POST /prompts', { body: foreign });
    const prompts = [{ prompt: 'mood' }, { prompt: 'style', priority: 900 }];
    await ok('POST /personalities', { body: { name: 'grumpy', agent: 'reviewer', prompts } });
    await ok('POST /agents/other/personalities', { body: { name: 'grumpy', description: 'Also' } });
  });
  after(() => t.close());

  it('are said behind the project’s prompts, each of them once, by the priority that they have there', async () => {
    const usual = await composed();
    expect([usual.personality, systemOf(usual)]).to.deep.equal([null, 'You review.\n\nstyle!\n\nhouse!']);
    const grumpy = await composed({ message: 'hi', personality: 'grumpy' });
    expect(systemOf(grumpy)).to.equal('You review.\n\nhouse!\n\nstyle!\n\nmood!');
    expect(grumpy.pieces.map(({ source, priority }) => `${source} ${String(priority)}`)).to.deep.equal([
      'agent null',
      'project prompt 200',
      'personality prompt 900',
      'personality prompt 500',
    ]);
    // The same bytes each time, at either edge.
    const other = await secondEdge(t);
    try {
      const body = JSON.stringify({ message: 'hi', personality: 'grumpy', systemAppend: 'Mine.' });
      const headers = { authorization: `Bearer ${t.tokens.ada}`, 'content-type': 'application/json' };
      const asked = Array.from({ length: 100 }, async (_, n) => {
        const url = n % 2 === 0 ? t.url : other.url;
        const answer = await fetch(`${url}/api/v1/agents/reviewer/compose`, {
          method: 'POST',
          headers,
          body,
        });
        return ((await answer.json()) as Composed).body;
      });
      expect([...new Set(await Promise.all(asked))]).to.deep.equal([
        '{"model":"reviewer","messages":[{"role":"system","content":"You review.\\n\\nhouse!\\n\\nstyle!\\n\\nmood!\\n\\nMine."},{"role":"user","content":"hi"}]}',
      ]);
    } finally {
      await other.close();
    }
    const seen = await composed({ message: 'hi', personality: 'grumpy' }, asBob());
    expect(JSON.stringify(seen))
      .to.include('"personality":"grumpy"')
      .and.not.match(/mood|style|review\./);
    const all = (await ok('GET /agents/reviewer/personalities', asBob())).json as {
      items: { name: string }[];
    };
    expect(all.items.map(({ name }) => name)).to.deep.equal(['grumpy']);
    expect(JSON.stringify(all)).not.to.match(/mood|style/);
  });

  it('are of one agent: of prompts in its reach, by a name that is theirs alone, and stay there', async () => {
    const twice = { body: { name: 'grumpy', agent: 'reviewer' } };
    expect(await refused('POST /personalities', twice)).to.deep.equal([409, 'name_taken']);
    const bind = (prompt: string): Promise<[number, string]> =>
      refused(`PUT /agents/reviewer/personalities/grumpy/prompts/${prompt}`, { body: {} });
    for (const prompt of ['foreign', 'nobody', randomUUID()])
      expect(await bind(prompt), prompt).to.deep.equal([400, 'invalid_request']);
    const [id] = ((await ok('GET /personalities?agent=reviewer')).json as { items: { id: string }[] }).items;
    const moved = refused(`PATCH /personalities/${id?.id ?? ''}`, { body: { agent: 'other' } });
    expect(await moved).to.deep.equal([400, 'invalid_request']);
    for (const name of ['none', 'latest', 'a:b'])
      expect(await refused('POST /agents/reviewer/personalities', { body: { name } })).to.deep.equal([
        400,
        'invalid_request',
      ]);
    const bobs = asBob({ body: { name: 'mine', agent: 'reviewer' } });
    expect(await refused('POST /personalities', bobs)).to.deep.equal([403, 'forbidden']);
    // Whoever makes it, it is the agent's owner's.
    await ok('POST /agents/reviewer/personalities', { body: { name: 'kind' }, token: t.tokens.root });
    expect((await ok('GET /agents/reviewer/personalities/kind')).json).to.include({ owner: 'ada' });
    await ok('DELETE /agents/reviewer/personalities/kind');
  });

  it('an agent’s default is its own, follows a new name, and is nothing once it is deleted', async () => {
    const set = (defaultPersonality: string | null) => ({ body: { defaultPersonality } });
    expect(await refused('PATCH /agents/reviewer', set('nobody'))).to.deep.equal([400, 'invalid_request']);
    await ok('POST /agents/other/personalities', { body: { name: 'foreign' } });
    expect(await refused('PATCH /agents/reviewer', set('foreign'))).to.deep.equal([400, 'invalid_request']);
    const written = t.connection
      .db('agents')
      .where({ name: 'reviewer' })
      .update({ defaultPersonality: 'foreign' });
    const cause = await written.then(
      () => 'kept',
      (thrown: Error) => thrown.cause,
    );
    expect(cause, 'nor by whoever writes the row').to.include({ sqlState: '23503' });
    const own = { name: 'brisk', prompts: [{ prompt: 'mood' }] };
    await ok('POST /agents/reviewer/personalities', { body: own });
    await ok('PATCH /agents/reviewer', set('brisk'));
    expect((await composed()).personality).to.equal('brisk');
    expect((await composed({ message: 'hi', personality: '' })).personality).to.equal(null);
    await ok('PATCH /agents/reviewer/personalities/brisk', { body: { name: 'quick' } });
    expect((await ok('GET /agents/reviewer', asBob())).json).to.include({ defaultPersonality: 'quick' });
    expect((await ok('GET /agents/reviewer/personalities/quick')).json).to.include({ isDefault: true });
    await ok('DELETE /agents/reviewer/personalities/quick');
    expect((await ok('GET /agents/reviewer')).json).to.include({ defaultPersonality: null });
    expect((await composed()).personality).to.equal(null);
    expect(systemOf(await composed())).not.to.include('mood');
  });

  it('a prompt that leaves the agent’s reach is left out and said; one that is deleted is gone', async () => {
    await ok('PATCH /agents/reviewer', { body: { project: null } });
    const prompts = [{ prompt: 'mood' }];
    await ok('POST /agents/reviewer/personalities', { body: { name: 'lost', prompts } });
    await ok('PATCH /agents/reviewer', { body: { project: 'core' } });
    await ok('PUT /agents/reviewer/personalities/lost/prompts/house', { body: { priority: 1 } });
    await ok('PATCH /agents/reviewer', { body: { project: null } });
    const lost = await composed({ message: 'hi', personality: 'lost' });
    expect([lost.outOfReach, systemOf(lost)]).to.deep.equal([['house'], 'You review.\n\nstyle!\n\nmood!']);
    const others = await composed({ message: 'hi', personality: 'lost' }, asBob());
    expect(others).not.to.have.property('outOfReach');
    await ok('PATCH /agents/reviewer', { body: { project: 'core' } });
    await ok('DELETE /agents/reviewer/personalities/lost/prompts/mood');
    expect((await ok('GET /agents/reviewer/personalities/lost')).json).to.deep.include({
      prompts: [{ prompt: 'house', priority: 1 }],
    });
    await ok('DELETE /agents/reviewer/personalities/lost');
  });

  it('are models, and asked for in turns, also in those that wait in line', async () => {
    const models = (await t.call('GET /v1/models', asBob())).text;
    expect(models).to.include('"reviewer:grumpy"').and.to.include('"reviewer"');
    expect((await t.call('GET /v1/models/reviewer:grumpy', asBob())).status).to.equal(200);
    const model = 'reviewer:grumpy';
    const asked = await t.call(
      'POST /v1/chat/completions',
      asBob({ body: { model, ...hi }, headers: later }),
    );
    expect(await bodyOf(asked)).to.include('mood!');
    const unknown = await t.call('POST /v1/chat/completions', { body: { ...hi, model: 'reviewer:grumpi' } });
    expect([unknown.status, unknown.text]).to.deep.equal([404, unknown.text]);
    expect(unknown.text).to.include('Did you mean grumpy?');
    const latest = await t.call('POST /v1/chat/completions', { body: { ...hi, model: 'reviewer:latest' } });
    expect(latest.text).to.include('model_not_found');

    const turn = { body: { message: 'hi', personality: 'grumpy' }, headers: later };
    const first = (await ok('POST /agents/reviewer/chat', turn)).json as { threadId: string; taskId: string };
    expect((await t.registry.tasks.bodies(first.taskId)).requestBody).to.include('mood!');
    const queued = await ok(`POST /threads/${first.threadId}/turns`, turn);
    expect(queued.json).to.include({ status: 'queued' });
    await ok(`DELETE /threads/${first.threadId}/turns/1`);
    let taskId: string | null = null;
    while (taskId === null)
      ({ taskId } = (await ok(`GET /threads/${first.threadId}/turns/2`)).json as { taskId: string | null });
    expect((await t.registry.tasks.bodies(taskId)).requestBody).to.include('mood!');
    const header = { 'x-mcpctl-thread': 'new', ...later };
    const atDoor = await t.call('POST /v1/chat/completions', { body: { model, ...hi }, headers: header });
    expect(await bodyOf(atDoor)).to.include('mood!');
    const nobody = { body: { message: 'hi', personality: 'nobody' }, headers: later };
    expect(await refused('POST /agents/reviewer/chat', nobody)).to.deep.equal([404, 'personality_not_found']);
  });

  it('are applied in any order with their agent and its default, and read back as they were', async () => {
    const documents = [
      { resource: 'personality', name: 'dry', agent: 'sage', prompts: [{ prompt: 'salt', priority: 3 }] },
      { resource: 'agent', name: 'sage', llm: 'desk', defaultPersonality: 'dry' },
      { resource: 'prompt', name: 'salt', agent: 'sage', content: 'No jokes.' },
    ];
    const apply = async (all: object[], dryRun = false): Promise<string[]> => {
      const answer = await ok('POST /apply', { body: { documents: all, dryRun } });
      return (answer.json as { items: { outcome: string }[] }).items.map(({ outcome }) => outcome);
    };
    expect(await apply(documents, true)).to.deep.equal(['created', 'created', 'created']);
    expect(await apply(documents)).to.deep.equal(['created', 'created', 'created']);
    const read = async (resource: string, path: string): Promise<object> => ({
      ...((await ok(`GET ${path}`)).json as object),
      resource,
    });
    const back = [
      await read('agent', '/agents/sage'),
      await read('personality', '/agents/sage/personalities/dry'),
    ];
    expect(await apply(back)).to.deep.equal(['unchanged', 'unchanged']);
    const lone = { resource: 'agent', name: 'sage2', llm: 'desk', defaultPersonality: 'dry' };
    for (const dryRun of [true, false])
      expect(await refused('POST /apply', { body: { documents: [lone], dryRun } })).to.deep.equal([
        400,
        'invalid_request',
      ]);
    await ok('DELETE /agents/sage');
    const { rows } = await t.connection.db.raw<{ rows: { left: number }[] }>(
      `select count(*)::int as left from personality_prompts b join personalities p on p.id = b.personality_id where p.name = 'dry'`,
    );
    expect(rows[0]?.left).to.equal(0);
  });

  it('have their name in the one name space: neither is there beside an alias of that name, whichever came first', async () => {
    const publish = (name: string, alias: string, { id: userId } = t.bob): Promise<string> =>
      codeOf(
        t.registry.llms.create(
          { name, type: 'openai', model: 'm', url: 'http://x.test/v1', aliases: [alias] },
          { userId, tokenId: null, overrules: false },
        ),
      );
    const make = (name: string, of = 'other'): Promise<number> =>
      t.call('POST /api/v1/personalities', { body: { name, agent: of } }).then(({ status }) => status);
    for (const alias of ['other:grumpy', 'Other:Grumpy', 'OTHER:grumpy:latest'])
      for (const [n, user] of [t.bob, t.ada].entries())
        expect(await publish(`x${n}`, alias, user), alias).to.equal('name_taken');
    expect(await publish('squat', 'Later:Calm')).to.equal('ok');
    await ok('POST /agents', { body: { name: 'later', llm: 'desk' } });
    expect(await make('calm', 'later')).to.equal(409);
    const raced = await Promise.all(
      Array.from({ length: 8 }, async (_, n) => {
        const both = await Promise.all([
          make(`r${n}`),
          publish(`race${n}`, `other:r${n}`, n % 2 === 0 ? t.bob : t.ada),
        ]);
        return both.map(String).sort().join(' ');
      }),
    );
    for (const ended of raced) expect(ended).to.be.oneOf(['201 name_taken', '409 ok']);
    // What was called so is kept for its owner when it goes, and with its agent.
    await ok('DELETE /agents/other/personalities/grumpy');
    await t.registry.names.sweep(60_000);
    expect(await publish('taker', 'other:grumpy')).to.equal('name_retired');
    await ok('POST /personalities', { body: { name: 'grumpy', agent: 'other' } });
    await ok('DELETE /agents/other');
    await t.registry.names.sweep(60_000);
    expect(await publish('taker', 'other:grumpy')).to.equal('name_retired');
  });

  it('go with their project’s prompts as a dry run says, and nothing goes in it', async () => {
    await ok('POST /projects', { body: { name: 'doomed' } });
    for (const name of ['one', 'two'])
      await ok('POST /agents', { body: { name: `doomed-${name}`, llm: 'desk', project: 'doomed' } });
    for (const name of ['a', 'b', 'c'])
      await ok('POST /prompts', { body: { name, content: name, project: 'doomed' } });
    const prompts = [{ prompt: 'a' }];
    await ok('POST /personalities', { body: { name: 'bound', agent: 'doomed-one', prompts } });
    const messages = ['user', 'assistant'].map((role) => ({ role, content: 'hi' }));
    const thread = { title: 'kept', messages };
    await ok('POST /agents/doomed-one/threads', { body: thread });
    const taken = (await ok('DELETE /projects/doomed?dryRun=true')).json;
    expect(taken).to.deep.equal({
      ...{ resource: 'project', name: 'doomed' },
      deletes: [
        { resource: 'prompt', count: 3 },
        { resource: 'binding', count: 1 },
      ],
      clears: [{ resource: 'agent', count: 2 }],
    });
    const ofAgent = (await ok('DELETE /agents/doomed-one?dryRun=true')).json as { deletes: object[] };
    expect(ofAgent.deletes).to.have.deep.members([
      { resource: 'thread', count: 1 },
      { resource: 'personality', count: 1 },
      { resource: 'binding', count: 1 },
    ]);
    await ok('GET /projects/doomed');
    expect(await refused('DELETE /projects/doomed?dryrun=true')).to.deep.equal([400, 'invalid_request']);
    expect(await refused('DELETE /projects/doomed?dryRun=true', asBob())).to.deep.equal([
      404,
      'project_not_found',
    ]);

    await ok('DELETE /projects/doomed');
    const { items } = (await ok('GET /agents?limit=500')).json as {
      items: { name: string; project: string | null }[];
    };
    const left = items.filter(({ name }) => name.startsWith('doomed'));
    expect(left.map(({ project }) => project)).to.deep.equal([null, null]);
    expect((await ok('GET /prompts')).text).not.to.match(/"name":"[abc]"/);
    const bound = (await ok('GET /agents/doomed-one/personalities/bound')).json as { prompts: unknown[] };
    expect(bound.prompts).to.deep.equal([]);
    const [kept] = ((await ok('GET /agents/doomed-one/threads')).json as { items: { id: string }[] }).items;
    expect((await ok(`GET /threads/${kept?.id ?? ''}/export`)).json).to.deep.equal(thread);
  });

  it('are called otherwise with their user locked before any row of an agent, as workers register', async () => {
    const one = '/agents/reviewer/personalities/grumpy';
    const { db } = t.connection;
    let renaming: Promise<Answer> | undefined;
    await db.transaction(async (trx) => {
      await trx.raw('select id from users where id = ? for no key update', [t.ada.id]);
      renaming = t.call(`PATCH /api/v1${one}`, { body: { name: 'grumpier' } });
      await untilBlocking(trx);
      const { rows } = await trx.raw<{ rows: unknown[] }>(
        `select id from agents where name = 'reviewer' for update nowait`,
      );
      expect(rows).to.have.length(1);
    });
    expect((await renaming)?.status).to.equal(200);
    await ok('PATCH /agents/reviewer/personalities/grumpier', { body: { name: 'grumpy' } });
  });
});
