import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { McpctlError } from '../../core/errors.ts';
import { openNetwork } from '../../core/runtime/network/network.ts';
import { lookThere } from '../../worker/face/doctor/at-server.ts';
import { startSession } from '../cli/session.ts';
import { scriptedEdge } from '../bridge/scripted-edge.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { startKnown } from '../support/known-backends.ts';
import { endOf, mcplocal } from '../support/mcplocal.ts';
import { programOf } from '../support/program.ts';
import { onSmallDisk } from '../support/small-disk.ts';
import { createSockets } from '../support/sockets.ts';
import { startTlsFront } from '../support/tls-front.ts';

describe('mcplocal join', function () {
  this.timeout(40_000);
  let t: EdgeFixture;
  let home: string;
  let env: NodeJS.ProcessEnv;
  before(async () => {
    t = await edgeFixture();
  });
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'joins-'));
    env = { PATH: process.env['PATH'], MCPCTL_HOME: home };
  });
  afterEach(() => rm(home, { recursive: true, force: true }));
  after(() => t.close());

  const invite = async (): Promise<string> =>
    ((await t.call('POST /api/v1/join-codes', { body: { pools: ['gpu'] } })).json as { code: string }).code;
  const codeOf = (...argv: string[]): Promise<string> => endOf(env, ...argv);

  it('is invited at the command line, where codes are seen and withdrawn', async () => {
    const person = await startSession(null, { env: { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.tokens.ada } });
    const asked = async (...argv: string[]): Promise<unknown> => {
      const from = person.out().length;
      expect(await person.run('worker', ...argv, '-o', 'json'), person.err()).to.equal(0);
      return JSON.parse(person.out().slice(from));
    };
    const inviteHere = async () =>
      (await asked('invite', '--pool', 'gpu')) as { code: string; expiresAt: string; command: string };
    try {
      const { code, expiresAt, command } = await inviteHere();
      expect(command).to.equal(`mcplocal join ${t.url} --code ${code}`);
      expect(Date.parse(expiresAt) - Date.now()).to.be.within(540_000, 610_000);
      const [, ...argv] = command.split(' ');
      expect(await codeOf(...argv)).to.equal('ok');
      const second = await inviteHere();
      const items = (await asked('codes')) as { id: string; state: string }[];
      expect(items.map(({ state }) => state)).to.deep.equal(['good', 'used']);
      expect(await person.run('worker', 'withdraw', items[0]?.id ?? ''), person.err()).to.equal(0);
      const late = await codeOf('join', t.url, '--code', second.code, '--replace');
      expect(late).to.match(/^join_code_expired: /);
    } finally {
      await person.close();
    }
  });

  it('joins one at a time, and where there is room for what it is given: no code is used up in vain', async () => {
    const codes = [await invite(), await invite()];
    const both = await Promise.all(codes.map((code) => codeOf('join', t.url, '--code', code)));
    expect(both.filter((end) => end === 'ok')).to.have.length(1);
    const [refused = ''] = both.filter((end) => end !== 'ok');
    expect(refused).to.match(/^already_running: .*"mcplocal join".*process \d+/);
    const unused = codes[both.indexOf(refused)] ?? '';
    const folder = join(home, 'small');
    await mkdir(folder);
    const program = [process.execPath, programOf('worker'), 'join', t.url, '--code', unused, '--no-input'];
    const filled = ['sh', '-c', `head -c 8192 /dev/zero > ${folder}/film; exec "$@"`, 'sh'];
    const small = await onSmallDisk({ kib: 8, folder, env: { MCPCTL_HOME: folder } }, ...filled, ...program);
    if (typeof small !== 'string') {
      expect(small.code, small.err).to.equal(1);
      expect(small.err).to.match(/ENOSPC.*make room there/);
      expect(small.left).to.deep.equal(['film']);
    }
    env['MCPCTL_HOME'] = folder;
    expect(await codeOf('join', t.url, '--code', unused)).to.equal('ok');
  });

  it('asks again where the server goes as it lets a machine in, and says what is left of that', async () => {
    const answers: [number, object][] = [];
    const edge = await scriptedEdge(({ path }, res) => {
      const [status, body] = (path === '/api/v1/join' && answers.shift()) || [0, {}];
      if (status === 0) return void res.destroy();
      res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
    try {
      answers.push([0, {}], [410, { code: 'join_code_used', error: 'The code was used.', requestId: 'r' }]);
      expect(await codeOf('join', edge.url, '--code', 'x')).to.match(
        /^join_code_used: .*this machine, most likely.*mcpctl token revoke/,
      );
      const as = { user: 'ada', name: 'desk', pools: ['gpu'], host: null, expiresAt: null };
      answers.push([0, {}], [201, { ...as, token: 'mcpw_x' }]);
      expect(await codeOf('join', edge.url, '--code', 'x')).to.equal('ok');
    } finally {
      await edge.close();
    }
  });

  it('says what to do where config.json cannot be written, and leaves no part of it', async function () {
    const ollama = await startKnown.ollama();
    const given = {
      PATH: process.env['PATH'] ?? '',
      MCPCTL_HOME: home,
      OLLAMA_HOST: new URL(ollama.url).host,
    };
    const program = [process.execPath, programOf('worker'), 'init', '--yes'];
    const fill = ['sh', '-c', 'head -c 8192 /dev/zero > "$MCPCTL_HOME/film"; exec "$@"', 'sh'];
    const small = { kib: 8, folder: home, env: given };
    try {
      for (const [why, run] of [
        ['ENOSPC', () => onSmallDisk(small, ...fill, ...program)],
        ['EROFS', () => onSmallDisk({ ...small, isReadOnly: true }, ...program)],
      ] as const) {
        const ended = await run();
        if (typeof ended === 'string') return this.skip();
        expect(ended.code, ended.err).to.equal(1);
        expect(ended.err).to.equal(
          `mcplocal: ${home}/config.json cannot be written (${why}): make room there, or set MCPCTL_HOME to another folder.\n`,
        );
        expect(ended.left).to.deep.equal(why === 'ENOSPC' ? ['film'] : []);
      }
    } finally {
      await ollama.close();
    }
  });

  it('leaves again where it was killed as it left', async () => {
    let leaving: ChildProcess | undefined;
    const edge = await scriptedEdge((_, res) => {
      if (leaving?.kill('SIGKILL')) return; // what the server says is heard by nobody
      res.writeHead(401, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ code: 'unauthenticated', error: 'It is over.', requestId: 'r' }));
    });
    try {
      const credentials = JSON.stringify({ mcpdUrl: edge.url, token: 'mcpw_x' });
      await writeFile(join(home, 'credentials'), credentials, { mode: 0o600 });
      leaving = spawn(process.execPath, [programOf('worker'), 'leave'], { env, stdio: 'ignore' });
      expect(await once(leaving, 'exit')).to.deep.equal([null, 'SIGKILL']);
      expect(await readdir(home)).to.have.members(['credentials', 'credentials.lock']);
      const { shown } = await mcplocal(env, 'leave');
      expect(shown).to.include('knew this machine no more');
      expect(await readdir(home)).to.deep.equal([]);
    } finally {
      await edge.close();
    }
  });

  it('says over TLS whose certificate the server has, and waits for none that says nothing', async () => {
    const front = await startTlsFront('localhost', t);
    const sockets = createSockets();
    const silent = createServer((socket) => sockets.keep(socket)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const network = openNetwork();
    try {
      env['MCPCTL_CA_FILE'] = join(home, 'ca.pem');
      await writeFile(env['MCPCTL_CA_FILE'], front.certificate);
      const server = `https://localhost:${String(front.port)}`;
      const { shown } = await mcplocal(env, 'join', server, '--code', await invite());
      expect(shown).to.match(/^localhost:\d+ · certificate of localhost · clocks \d+\.\d s apart\n/);
      expect((await mcplocal(env, 'doctor')).shown)
        .to.match(/PASS https:.*TCP \d+ ms, certificate of localhost until .*, clocks/)
        .and.match(/(PASS Node 2[2-9]|WARN Node 20\..* gets no fixes any more → install Node 22)/);
      const at = `https://127.0.0.1:${String((silent.address() as AddressInfo).port)}`;
      const from = performance.now();
      const looked = lookThere(network, at, 200).then(
        () => 'answered',
        (thrown: unknown) => (thrown as McpctlError).code,
      );
      expect(await looked).to.equal('server_unreachable');
      expect(performance.now() - from).to.be.below(5_000);
    } finally {
      await network.dispatcher.destroy();
      await sockets.closeWith(silent);
      await front.close();
    }
  });

  it('says of a code that it was used, is over, or is none, and keeps what a person logged in with', async () => {
    const theirs = JSON.stringify({ mcpdUrl: t.url, token: t.tokens.ada });
    await writeFile(join(home, 'credentials'), theirs, { mode: 0o600 });
    const code = await invite();
    expect((await mcplocal(env, 'join', t.url, '--code', code, '--run')).next).to.equal('serve');
    expect(await readFile(join(home, 'credentials'), 'utf8')).to.equal(theirs);
    const own = JSON.parse(await readFile(join(home, 'worker-credentials'), 'utf8')) as { token: string };
    expect(own.token).to.match(/^mcpw_/);
    const again = (asked: string) => codeOf('join', t.url, '--code', asked, '--replace');
    expect(await again(code)).to.match(/^join_code_used: .* used at \d{4}/);
    expect(await again('7F3K-Q2ZD-M8RT')).to.match(/^join_code_unknown: /);
    const late = await invite();
    await t.connection.db.raw(
      `update join_codes set expires_at = now() - interval '1 minute' where used_at is null`,
    );
    expect(await again(late)).to.match(/^join_code_expired: .* expired at \d{4}/);
    expect(await codeOf('join', 'ftp://h', '--code', 'x')).to.match(/^usage: /);
    expect(await codeOf('join', 'http://127.0.0.1:1', '--code', 'x')).to.match(/^name_taken: .*--replace/);
    await mcplocal(env, 'leave');
    expect(await readFile(join(home, 'credentials'), 'utf8')).to.equal(theirs);
  });
});
