import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { programOf } from '../support/program.ts';
import { llm } from './fixtures.ts';
import { delta, page, startPeer, streams, within, type Peer } from './peer.ts';

interface Run {
  child: ChildProcess;
  out: () => string;
  err: () => string;
  /** Resolves with the exit code once all output is here. */
  ended: Promise<number | null>;
}

describe('cli: the process', () => {
  let peer: Peer;
  let home: string;
  const children: ChildProcess[] = [];
  const main = programOf('cli');
  /** As its sources are: module by module. */
  const apart = ['--import', 'tsx', 'cli/main.ts'];

  function start(
    args: readonly string[],
    env: Record<string, string> = {},
    program: readonly string[] = [main],
  ): Run {
    const child = spawn(process.execPath, [...program, ...args], {
      env: {
        PATH: process.env['PATH'] ?? '',
        MCPCTL_HOME: home,
        MCPCTL_SERVER: peer.url,
        MCPCTL_TOKEN: 'secret-token',
        ...env,
      },
    });
    children.push(child);
    let [out, err] = ['', ''];
    child.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
    child.stderr.on('data', (piece: Buffer) => (err += piece.toString()));
    child.stdin.end();
    const ended = once(child, 'close').then(([code]) => code as number | null);
    return { child, out: () => out, err: () => err, ended };
  }

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'mcpctl-cli-'));
    peer = await startPeer();
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await peer.close();
    await rm(home, { recursive: true, force: true });
  });

  it('shows a short help when bare, the whole with --help, and leaves with 0', async () => {
    const bare = start([]);
    expect(await bare.ended).to.equal(0);
    expect(bare.out()).to.include('mcpctl chat-llm NAME');
    const whole = start(['--help']);
    expect(await whole.ended).to.equal(0);
    for (const name of [
      'get',
      'describe',
      'create',
      'delete',
      'chat',
      'chat-llm',
      'task',
      'token',
      'login',
      'status',
      'version',
    ])
      expect(whole.out()).to.match(new RegExp(`^ {2}${name}`, 'm'));
    expect(whole.err()).to.equal('');
  });

  it('leads with examples in the help of a command, and explains its exit codes', async () => {
    const get = start(['get', '--help']);
    expect(await get.ended).to.equal(0);
    expect(get.out()).to.match(/^Examples:\n {2}mcpctl get llm/);
    const codes = start(['help', 'exit-codes']);
    expect(await codes.ended).to.equal(0);
    expect(codes.out()).to.match(/0 .*\n.*1 .*\n.*2 .*\n.*3 .*\n.*4 /);
  });

  it('guesses what was meant and leaves with 2', async () => {
    for (const [args, guess] of [
      [['stats'], 'status'],
      [['get', 'llm', '--outptu', 'json'], '--output'],
    ] as const) {
      const run = start(args);
      expect(await run.ended).to.equal(2);
      expect(run.err()).to.include(`Did you mean ${guess}?`);
      expect(run.out()).to.equal('');
    }
  });

  it('loads no HTTP client and no schema for help', async () => {
    const run = start(['get', '--help'], { NODE_V8_COVERAGE: join(home, 'coverage') }, apart);
    expect(await run.ended).to.equal(0);
    const reports = await readdir(join(home, 'coverage'));
    const loaded = await Promise.all(reports.map((name) => readFile(join(home, 'coverage', name), 'utf8')));
    expect(loaded.join('')).to.include('/node_modules/commander/');
    expect(loaded.join('')).to.not.match(/node_modules\/(undici|zod|yaml|string-width)\//);
  });

  it('reads what a shell gives for a file, and does not wait for what is empty', async () => {
    const shell = async (script: string): Promise<string> => {
      const child = spawn('bash', ['--norc', '-c', script, process.execPath, main], {
        env: { PATH: process.env['PATH'] ?? '', MCPCTL_HOME: home },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      children.push(child);
      let text = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (piece: Buffer) => (text += piece.toString()));
      const [code] = (await within(once(child, 'close'), 'the end')) as [number];
      return `${code} ${text}`;
    };
    const apply = '"$0" "$@" apply --dry-run=client -f';
    const [full, empty] = await Promise.all([
      shell(`${apply} <(sleep 0; echo 'resource: project'; echo 'name: a')`),
      shell(`${apply} <(true)`),
    ]);
    expect(full).to.match(/^0 project in \/dev\/fd\/\d+:1 can be read\n$/);
    expect(empty).to.match(/^2 Error: There is no document in what was named/);
  });

  it('is quiet when the reader of its pipe leaves', async () => {
    peer.on('GET /api/v1/llms', page(Array.from({ length: 5000 }, (_, n) => ({ ...llm, name: `llm-${n}` }))));
    const run = start(['get', 'llm']);
    run.child.stdout?.once('data', () => run.child.stdout?.destroy());
    expect(await within(run.ended, 'the end')).to.equal(0);
    expect(run.err()).to.equal('');
  });

  it('stops the generation, quietly, when the reader of its answer leaves', async () => {
    let more: () => void = () => undefined;
    peer.on('POST /api/v1/llms/tiny-chat/infer', (response, request) => {
      more = () => void response.write(`data: ${JSON.stringify(delta({ content: 'lo' }))}\n\n`);
      return streams([delta({ content: 'Hel' })], { open: true })(response, request);
    });
    const run = start(['chat-llm', 'tiny-chat', '--message', 'hi']);
    await once(run.child.stdout ?? run.child, 'data');
    run.child.stdout?.destroy();
    await once(run.child.stdout ?? run.child, 'close');
    more();
    await within(peer.left, 'the close');
    expect(await within(run.ended, 'the end')).to.equal(0);
    expect(run.err()).to.equal('');
  });

  it('closes the connection and leaves with 2 at Ctrl-C', async () => {
    peer.on('POST /api/v1/llms/tiny-chat/infer', streams([delta({ content: 'Hel' })], { open: true }));
    const run = start(['chat-llm', 'tiny-chat', '--message', 'hi']);
    await once(run.child.stdout ?? run.child, 'data');
    run.child.kill('SIGINT');
    await within(peer.left, 'the close');
    expect(await within(run.ended, 'the end')).to.equal(2);
    expect(run.out()).to.equal('Hel\n');
    expect(run.err()).to.equal('Cancelled.\n');
  });

  it('names the faults of its environment', async () => {
    const run = start(['get', 'llm'], { MCPCTL_SERVER: 'nowhere', MCPCTL_TOKN: 'x' });
    expect(await run.ended).to.equal(1);
    expect(run.err()).to.include('MCPCTL_SERVER').and.to.include('did you mean MCPCTL_TOKEN?');
    expect(run.err().match(/MCPCTL_TOKN/g), 'said once').to.have.length(1);
  });

  it('colours only where colour is wanted', async () => {
    peer.on('GET /api/v1/llms', page([llm]));
    const piped = start(['get', 'llm']);
    await piped.ended;
    expect(piped.out()).to.not.include('\u001b');
    const forced = start(['get', 'llm'], { FORCE_COLOR: '1' });
    await forced.ended;
    expect(forced.out()).to.include('\u001b[1m');
    for (const [args, env] of [
      [['--no-color'], {}],
      [[], { NO_COLOR: '1' }],
    ] as const) {
      const off = start(['get', 'llm', ...args], { FORCE_COLOR: '1', ...env });
      await off.ended;
      expect(off.out()).to.not.include('\u001b');
    }
  });
});
