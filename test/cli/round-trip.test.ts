import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { kindsOf } from '../../core/declared/kinds.ts';
import { textSchema } from '../../core/names.ts';
import { stored } from '../../core/resources/index.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { startSession, type Session } from './session.ts';

type Document = { resource: string } & Record<string, unknown>;

/** Few in a run of everything; `MCPCTL_RUNS=200` for a long one. */
const RUNS = Number(process.env['MCPCTL_RUNS'] ?? 4);
const types = [
  ...[
    'user',
    'group',
    'rbac',
    'secret',
    'llm',
    'pool',
    'server',
    'project',
    'agent',
    'prompt',
    'personality',
  ],
];

const word = fc.stringMatching(/^x[a-z0-9]{0,4}$/);
/** Whatever a file might read as something else. */
const odd = fc.constantFrom(
  '012',
  'true',
  '~',
  'null',
  '1e3',
  ' a ',
  '- b',
  '# c',
  'd: e',
  "it's",
  '"f"',
  '%g',
  '&h',
  '*i',
  '!j',
  '|',
  '>',
  '{k}',
  '[l]',
  '---',
  '...',
  '\t',
  'ä\u0301😀',
  'x'.repeat(200),
);
const piece = fc
  .oneof(odd, fc.string({ unit: 'grapheme', maxLength: 30 }))
  .filter(
    (made) => made.isWellFormed() && !/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\ufffe\uffff]/.test(made),
  );
/** One line, of which a tab is none. */
const text = piece.filter((made) => textSchema(2_000).safeParse(made).success);
const value = odd.filter((made) => made !== '');
const lines = fc.array(piece, { minLength: 1, maxLength: 4 }).map((all) => `.${all.join('\n')}`);
const some = <T>(items: readonly T[]) => (items.length === 0 ? fc.constant([]) : fc.subarray([...items]));

