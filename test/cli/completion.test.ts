import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { expect } from 'chai';
import { argumentSources, optionSources } from '../../cli/complete/sources.ts';
import { createProgram } from '../../cli/program/program.ts';
import { catalogueEntry } from '../../core/resources/catalogue.ts';
import { resources } from '../../core/resources/index.ts';
import { llm, pool, publicLlm, task, taskId, token } from './fixtures.ts';
import { page, startPeer, within, type Peer } from './peer.ts';
import { programDeps, startSession, type Session } from './session.ts';

/** What a peer knows by these routes. */
async function startKnowingPeer(): Promise<Peer> {
  const peer = await startPeer();
  peer.on('GET /api/v1/llms', page([llm, publicLlm]));
  peer.on('GET /api/v1/pools', page([pool, { ...pool, poolKey: 'big' }]));
  peer.on('GET /api/v1/tasks', page([task, { ...task, id: 'over', status: 'completed' }]));
  peer.on('GET /api/v1/tokens', page([token, { ...token, name: 'old', revokedAt: 'then' }]));
  return peer;
}

describe('cli: completion', () => {
  let peer: Peer;
  let s: Session;
  beforeEach(async () => {
    peer = await startKnowingPeer();
    s = await startSession(peer.url);
  });
  afterEach(async () => {
    await peer.close();
    await s.close();
  });

  /** The lines that a shell gets. */
  const lines = async (...words: string[]): Promise<string[]> => {
    const before = s.out().length;
    expect(await s.run('__complete', 'zsh', '--', ...words)).to.equal(0);
    expect(s.err()).to.equal('');
    return s.out().slice(before).split('\n').slice(0, -1);
  };
  const offers = async (...words: string[]): Promise<string[]> =>
    (await lines(...words)).map((line) => line.split('\t')[0] ?? '');

  it('offers commands with what they do, below commands theirs, and topics of help', async () => {
    expect(await lines('stat')).to.deep.equal(['status\tis the server there, who am I, what is running']);
    expect(await offers(''))
      .to.include.members(['get', 'chat-llm', 'task', 'help'])
      .and.not.include('__complete');
    expect(await offers('task', 'l')).to.deep.equal(['list', 'logs']);
    expect(await offers('task', 'ls', '--st')).to.deep.equal(['--status']);
    expect(await offers('help', 'ex')).to.deep.equal(['explain', 'exit-codes']);
    expect(await offers('help', 'task', 'wa')).to.deep.equal(['wait']);
  });

  it('offers options, those of every command too, and their values', async () => {
    expect(await offers('get', '--s')).to.deep.equal([
      '--status',
      '--session',
      '--source',
      '--since',
      '--selector',
      '--sort-by',
      '--server',
    ]);
    expect(await offers('get', 'llm', '-o', '')).to.deep.equal(['table', 'wide', 'json', 'yaml', 'name']);
    expect(await offers('get', 'llm', '--output=j')).to.deep.equal(['--output=json']);
    expect(await offers('get', 'llm', '--status', '')).to.deep.equal(['active', 'inactive', 'hibernating']);
    expect(await offers('get', 't', '--status', 'c')).to.deep.equal(['claimed', 'completed', 'cancelled']);
    expect(await offers('get', 'task', '--pool', '')).to.deep.equal(['tiny-chat', 'big']);
    expect(await offers('completion', '')).to.deep.equal(['bash', 'zsh', 'fish']);
    expect(await offers('get', 'llm', '--token-file', '')).to.deep.equal([':files']);
    expect(await offers('get', '--', '--s')).to.deep.equal([]);
  });

  it('offers the names that are there, each where it fits', async () => {
    expect(await lines('get', 'llm', 'g')).to.deep.equal(['gpt\tactive, gpt-5']);
    expect(await offers('get', 'llms', 'gpt', '')).to.deep.equal(['tiny-chat']);
    expect(await offers('get', 'l')).to.deep.equal(['llm']);
    expect(await offers('get', 'llm/')).to.deep.equal(['llm/tiny-chat', 'llm/gpt']);
    expect(await offers('describe', 'pool/b')).to.deep.equal(['pool/big']);
    expect(await offers('delete', 'pool', '')).to.deep.equal([]);
    expect(await offers('chat-llm', '')).to.deep.equal(['tiny-chat', 'gpt', 'big']);
    expect(await offers('chat-llm', 'gpt', '')).to.deep.equal([]);
    expect(await offers('connect', 'co')).to.deep.equal(['codex', 'continue']);
    expect(await offers('connect', 'codex', 'b')).to.deep.equal(['big']);
    expect(await offers('task', 'wait', '')).to.deep.equal([taskId]);
    expect(await offers('task', 'retry', '')).to.deep.equal(['over']);
    expect(await offers('token', 'revoke', '')).to.deep.equal(['laptop']);
    expect(await offers('pool', 'allow', 'big', '')).to.deep.equal([]);
    expect(await offers('api', 'GET', '/v1/m')).to.deep.equal(['/v1/models']);
    peer.on('GET /api/v1/templates', page([{ name: 'time' }, { name: 'memory' }]));
    expect(await offers('create', 'server', 'clock', '--from-template', 't')).to.deep.equal(['time']);
  });

  it('offers agents, and what the one has that is named: its personalities, its threads', async () => {
    const thread = { id: taskId, title: 'One', turns: 1, openTurn: null, lastTurnAt: task.createdAt };
    const grumpy = { id: 'p', name: 'grumpy', description: 'Says what is bad first', isDefault: true };
    const kind = { id: 'q', name: 'kind', description: '', isDefault: false };
    peer.on('GET /api/v1/agents', page([{ name: 'reviewer' }, { name: 'poet' }]));
    peer.on('GET /api/v1/personalities', page([grumpy, kind]));
    peer.on('GET /api/v1/threads', page([thread]));
    peer.on('GET /api/v1/agents/reviewer/personalities', page([grumpy, kind]));
    peer.on('GET /api/v1/agents/reviewer/threads', page([thread]));
    peer.on('GET /api/v1/agents/poet/personalities', page([{ ...kind, name: 'bard' }]));
    expect(await offers('chat', 'r')).to.deep.equal(['reviewer']);
    expect(await offers('get', 'personality', '')).to.deep.equal(['grumpy', 'kind']);
    expect(await offers('describe', 'thread', '')).to.deep.equal([taskId]);
    expect(await lines('chat', 'reviewer', '--personality', '')).to.deep.equal([
      'grumpy\tdefault, Says what is bad first',
      'kind\t-',
      'none\tin spite of its default',
    ]);
    expect(await offers('describe', 'agent', 'reviewer', '--personality', 'g')).to.deep.equal(['grumpy']);
    expect(await offers('describe', 'agent/poet', '--personality=b')).to.deep.equal(['--personality=bard']);
    expect(await lines('chat', 'reviewer', '--thread', '')).to.deep.equal([`${taskId}\tOne`]);
    expect(await offers('chat', '--personality', '')).to.deep.equal(['none']);
    expect(await offers('chat', '--thread', '')).to.deep.equal([]);
  });

  it('asks the server that the line means, once in a while', async () => {
    const other = await startPeer();
    other.on('GET /api/v1/llms', page([{ ...llm, name: 'elsewhere' }]));
    const contexts = { current: null, contexts: { work: { server: other.url, token: 'of-work' } } };
    await writeFile(join(s.home, 'cli.json'), JSON.stringify(contexts));
    expect(await offers('--context', '')).to.deep.equal(['work']);
    expect(await offers('--context=work', 'get', 'llm', '')).to.deep.equal(['elsewhere']);
    expect(await offers('get', 'llm', '')).to.deep.equal(['tiny-chat', 'gpt']);
    expect(await offers('get', 'llm', 'g')).to.deep.equal(['gpt']);
    expect([other.requests.length, peer.requests.length]).to.deep.equal([1, 1]);
    expect(other.requests[0]?.headers.authorization).to.equal('Bearer of-work');
    const cache = join(s.home, 'cache');
    const [first = ''] = await readdir(cache);
    expect((await stat(join(cache, first))).mode & 0o777).to.equal(0o600);
    await other.close();
  });

  it('says nothing where no server is known, none answers in a second, or a file is damaged', async () => {
    peer.on('GET /api/v1/llms', () => undefined);
    expect(await within(offers('get', 'llm', ''), 'giving up')).to.deep.equal([]);
    await peer.left;
    await writeFile(join(s.home, 'cli.json'), '{');
    expect(await offers('get', 'llm', '')).to.deep.equal([]);
    await s.close();
    s = await startSession(null);
    expect(await offers('get', 'llm', '')).to.deep.equal([]);
  });

  it('reads a line as bash does, and gives the part that bash puts in', async () => {
    const bash = async (line: string, breaks = ' \t\n"\'><=;|&(:'): Promise<string[]> => {
      const before = s.out().length;
      await s.run('__complete', 'bash', '--', line, breaks);
      return s
        .out()
        .slice(before)
        .split('\n')
        .slice(0, -1)
        .map((each) => each.split('\t')[0] ?? '');
    };
    expect(await bash('mcpctl get llm g')).to.deep.equal(['gpt']);
    expect(await bash('mcpctl get llm "a b" --output=')).to.deep.equal(
      'table wide json yaml name'.split(' '),
    );
    expect(await bash('mcpctl get llm --output=j', ' \t')).to.deep.equal(['--output=json']);
    expect(await bash("mcpctl chat-llm -m 'it is' --pi")).to.deep.equal(['--pin']);
    peer.on(
      'GET /api/v1/pools',
      page([
        { ...pool, poolKey: 'a:b:c' },
        { ...pool, poolKey: 'a:x' },
      ]),
    );
    expect(await bash('mcpctl get pool a:b')).to.deep.equal(['b:c']);
  });

  it('knows what goes with every argument and every option', () => {
    const deps = programDeps(s);
    const [args, options] = [new Set<string>(), new Set<string>()];
    const look = (command: CommandUnknownOpts, path: string): void => {
      if (command.name().startsWith('__')) return;
      for (const option of command.options)
        if (option.required && !option.argChoices && option.long) options.add(option.long);
      if (command.registeredArguments.some((argument) => !argument.argChoices)) args.add(path);
      for (const child of command.commands) look(child, `${path} ${child.name()}`.trim());
    };
    // What a command is made of a resource says itself what goes with it; these two are written by hand.
    const byHand = [resources.secret, resources.server].map((resource) => catalogueEntry(resource));
    look(createProgram(deps, byHand), '');
    expect(Object.keys(argumentSources)).to.have.members([...args]);
    expect(Object.keys(optionSources)).to.have.members([...options]);
  });
});

