import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { createKeys } from '../../core/queue/keys.ts';
import { addressOf } from '../../core/queue/link/where.ts';
import { answers, chats, startBackend, type Backend } from '../support/backend.ts';
import { createCanaries, foundIn } from '../support/canaries.ts';
import { createPublic, everythingStored, hostedRole, startHosted } from '../support/hosted.ts';
import { keyringWith, newKey } from '../support/keyring.ts';
import { startOwnRedis, type OwnRedis } from '../support/own-redis.ts';
import type { TestProcess } from '../support/process.ts';
import { programOf } from '../support/program.ts';
import { startSystem, until, type System } from '../support/system.ts';
import { reachServers } from './reach-servers.ts';

const posts = (backend: Backend) => backend.requests.filter(({ method }) => method === 'POST');
const WITHIN_MS = 20_000;

describe('a secret, from who writes it to the backend', function () {
  this.timeout(120_000);
  const canaries = createCanaries();
  let t: System;
  let folder: string;
  let keysFile: string;
  let hosted: TestProcess;
  let backend: Backend;
  /** Whose every command is heard, and whose file is read. */
  let own: OwnRedis;
  let monitor: Redis;
  const commands: string[] = [];
  /** Where it is to be is the environment; nowhere else. */
  const redisPassword = randomBytes(24).toString('hex');
  /** All of it is done with no more than this. */
  let role: Awaited<ReturnType<typeof hostedRole>>;
  const texts: string[] = [];
  const key = newKey();

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mcpctl-secrets-'));
    keysFile = join(folder, 'keys');
    await writeFile(keysFile, `${key}\n`);
    own = await startOwnRedis();
    await own.redis.config('SET', 'rdbcompression', 'no');
    monitor = await own.redis.monitor();
    monitor.on('monitor', (_at: string, words: string[]) => commands.push(words.join(' ')));
    const env = {
      MCPCTL_SECRETS_KEYS_FILE: keysFile,
      LOG_LEVEL: 'trace',
      REDIS_URL: own.url,
      MCPCTL_HOSTED_REDIS_PASSWORD: redisPassword,
      // A fault of ours that nobody catches, at a word.
      NODE_OPTIONS: `--import=data:text/javascript,process.on('SIGUSR2',()=>{throw(new(Error)('crash'))})`,
    };
    t = await startSystem(env);
    backend = await startBackend();
    role = await hostedRole(t);
    hosted = startHosted(t, { ...env, DATABASE_URL: role.databaseUrl, REDIS_URL: addressOf(own.url) });
    await hosted.event('service.ready');
  });
  after(async () => {
    await hosted.kill('SIGKILL');
    await role.drop();
    await t.close();
    monitor.disconnect();
    await own.close();
    await backend.close();
    await rm(folder, { recursive: true });
  });

  const call = async (method: string, path: string, body?: unknown) => {
    const answer = await t.call(method, `/api/v1${path}`, body === undefined ? {} : { body });
    const text = await answer.text();
    if (!path.endsWith('/reveal')) texts.push(text);
    return { status: answer.status, text };
  };
  const infer = (name: string, stream = false) =>
    t.call('POST', `/api/v1/llms/${name}/infer`, {
      body: { stream, messages: [{ role: 'user', content: 'hi' }] },
    });
  const uses = (name: string) => ({ url: backend.url, apiKeyRef: { secretRef: { name, key: 'KEY' } } });
  const isServed = (name: string) =>
    until(
      () => t.llm(name),
      (llm) => llm.servedBy === 1,
      WITHIN_MS,
    );

  it('is used in a new version by the next call, and the answer that runs goes on to its end', async () => {
    const [first, second] = [canaries.secret('first'), canaries.secret('second')];
    expect((await call('POST', '/secrets', { name: 'rotates', data: { KEY: first } })).status).to.equal(201);
    await createPublic(t, { name: 'rotating', ...uses('rotates') });
    await isServed('rotating');
    backend.once(chats(['one', 'two'], { paced: true }));
    const running = infer('rotating', true).then((answer) => answer.text());
    await backend.next('request');
    expect((await call('PATCH', '/secrets/rotates', { data: { KEY: second } })).status).to.equal(200);
    const usedNow = async () => {
      await (await infer('rotating')).text();
      return posts(backend).at(-1)?.headers['authorization'];
    };
    expect(await until(usedNow, (used) => used !== `Bearer ${first}`, WITHIN_MS)).to.equal(
      `Bearer ${second}`,
    );
    backend.release(Infinity);
    const text = await running;
    expect(text).to.include('two').and.include('[DONE]').and.not.include('error');
    expect(hosted.lines.filter((line) => line.msg === 'the hosted worker serves')).to.have.length(1);
  });

  it('that cannot be opened keeps its own llm from being served, and that may go elsewhere only is sent nowhere', async () => {
    await call('POST', '/secrets', { name: 'broken', data: { KEY: canaries.secret('broken') } });
    await createPublic(t, { name: 'breaks', ...uses('broken') });
    await isServed('breaks');
    const { db } = t.sandbox.connection;
    await db.raw(
      `update secret_versions set wrapped_dek = 'AAAA' where secret_id = (select id from secrets where name = 'broken')`,
    );
    await db.raw(`update secrets set revision = revision + 1 where name = 'broken'`);
    const logged = await hosted.next((line) => line['llm'] === 'breaks' && line['why'] !== undefined);
    expect(logged['why']).to.match(/^The secret 'broken' \(version 1\) cannot be opened/);
    expect((await infer('rotating')).status).to.equal(200);
    await call('PATCH', '/secrets/rotates', { allowedOrigins: ['https://elsewhere.test'] });
    const refused = await until(
      async () => {
        const answer = await infer('rotating');
        return { status: answer.status, text: await answer.text() };
      },
      ({ status }) => status === 502,
      WITHIN_MS,
    );
    expect(refused.text).to.include("The secret 'rotates' may not be sent").and.not.include('127.0.0.1');
    await call('PATCH', '/secrets/rotates', { allowedOrigins: [] });
  });

  /** mcpctl as a person runs it; what it printed is kept, and what of it the system shows to others. */
  const cli = async (args: readonly string[], { stdin = '', env = {} } = {}): Promise<number | null> => {
    const child = spawn(process.execPath, [programOf('cli'), ...args], {
      env: {
        PATH: process.env['PATH'] ?? '',
        ...{
          TMPDIR: folder,
          MCPCTL_HOME: folder,
          MCPCTL_SERVER: t.url,
          MCPCTL_TOKEN: t.token,
          MCPCTL_DEBUG: 'api',
        },
        ...env,
      },
    });
    shown.push(ofProcess(child.pid));
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => void texts.push(text));
    child.stdin.end(stdin);
    const [code] = (await once(child, 'close')) as [number | null];
    return code;
  };
  /** What `ps` and /proc tell of a process. */
  const ofProcess = (pid: number | undefined): string =>
    ['cmdline', 'environ'].map((what) => readFileSync(`/proc/${String(pid)}/${what}`, 'utf8')).join('\n');
  const shown: string[] = [];
  /** Command lines of MCP servers. */
  const ofChildren: string[] = [];

  it('goes through the command line, and the editor, and is printed by neither', async () => {
    const [made, changed, edited] = ['made', 'changed', 'edited'].map((what) => canaries.secret(what));
    const key = ['--from-stdin', 'KEY'];
    expect(await cli(['create', 'secret', 'typed', ...key], { stdin: made ?? '' })).to.equal(0);
    const file = join(folder, 'typed.yaml');
    await writeFile(file, `resource: secret\nname: typed\ndata:\n  KEY: ${changed ?? ''}\n`);
    expect(await cli(['diff', '-f', file]), texts.at(-1)).to.equal(3);
    expect(await cli(['apply', '-f', file]), texts.at(-1)).to.equal(0);
    const editor = join(folder, 'editor.mjs');
    const seen = join(folder, 'seen');
    await writeFile(
      editor,
      `import fs from 'node:fs';
       const [path] = process.argv.slice(2);
       const text = fs.readFileSync(path, 'utf8');
       const of = (id) => ['cmdline', 'environ'].map((what) => fs.readFileSync('/proc/' + id + '/' + what, 'utf8')).join();
       fs.writeFileSync(${JSON.stringify(seen)}, text + of('self') + of(process.ppid));
       fs.writeFileSync(path, text.replace(/^( +)KEY:(\\n\\1 +.*)+/m, '$1KEY: ' + fs.readFileSync(${JSON.stringify(`${seen}.new`)}, 'utf8')));`,
    );
    await writeFile(`${seen}.new`, edited ?? '');
    const env = { EDITOR: `${process.execPath} ${editor}` };
    expect(await cli(['edit', 'secret', 'typed'], { env }), texts.join('\n').slice(-500)).to.equal(0);
    shown.push(await readFile(seen, 'utf8'));
    expect(shown.at(-1)).to.include('masked: true');
    expect((await readdir(folder)).filter((name) => name.startsWith('mcpctl-edit-'))).to.deep.equal([]);
    expect((await call('POST', '/secrets/typed/reveal', {})).text).to.include(edited);
    for (const args of [
      ['describe', 'secret', 'typed'],
      ['get', 'secret', 'typed', '-o', 'yaml'],
      ['get', 'secret', '-o', 'json'],
      ['get', 'audit', '--name', 'typed', '-o', 'yaml'],
      ['secret', 'versions', 'typed'],
      ['backup', '--secrets', 'none', '--output', join(folder, 'plain.gz')],
    ])
      expect(await cli(args), args.join(' ')).to.equal(0);
    expect(await cli(['secret', 'rotate', 'typed', '--from-file', `NO KEY=${seen}.new`])).to.not.equal(0);
    expect(texts.join('\n')).to.include('bytes: ');
  });

  it('reaches an MCP server that a hosted worker runs once it is there, and the server at a URL, and nobody besides', async () => {
    await reachServers({ t, canaries, call, hosted, texts, ofChildren, cli });
  });

  it('is found in no log, store, metric, answer, argument or environment, whatever door it came through', async () => {
    const [quoted, refused, applied] = [
      canaries.secret('quo"ted+/='),
      canaries.secret('refused'),
      canaries.secret('applied'),
    ];
    await call('POST', '/secrets', { name: 'quoted', data: { KEY: quoted } });
    await createPublic(t, { name: 'quotes', ...uses('quoted') });
    await isServed('quotes');
    const forms = [quoted, encodeURIComponent(quoted), Buffer.from(quoted).toString('base64')];
    for (const status of [400, 401, 500]) {
      backend.once(answers(status, { error: { message: `Bad key ${forms.join(' or ')}` } }));
      texts.push(await (await infer('quotes')).text());
      await isServed('quotes');
    }
    for (const body of [
      { name: 'Bad Name', data: { KEY: refused } },
      { name: 'bad', data: { KEY: [refused] } },
      { name: 'bad', data: refused },
    ])
      expect((await call('POST', '/secrets', body)).status).to.equal(400);
    const documents = [{ resource: 'secret', name: 'applied', data: { KEY: applied } }];
    expect((await call('POST', '/apply', { documents })).status).to.equal(200);
    for (const path of [
      '/secrets',
      '/secrets/applied',
      '/secrets/applied/versions',
      '/keyring',
      '/llms',
      '/resources',
    ])
      expect((await call('GET', path)).status, path).to.equal(200);
    expect((await call('POST', '/secrets/applied/rollback', {})).status).to.equal(400);
    expect((await call('POST', '/secrets/applied/reveal', {})).text).to.include(applied);
    const processes = [t.edge, t.scheduler, hosted];
    const places = {
      answers: texts.join('\n'),
      stores: await everythingStored({ ...t.sandbox, redisUrl: own.url }),
      dump: await dumped(t),
      commands: commands.join('\n'),
      rdb: await savedBy(own),
      metrics: await (await t.call('GET', '/metrics')).text(),
      processes: [...shown, ...ofChildren, ...processes.map(({ child }) => ofProcess(child.pid))].join('\n'),
      logs: linesOf(processes),
    };
    expectNowhere(places);
    const { processes: _environments, ...others } = places;
    for (const [place, text] of Object.entries(others)) expect(text, place).not.to.include(redisPassword);
    // Each was looked at where something is.
    expect(places.stores).to.include('secret_versions');
    if (places.dump !== '') expect(places.dump).to.include('CREATE TABLE').and.to.include('secret_versions');
    expect(places.commands.length).to.be.above(10_000);
    expect(places.rdb).to.include(t.sandbox.namespace);
    expect(places.processes).to.include('MCPCTL_SECRETS_KEYS_FILE');
    expect(places.answers).to.include('[key]');
  });

  it('is served by who may read the public llms, their keys and what was asked of them, and no row of anything else', async () => {
    expect(role.exited).to.equal(0);
    const large = 'x'.repeat(300_000); // it is in Postgres alone
    backend.once(chats(['large']));
    const messages = [{ role: 'user', content: large }];
    const answer = await t.call('POST', '/api/v1/llms/rotating/infer', { body: { messages } });
    expect([answer.status, posts(backend).at(-1)?.body.includes(large)]).to.deep.equal([200, true]);

    await call('POST', '/secrets', { name: 'unused', data: { KEY: canaries.secret('unused') } });
    const { schema, connection } = t.sandbox;
    const as = new Client({ connectionString: role.databaseUrl });
    await as.connect();
    const asked = (sql: string): Promise<string> =>
      as.query<Record<string, unknown>>(sql).then(
        ({ rows }) => JSON.stringify(rows),
        (thrown: unknown) => (thrown as { code: string }).code,
      );
    try {
      const { rows } = await connection.db.raw<{ rows: { name: string }[] }>(
        'select table_name as name from information_schema.tables where table_schema = ?',
        [schema],
      );
      const views = rows.filter(({ name }) => name.startsWith('hosted_'));
      expect(views).to.have.length(6);
      expect(rows.map(({ name }) => name)).to.include.members([
        'tokens',
        'users',
        'audit',
        'secrets',
        'tasks',
      ]);
      for (const { name } of rows) {
        const of = `"${schema}".${name}`;
        const isView = views.some((view) => view.name === name);
        expect(await asked(`select * from ${of} limit 1`), name)[isView ? 'not' : 'to'].equal('42501');
        for (const write of [`insert into ${of} default values`, `delete from ${of}`, `truncate ${of}`])
          expect(await asked(write), write).to.be.oneOf(['42501', '42809', '55000']);
      }
      const keys = await asked(`select name from "${schema}".hosted_keys`);
      expect(keys).to.include('rotates').and.not.include('unused');
      expect(await asked(`select * from "${schema}".hosted_requests`), 'it has ended').to.equal('[]');
      expect(await asked(`create table "${schema}".mine (id int)`)).to.equal('42501');
    } finally {
      await as.end();
    }
  });

  it('and signs in to Redis as who may touch the pools of public llms, and nothing of anybody else’s', async () => {
    const users = (await own.redis.call('CLIENT', 'LIST')) as string;
    const name = `${t.sandbox.namespace}/0/hosted`;
    const ofHosted = users.split('\n').filter((line) => line.includes(` user=${name} `));
    expect(ofHosted.length, users).to.be.at.least(2);
    const keys = createKeys(t.sandbox.namespace);
    const as = new Redis(addressOf(own.url), {
      username: name,
      password: redisPassword,
      ...{ enableReadyCheck: false, disableClientInfo: true },
    });
    const say = (command: string, ...words: string[]): Promise<string> =>
      as.call(command, ...words).then(String, (thrown: unknown) => String(thrown));
    const pools = ['rotating', 'elsewhere'].map((pool) => keys.pool(pool).members);
    try {
      expect(await say('HGETALL', pools[0] ?? '')).to.include('"state":"serving"');
      for (const key of [pools[1] ?? '', keys.identity, keys.duties, keys.lease(randomUUID())])
        expect(await say('HGETALL', key), key).to.match(/NOPERM/);
      for (const words of [
        ['KEYS', '*'],
        ['MONITOR'],
        ['ACL', 'LIST'],
        ['EVAL', 'return 1', '0'],
        ['FLUSHALL'],
      ])
        expect(await say(words[0] ?? '', ...words.slice(1)), words[0]).to.match(/NOPERM/);
      // What is public from now on is in its pools, and served; Redis that has lost the user has it again.
      await createPublic(t, { name: 'elsewhere', ...uses('rotates') });
      await isServed('elsewhere');
      await own.redis.call('ACL', 'DELUSER', name);
      const answered = async () => (await infer('elsewhere')).status;
      expect(await until(answered, (status) => status === 200, WITHIN_MS)).to.equal(200);
    } finally {
      as.disconnect();
    }
  });

  it('has no edge with keys that are others: it leaves, and names the one that is wanted', async () => {
    const { databaseUrl: DATABASE_URL, redisUrl: REDIS_URL, namespace, schema } = t.sandbox;
    const { startProcess } = await import('../support/process.ts');
    const other = startProcess(programOf('edge'), {
      env: {
        ...{
          DATABASE_URL,
          REDIS_URL,
          MCPCTL_REDIS_NAMESPACE: namespace,
          MCPCTL_PG_SCHEMA: schema,
          PORT: '0',
        },
        MCPCTL_SECRETS_KEY: newKey(),
      },
    });
    expect(await other.exited).to.equal(1);
    const sentences = other.lines.map((line) => line.msg).join('\n');
    expect(sentences).to.include('MCPCTL_SECRETS_KEYS_FILE').and.include(keyringWith(key).active.kid);
  });

  it('is not in what a process says that dies of a fault of ours, or is made to leave a picture of itself', async () => {
    backend.once(chats(['one', 'two'], { paced: true }));
    const running = infer('rotating', true).then((answer) => answer.text());
    await backend.next('request');
    hosted.child.kill('SIGUSR2');
    expect(await hosted.exited).to.equal(1);
    t.edge.child.kill('SIGUSR2');
    expect(await t.edge.exited).to.equal(1);
    expect(await t.scheduler.kill('SIGABRT')).to.equal(null);
    await running.catch(() => undefined);
    backend.release(Infinity);
    const logs = linesOf([t.edge, t.scheduler, hosted]);
    expect(logs.match(/an exception that nobody caught/g)).to.have.length(2);
    expectNowhere({ logs });
  });

  const linesOf = (of: readonly TestProcess[]): string =>
    of.flatMap(({ lines }) => lines.map((line) => JSON.stringify(line))).join('\n');
  function expectNowhere(places: Record<string, string>): void {
    const words = [...Object.values(canaries.secrets), key].flatMap((word) => [
      word,
      encodeURIComponent(word),
      JSON.stringify(word).slice(1, -1),
      Buffer.from(word).toString('base64').replace(/=+$/, ''),
    ]);
    for (const [place, text] of Object.entries(places)) expect(foundIn(text, words), place).to.deep.equal([]);
  }
});

/** What Redis writes to its disk. */
async function savedBy({ redis }: OwnRedis): Promise<string> {
  await redis.save();
  const settings = await redis.config('GET', 'd*');
  const of = (name: string): string => settings[settings.indexOf(name) + 1] ?? '';
  return await readFile(join(of('dir'), of('dbfilename')), 'latin1');
}

/** What an operator's pg_dump writes of it. */
async function dumped({ sandbox: { databaseUrl, schema } }: System): Promise<string> {
  const child = spawn('pg_dump', ['--schema', schema, '--dbname', databaseUrl], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const pieces: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => void pieces.push(text));
  // Not everywhere is there one: then it is the rows that were looked at.
  return await new Promise((resolve) => {
    child.on('close', () => resolve(pieces.join(''))).on('error', () => resolve(''));
  });
}