/** An installation beside what is built in, as documents. */
const worlds = fc
  .record({
    users: fc.uniqueArray(word, { maxLength: 3 }),
    groups: fc.uniqueArray(word, { maxLength: 2 }),
    llms: fc.uniqueArray(
      word.map((name) => `l${name}`),
      { minLength: 1, maxLength: 3 },
    ),
    projects: fc.uniqueArray(word, { maxLength: 2 }),
    agents: fc.uniqueArray(
      word.map((name) => `a${name}`),
      { maxLength: 2 },
    ),
    servers: fc.uniqueArray(
      word.map((name) => name.slice(0, 4)),
      { maxLength: 2 },
    ),
    secrets: fc.uniqueArray(word, { maxLength: 2 }),
  })
  .chain(({ users, groups, llms, projects, agents, servers, secrets }) => {
    const ofSecrets = secrets.map((name) => ({ secretRef: { name, key: 'KEY' } }));
    return fc
      .record({
        users: fc.tuple(
          ...users.map((name) =>
            fc.record({
              name: fc.constant(`u${name}`),
              kind: fc.constantFrom('human', 'service'),
              enabled: fc.boolean(),
            }),
          ),
        ),
        groups: fc.tuple(
          ...groups.map((name) =>
            fc.record({
              name: fc.constant(`g${name}`),
              description: text,
              members: some(users.map((user) => `u${user}`)),
            }),
          ),
        ),
        rbac: fc.tuple(
          ...groups.map((name) =>
            fc.record({
              name: fc.constant(`r${name}`),
              description: text,
              subjects: some([
                { kind: 'group', name: `g${name}` },
                ...users.map((user) => ({ kind: 'user', name: `u${user}` })),
              ]),
              bindings: some([
                { role: 'run', resource: 'llm', name: llms[0] ?? '' },
                { role: 'view', resource: 'secret' },
                ...projects.map((project) => ({ role: 'edit', resource: 'project', name: project })),
              ]),
              operations: some(['logs', 'backup']),
            }),
          ),
        ),
        secrets: fc.tuple(
          ...secrets.map((name) =>
            fc.record({
              name: fc.constant(name),
              description: text,
              allowedOrigins: fc.constantFrom(
                [],
                ['http://backend.test'],
                ['http://backend.test', 'https://b.test:8443'],
              ),
              data: fc.record({ KEY: value, 'b.c': value }, { requiredKeys: ['KEY'] }),
            }),
          ),
        ),
        llms: fc.tuple(
          ...llms.map((name, at) =>
            fc.record({
              ...{
                name: fc.constant(name),
                type: fc.constant('openai'),
                model: fc.constantFrom('m', '012', 'true'),
                url: fc.constant('http://backend.test/v1'),
              },
              tier: fc.constantFrom(null, 'fast', '1e3'),
              poolName: fc.constantFrom(null, at > 0 ? (llms[0] ?? null) : null),
              aliases: some([`Alias:${name}`, `${name}-2`]),
              description: text,
              maxConcurrency: fc.constantFrom(null, 3),
              apiKeyRef: fc.constantFrom(
                null,
                { env: 'BACKEND_KEY' },
                { file: '/run/keys/012' },
                ...ofSecrets,
              ),
              capabilities: fc.constantFrom(
                {},
                { vision: true, contextLength: 8192 },
                { operations: ['chat'], tools: false },
              ),
            }),
          ),
        ),
        pools: fc.tuple(
          fc.record({ poolKey: fc.constant(llms[0] ?? ''), allowed: some(users.map((user) => `u${user}`)) }),
        ),
        servers: fc.tuple(
          // Without a source it is a worker's, and what that publishes is in no document.
          ...servers.map((name) =>
            fc.record({
              name: fc.constant(name),
              description: text,
              source: fc.constantFrom(
                { command: '/bin/true', args: ['012', '~'], cwd: '/tmp' },
                { url: 'https://mcp.test/x', headers: [{ name: 'X-A', value: '012' }] },
              ),
              env: fc.constantFrom([], [{ name: 'A_B', value: 'true' }]),
              limits: fc.constantFrom(null, { slots: 2, idleMinutes: 0.5 }),
            }),
          ),
        ),
        projects: fc.tuple(
          ...projects.map((name) =>
            fc
              .record({
                name: fc.constant(name),
                description: text,
                prefix: fc.constantFrom('always', 'never'),
                pipeline: fc.record(
                  {
                    redact: fc.subarray(['012', '(?i)a \\d+']),
                    paginate: fc.record(
                      { over: fc.constant(1_000), titles: fc.constant('llm') },
                      { requiredKeys: [] },
                    ),
                    split: fc.record({ min: fc.constant(100) }, { requiredKeys: [] }),
                    limit: fc.record({ max: fc.constant(2_000) }, { requiredKeys: [] }),
                  },
                  { requiredKeys: [] },
                ),
                gate: fc.constantFrom('off', 'brief', 'hide'),
                llm: fc.constantFrom(null, ...llms, 'nobody'),
                servers: some([
                  ...servers.map((server) => ({
                    server,
                    alias: `${server}-2`,
                    tools: { allow: ['a*'] },
                    pin: 'enforce' as const,
                  })),
                  ...servers.map((server) => ({ server })),
                ]),
              })
              // Names of several servers could meet.
              .map((one) => (one.prefix === 'never' ? { ...one, servers: one.servers.slice(0, 1) } : one)),
          ),
        ),
        agents: fc.tuple(
          ...agents.map((name) =>
            fc.record({
              ...{
                name: fc.constant(name),
                llm: fc.constantFrom(...llms),
                project: fc.constantFrom(null, ...projects),
              },
              ...{
                description: text,
                systemPrompt: fc.oneof(fc.constant(''), lines),
                visibility: fc.constantFrom('shared', 'private'),
              },
              pinMode: fc.constantFrom('pool', 'only'),
              defaultPersonality: fc.constantFrom(null, 'stern'),
              defaultParams: fc.constantFrom(
                {},
                { temperature: 0.25, stop: ['012', '~'], seed: 9007199254740991 },
              ),
              serverTools: fc.boolean(),
              extras: fc.constantFrom({}, { tools: { allow: ['a', '012'] }, callerSystem: 'refuse' }),
            }),
          ),
        ),
        prompts: fc.tuple(
          ...[...projects.map((project) => ({ project })), ...agents.map((agent) => ({ agent })), {}].map(
            (of, at) =>
              fc
                .record({
                  name: fc.constant(`p${at}`),
                  priority: fc.nat(1000),
                  content: lines,
                  link: fc.constantFrom(null, { server: 'x', uri: 'note://012#~' }),
                  tags: fc.subarray(['012', 'true', 'a b']),
                  summary: text.filter((made) => made.length <= 160),
                })
                // Of a project's the text may be elsewhere.
                .map(({ content, link, ...one }) =>
                  'project' in of && link ? { ...one, ...of, link } : { ...one, ...of, content },
                ),
          ),
        ),
        personalities: fc.tuple(
          ...agents.map((agent, at) =>
            fc.record({
              ...{
                name: fc.constant('stern'),
                agent: fc.constant(agent),
                description: text,
                priority: fc.nat(1000),
              },
              prompts: some([
                { prompt: `p${projects.length + at}`, priority: 7 },
                { prompt: `p${projects.length + agents.length}` },
              ]),
            }),
          ),
        ),
      })
      .map((world): Document[] => [
        ...world.personalities.map((one) => ({ resource: 'personality', ...one })),
        ...world.prompts.map((one) => ({ resource: 'prompt', ...one })),
        ...world.agents.map((one) => ({ resource: 'agent', ...one })),
        ...world.projects.map((one) => ({ resource: 'project', ...one })),
        ...world.servers.map((one) => ({ resource: 'server', ...one })),
        ...world.pools.map((one) => ({ resource: 'pool', ...one })),
        ...world.llms.map((one) => ({ resource: 'llm', ...one })),
        ...world.secrets.map((one) => ({ resource: 'secret', ...one })),
        ...world.rbac.map((one) => ({ resource: 'rbac', ...one })),
        ...world.groups.map((one) => ({ resource: 'group', ...one })),
        ...world.users.map((one) => ({ resource: 'user', ...one })),
      ]);
  });