/** The scripts, in the shells themselves, with the built program on their path. */
describe('cli: completion in the real shells', () => {
  let peer: Peer;
  let home: string;
  before(async () => {
    peer = await startKnowingPeer();
    home = await mkdtemp(join(tmpdir(), 'mcpctl-shell-'));
    const main = join(import.meta.dirname, '../../dist/cli/main.js');
    const command = `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`;
    await writeFile(join(home, 'mcpctl'), command, { mode: 0o755 });
  });
  after(async () => {
    await peer.close();
    await rm(home, { recursive: true, force: true });
  });

  /** What the shell prints for a script of ours, or null where that shell is not there. */
  async function shell(name: 'bash' | 'zsh' | 'fish', script: string): Promise<string | null> {
    if (spawnSync(name, ['--version']).error !== undefined) return null;
    const bare = { bash: ['--norc', '--noprofile'], zsh: ['-f'], fish: ['--no-config'] }[name];
    const account = { MCPCTL_HOME: home, MCPCTL_SERVER: peer.url, MCPCTL_TOKEN: 'secret-token' };
    const path = `${home}:${process.env['PATH'] ?? ''}`;
    const child = spawn(name, [...bare, '-c', script], {
      env: { PATH: path, HOME: home, TERM: 'xterm', ...account },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
    child.stderr.on('data', (piece: Buffer) => (err += piece.toString()));
    const late = setTimeout(() => child.kill('SIGKILL'), 15_000);
    await once(child, 'close');
    clearTimeout(late);
    expect(err).to.equal('');
    return out;
  }
  const skipped = (name: string): void =>
    void process.stderr.write(`${name} is not on this machine: its completion was not tried.\n`);

  it('bash', async function () {
    const press = (line: string): string =>
      `COMP_LINE='${line}' COMP_POINT=${line.length} COMP_WORDS=(${line}${line.endsWith(' ') ? '""' : ''})
       COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _mcpctl; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const lines = [press('mcpctl get llm '), press('mcpctl task lo')];
    const out = await shell('bash', `source <(mcpctl completion bash)\n${lines.join('\n')}`);
    if (out === null) return (skipped('bash'), this.skip());
    expect(out).to.equal('tiny-chat\ngpt\nlogs\n');
  });

  it('zsh', async function () {
    // A terminal of its own, in which the Tab key is pressed; each read waits for what it names.
    const out = await shell(
      'zsh',
      `zmodload zsh/zpty; zpty z zsh -f -i
       zpty -w z 'PS1="%% "; autoload -Uz compinit; compinit -u -D; source <(mcpctl completion zsh); print RE""ADY'
       zpty -r z out '*READY*'; zpty -w -n z $'mcpctl get llm g\t'; zpty -r z out '*get llm g*pt*'
       zpty -w -n z $'\\C-umcpctl task lo\t'; zpty -r z out '*task lo*gs*'; zpty -d z; print completed`,
    );
    if (out === null) return (skipped('zsh'), this.skip());
    expect(out).to.equal('completed\n');
  });

  it('fish', async function () {
    const script = `mcpctl completion fish | source; complete -C 'mcpctl get llm '; complete -C 'mcpctl task lo'`;
    const out = await shell('fish', script);
    if (out === null) return (skipped('fish'), this.skip());
    expect(out.trim().split('\n').sort()).to.deep.equal([
      'gpt\tactive, gpt-5',
      "logs\tshow a task's answer as far as it has come",
      'tiny-chat\tactive, tiny-chat:0.1b',
    ]);
  });
});
