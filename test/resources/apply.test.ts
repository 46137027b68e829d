import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { edgeFixture, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';

type Document = { resource: string } & Record<string, unknown>;
interface Items {
  items: Record<string, unknown>[];
}

const project: Document = { resource: 'project', name: 'review', description: 'What we look at.' };
const agent: Document = {
  resource: 'agent',
  name: 'critic',
  llm: 'desk',
  project: 'review',
  systemPrompt: 'Be hard.',
};
const prompt: Document = { resource: 'prompt', name: 'tone', agent: 'critic', content: 'Be brief.' };

describe('apply', function () {
  this.timeout(60_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    const providers = [{ name: 'desk', type: 'openai', model: 'm' }];
    const body = {
      providerSessionId: randomUUID(),
      instanceId: randomUUID(),
      transports: ['sse'],
      providers,
    };
    expect((await t.call('POST /api/v1/llms/_provider-register', { body })).status).to.equal(201);
  });
  after(() => t.close());
  afterEach(async () => {
    for (const [plural, key] of [
      ['prompts', 'id'],
      ['agents', 'name'],
      ['projects', 'name'],
    ] as const)
      for (const one of await all(plural)) {
        const { status, text } = await t.call(`DELETE /api/v1/${plural}/${String(one[key])}`);
        expect(status, text).to.equal(204);
      }
  });

  const apply = (
    documents: readonly Document[],
    { dryRun = false, ...options }: Call & { dryRun?: boolean } = {},
  ) => t.call('POST /api/v1/apply', { body: { documents, dryRun }, ...options });
  const all = async (plural: string): Promise<Record<string, unknown>[]> => {
    const page = await t.call(`GET /api/v1/${plural}?limit=200`);
    return (page.json as Items).items;
  };
  const outcomes = ({ json, text }: Answer): string[] => {
    expect(json, text).to.have.property('items');
    return (json as Items).items.map(({ resource, name, outcome, changed }) =>
      [
        `${String(resource)}/${String(name)} ${String(outcome)}`,
        ...(outcome === 'changed' ? [[changed].flat().map(String).sort().join(',')] : []),
      ].join(': '),
    );
  };

  it('makes what is not there, in whatever order it comes; changes what differs; writes nothing the second time', async () => {
    const documents = [prompt, agent, project];
    expect(outcomes(await apply(documents))).to.deep.equal([
      'prompt/tone created',
      'agent/critic created',
      'project/review created',
    ]);
    const before = [...(await all('prompts')), ...(await all('agents')), ...(await all('projects'))];
    expect(outcomes(await apply(documents))).to.deep.equal([
      'prompt/tone unchanged',
      'agent/critic unchanged',
      'project/review unchanged',
    ]);
    // As they are read they can be applied: what the server owns is passed over.
    const read = [
      ...(await all('agents')).map((one) => ({ ...one, resource: 'agent' })),
      ...(await all('prompts')).map((one) => ({ ...one, resource: 'prompt' })),
    ];
    expect(outcomes(await apply(read))).to.deep.equal(['agent/critic unchanged', 'prompt/tone unchanged']);
    expect([...(await all('prompts')), ...(await all('agents')), ...(await all('projects'))]).to.deep.equal(
      before,
    );
    const { description: _left, ...bare } = project;
    expect(outcomes(await apply([bare, { ...prompt, content: 'Be long.', priority: 7 }]))).to.deep.equal([
      'project/review changed: description',
      'prompt/tone changed: content,priority',
    ]);
    const other: Document = { ...prompt, agent: null, project: 'review' };
    expect(outcomes(await apply([other])), 'another of that name').to.deep.equal(['prompt/tone created']);
  });

  it('does all of it or nothing, and says what is wrong with each', async () => {
    const refused = await apply([project, { ...agent, llm: 'nobody' }, { ...prompt, agent: 'nobody' }]);
    expect(refused.status).to.equal(400);
    expect(refused.json).to.have.nested.property('details[0].path', 'documents.1.llm');
    expect(refused.json).to.have.nested.property('details[1].path', 'documents.2.agent');
    expect(await all('projects')).to.deep.equal([]);
    const wrong = await apply([
      { ...project, name: 'No Name', colour: 1 },
      { resource: 'promt' },
      { ...prompt, content: 7 },
    ]);
    expect(wrong.status).to.equal(400);
    const { details } = wrong.json as { details: { path: string; message: string }[] };
    expect(details.map(({ path }) => path)).to.have.members([
      ...['documents.0.name', 'documents.0.colour', 'documents.1.resource', 'documents.2.content'],
    ]);
    expect(details.find(({ path }) => path === 'documents.1.resource')?.message).to.include(
      'did you mean prompt?',
    );
    const twice = await apply([project, { ...project, description: 'Twice.' }]);
    expect([twice.status, twice.text]).to.satisfy(
      ([status, text]: [number, string]) =>
        status === 400 && text.includes('the same project as documents.0'),
    );
    expect((await apply([])).status).to.equal(400);
    expect(
      (await apply(Array.from({ length: 501 }, (_, n) => ({ ...project, name: `p${n}` })))).status,
    ).to.equal(400);
    expect(await all('projects')).to.deep.equal([]);
  });

  it('says what it would do, and does not, in a dry run', async () => {
    expect(outcomes(await apply([agent, project], { dryRun: true }))).to.deep.equal([
      'agent/critic created',
      'project/review created',
    ]);
    expect([...(await all('agents')), ...(await all('projects'))]).to.deep.equal([]);
    expect((await apply([agent, { ...project, name: 'other' }], { dryRun: true })).status).to.equal(400);
    expect(outcomes(await apply([agent, project]))).to.have.length(2);
  });

  it('is done as its caller: another’s name is taken, what may not be written refuses all', async () => {
    expect(outcomes(await apply([project, agent]))).to.have.length(2);
    const asBob = { token: t.tokens.bob };
    const taken = await apply([{ ...project, name: 'mine' }, project], asBob);
    expect([taken.status, taken.json])
      .to.deep.include(409)
      .and.to.satisfy(([, json]: [number, { code: string }]) => json.code === 'name_taken');
    expect((await apply([{ ...agent, systemPrompt: 'Mine now.' }], asBob)).status).to.equal(403);
    expect((await t.call('GET /api/v1/projects/mine', asBob)).status).to.equal(404);
    expect(await all('agents')).to.have.nested.property('[0].systemPrompt', 'Be hard.');
  });

  it('takes people and their rights too: grants behind whom they are for, and nothing that the caller lacks', async () => {
    const documents: Document[] = [
      {
        resource: 'rbac',
        name: 'gpu-users',
        subjects: [
          { kind: 'user', name: 'grace' },
          { kind: 'group', name: 'gpu' },
        ],
        bindings: [{ role: 'run', resource: 'llm', name: 'desk' }],
      },
      { resource: 'group', name: 'gpu' },
      { resource: 'user', name: 'grace' },
    ];
    expect((await apply(documents)).status, 'as a user').to.equal(403);
    const asRoot = { token: t.tokens.root };
    const events: string[] = [];
    t.deps.bus.on('registry.written', ({ verb, resource, name }) =>
      events.push(`${verb} ${resource} ${name}`),
    );
    await apply(documents, { ...asRoot, dryRun: true });
    expect(events.splice(0)).to.deep.equal(['edit apply dry-run']);
    expect(outcomes(await apply(documents, asRoot)).map((line) => line.split(' ').at(-1))).to.deep.equal([
      ...['created', 'created', 'created'],
    ]);
    const each = ['create rbac gpu-users', 'create group gpu', 'create user grace'];
    expect(events.splice(0)).to.deep.equal(['edit apply ', ...each]);
    expect(
      new Set(outcomes(await apply(documents, asRoot)).map((line) => line.split(' ').at(-1))),
    ).to.deep.equal(new Set(['unchanged']));
    expect(events, 'nothing was written').to.deep.equal([]);
  });

  it('of two at once, one comes after the other: what both are about is one’s, and the other finds it', async () => {
    const of = (description: string, from: number, to: number): Document[] =>
      Array.from({ length: to - from }, (_, n) => ({
        resource: 'project',
        name: `p${from + n}`,
        description,
      }));
    for (const round of ['Made', 'Changed']) {
      const ours = of(`${round} by us.`, 0, 14);
      const theirs = of(`${round} by them.`, 7, 21).reverse();
      const answers = await Promise.all([apply(ours), apply(theirs)]);
      expect(answers.map(({ status }) => status)).to.deep.equal([200, 200]);
      const [first, second] = answers.map(
        (answer) => new Map(outcomes(answer).map((line) => [line.split(' ')[0], line])),
      );
      const both = of('', 7, 14).map(({ name }) => `project/${String(name)}`);
      const created = [first, second].map((lines) =>
        both.filter((name) => lines?.get(name)?.endsWith(' created')),
      );
      // Of those who came first each is made new, and of who came later none is.
      if (round === 'Made') expect(created.map((each) => each.length).sort()).to.deep.equal([0, 7]);
      const stands = new Map((await all('projects')).map(({ name, description }) => [name, description]));
      const shared = new Set(of('', 7, 14).map(({ name }) => stands.get(name)));
      expect([...shared], 'all of who came last').to.have.length(1);
      if (round === 'Made')
        expect(shared.has('Made by us.'), 'who came last had nothing to make').to.equal(
          created[0]?.length === 0,
        );
      expect([stands.get('p0'), stands.get('p20')]).to.deep.equal([`${round} by us.`, `${round} by them.`]);
    }
  });

  it('makes of what was read the same once more, whatever it is', async () => {
    const word = fc.stringMatching(/^[a-z][a-z0-9]{0,5}$/);
    const text = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
      .filter((made) => !made.includes('\u0000'));
    const world = fc.record({
      projects: fc.uniqueArray(word, { maxLength: 3 }),
      prompts: fc.uniqueArray(
        fc.record({ name: word, priority: fc.integer({ min: 0, max: 1000 }), content: text, at: fc.nat(3) }),
        { maxLength: 4, selector: ({ name, at }) => `${name} ${at}` },
      ),
    });
    const own = (one: Record<string, unknown>): Record<string, unknown> => {
      const { id: _i, createdAt: _c, updatedAt: _u, revision: _r, ...rest } = one;
      return rest;
    };
    const bySort = (a: object, b: object): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
    await fc.assert(
      fc.asyncProperty(world, async ({ projects, prompts }) => {
        const made: Document[] = [
          ...prompts.map(({ at, ...one }) => ({ resource: 'prompt', ...one, project: projects[at] ?? null })),
          ...projects.map((name) => ({ resource: 'project', name })),
        ].filter((one, at, them) => them.findIndex((other) => alike(one, other)) === at);
        if (made.length === 0) return;
        expect((await apply(made)).status).to.equal(200);
        const read = async (): Promise<Document[]> => [
          ...(await all('prompts')).map((one) => ({ ...own(one), resource: 'prompt' })),
          ...(await all('projects')).map((one) => ({ ...own(one), resource: 'project' })),
        ];
        const before = (await read()).sort(bySort);
        for (const { id } of await all('prompts')) await t.call(`DELETE /api/v1/prompts/${String(id)}`);
        for (const { name } of await all('projects')) await t.call(`DELETE /api/v1/projects/${String(name)}`);
        expect((await apply(before)).status).to.equal(200);
        expect((await read()).sort(bySort)).to.deep.equal(before);
        expect(new Set(outcomes(await apply(before)).map((line) => line.split(' ').at(-1)))).to.deep.equal(
          new Set(['unchanged']),
        );
        for (const { id } of await all('prompts')) await t.call(`DELETE /api/v1/prompts/${String(id)}`);
        for (const { name } of await all('projects')) await t.call(`DELETE /api/v1/projects/${String(name)}`);
      }),
      { numRuns: 8 },
    );
  });
});

/** What would be one and the same. */
const alike = (a: Record<string, unknown>, b: Record<string, unknown>): boolean =>
  a['resource'] === b['resource'] &&
  a['name'] === b['name'] &&
  (a['project'] ?? null) === (b['project'] ?? null);