const fallbackOf = (resource: string, name: string): unknown =>
  stored.find(({ word }) => word === resource)?.fields[name]?.fallback ?? null;

describe('cli: what is read can be applied to an empty installation, and read again', function () {
  this.timeout(1_200_000);
  let [here, there]: EdgeFixture[] = [];
  before(async () => {
    [here, there] = await Promise.all([edgeFixture(), edgeFixture()]);
  });
  after(async () => {
    await here?.close();
    await there?.close();
  });

  const at = async <T>(edge: EdgeFixture, work: (s: Session) => Promise<T>): Promise<T> => {
    const s = await startSession(null, { env: { MCPCTL_SERVER: edge.url, MCPCTL_TOKEN: edge.tokens.root } });
    try {
      return await work(s);
    } finally {
      await s.close();
    }
  };
  const runs = (edge: EdgeFixture, file: string, ...args: string[]): Promise<string> =>
    at(edge, async (s) => {
      const path = join(s.home, 'all.yaml');
      await writeFile(path, file);
      expect(await s.run(...args, '-f', path), s.err()).to.equal(0);
      return s.out();
    });
  /** All that there is, as the command line writes it. */
  const read = async (edge: EdgeFixture): Promise<string> => {
    const texts: string[] = [];
    for (const type of types)
      texts.push(
        await at(edge, async (s) => {
          expect(await s.run('get', type, '-o', 'yaml'), s.err()).to.equal(0);
          return s.out();
        }),
      );
    return texts.filter((each) => each !== '').join('---\n');
  };
  /** Without what is the server's; prompts and what has ids in no order of their own. */
  const plain = (all: string): string[] =>
    all
      .split(/^---\n/m)
      .map((each) =>
        each
          .split('\n')
          .filter((line) => !line.startsWith('#'))
          .join('\n'),
      )
      .sort();
  const traces = async ({ connection: { db } }: EdgeFixture): Promise<unknown> =>
    (
      await db.raw<{ rows: unknown[] }>(
        'select (select count(*) from audit)::int + (select count(*) from managed)::int as n',
      )
    ).rows;

  it('is tried with every field that a document may have, and with others than its default', () => {
    const seen = new Set<string>();
    for (const world of fc.sample(worlds, { numRuns: 200, seed: 1 }))
      for (const { resource, ...fields } of world)
        for (const [name, value] of Object.entries(fields))
          if (JSON.stringify(value) !== JSON.stringify(fallbackOf(resource, name)))
            seen.add(`${resource}.${name}`);
    const all = kindsOf(stored).flatMap(({ word, schemas }) =>
      Object.keys(schemas.create.shape).map((name) => `${word}.${name}`),
    );
    expect([...seen].sort()).to.deep.equal(all.sort());
    expect([...types].sort()).to.deep.equal(
      kindsOf(stored)
        .map(({ word }) => word)
        .sort(),
    );
  });

  it('the same, but for what is the server’s; the second time all is unchanged, with no row and no event', async () => {
    const [a, b] = [here ?? expect.fail(), there ?? expect.fail()];
    const events: string[] = [];
    b.bus.on('registry.written', ({ resource }) => events.push(resource));
    await fc.assert(
      fc.asyncProperty(worlds, async (world) => {
        const made = JSON.stringify(world);
        try {
          await runs(a, made, 'apply');
          // Values are in no file that is read: who applies it to another installation brings them.
          const first = await read(a);
          const values = world.filter(({ resource }) => resource === 'secret');
          const others = first.split(/^---\n/m).filter((each) => !each.startsWith('resource: secret'));
          if (values.length > 0) await runs(b, JSON.stringify(values), 'apply');
          await runs(b, others.join('---\n'), 'apply');
          const second = await read(b);
          expect(plain(second)).to.deep.equal(plain(first));
          events.length = 0;
          const before = await traces(b);
          const outcomes = (await runs(b, second, 'apply')).trim().split('\n');
          expect(new Set(outcomes.map((line) => line.split(' ').at(-1)))).to.deep.equal(
            new Set(['unchanged']),
          );
          expect([events, await traces(b)]).to.deep.equal([[], before]);
        } finally {
          for (const edge of [a, b]) await runs(edge, made, 'delete', '--yes', '--ignore-not-found');
        }
      }),
      { numRuns: RUNS },
    );
  });
});
