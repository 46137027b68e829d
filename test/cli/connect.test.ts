import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { makeConnect } from '../../cli/commands/connect/connect.ts';
import { clients } from '../../cli/commands/connect/clients.ts';
import { llm, publicLlm } from './fixtures.ts';
import { answers, page, startPeer, type Peer } from './peer.ts';
import { startSession, type Session } from './session.ts';

const docs = readFileSync(join(import.meta.dirname, '../../docs/clients.md'), 'utf8');
const names = Object.keys(clients);
const speaks = {
  ...llm,
  capabilities: { operations: ['chat', 'responses', 'messages'], contextLength: 2048 },
};

describe('cli: mcpctl connect', () => {
  let peer: Peer;
  let session: Session;
  beforeEach(async () => {
    peer = await startPeer();
    peer.on('GET /api/v1/llms', page([speaks]));
    session = await startSession(peer.url);
  });
  afterEach(async () => {
    await session.close();
    await peer.close();
  });

  /** Starts over, with another server's llms. */
  const ready = async (rows: readonly unknown[]): Promise<void> => {
    await session.close();
    session = await startSession(peer.url);
    peer.on('GET /api/v1/llms', page(rows));
  };
  const connect = (...args: string[]): Promise<number> => session.run('connect', ...args);

  for (const name of names) {
    it(`prints what docs/clients.md shows for ${name}, and nothing else on stdout`, async () => {
      expect(await connect(name, 'tiny-chat')).to.equal(0);
      const section = docs.split(/^## /m).find((part) => part.startsWith(`\`mcpctl connect ${name} `)) ?? '';
      const [, shown = ''] = /^```\w+\n([\s\S]*?)^```$/m.exec(section) ?? [];
      expect(session.out().replaceAll(peer.url, 'http://127.0.0.1:3100')).to.equal(shown);
      expect(section.replace(/\s+/g, ' ')).to.include(clients[name]?.goes.replace(/\s+/g, ' '));
    });

    it(`prints the token for ${name} when it is asked to, and says what that means`, async () => {
      expect(await connect(name, 'tiny-chat')).to.equal(0);
      expect(session.out() + session.err()).to.not.include('secret-token');
      expect(session.err()).to.match(/token/).and.to.not.include('Warning');
      expect(await connect(name, 'tiny-chat', '--with-token')).to.equal(0);
      expect(session.out()).to.include('secret-token');
      expect(session.out().slice(session.out().indexOf('secret-token'))).to.not.include('MCPCTL_TOKEN');
      expect(session.err()).to.include('Warning: your token is in it.').and.to.not.include('secret-token');
    });
  }

  it('has a section in docs/clients.md for each client, and no other', () => {
    const sections = [...docs.matchAll(/^## `mcpctl connect ([\w-]+) /gm)].map((match) => match[1]);
    expect(sections).to.deep.equal(names);
    const [argument] = makeConnect(session.context).registeredArguments;
    expect(argument?.description.split(/, | or /)).to.deep.equal(names);
  });

  it('names the clients that are near, or all, when it does not know one', async () => {
    expect(await connect('opnai', 'tiny-chat')).to.equal(2);
    expect(session.err()).to.include('There is no client "opnai". Did you mean openai?');
    expect(await connect('emacs', 'tiny-chat')).to.equal(2);
    expect(session.err()).to.include(`There are: ${names.join(', ')}.`);
    expect(session.out()).to.equal('');
    expect(peer.requests).to.deep.equal([]);
  });

  it('takes the one llm that is there, and asks which when there are several', async () => {
    expect(await connect('curl')).to.equal(0);
    expect(session.out()).to.include('"model":"tiny-chat"');
    await ready([
      llm,
      { ...llm, name: 'other', poolName: 'tiny-chat' },
      { ...publicLlm, status: 'inactive' },
    ]);
    expect(await connect('curl')).to.equal(0);
    await ready([llm, publicLlm]);
    expect(await connect('curl')).to.equal(2);
    expect(session.err()).to.include('Say which llm: tiny-chat, big.');
    await ready([]);
    expect(await connect('curl')).to.equal(2);
    expect(session.err()).to.include('There is no llm to call yet');
    expect(session.out()).to.equal('');
  });

  it('knows an llm by its name, its pool and its aliases, and names those that are near', async () => {
    await ready([llm, publicLlm]);
    for (const name of ['gpt', 'big', 'tiny']) {
      expect(await connect('openai', name)).to.equal(0);
      expect(session.out()).to.include(`model: '${name}'`);
    }
    expect(await connect('openai', 'tiny-chta')).to.equal(1);
    expect(session.err()).to.include("There is no llm named 'tiny-chta'. Did you mean tiny-chat");
  });

  it('warns where nobody serves it, and never of a protocol that is translated', async () => {
    await ready([{ ...llm, capabilities: {}, status: 'inactive' }]);
    expect(await connect('claude-code', 'tiny-chat')).to.equal(0);
    expect(session.err()).to.not.include('/v1/messages');
    expect(session.err()).to.include('tiny-chat is inactive now');
    await ready([speaks]);
    for (const name of ['claude-code', 'anthropic', 'codex', 'openai']) await connect(name, 'tiny-chat');
    expect(session.err()).to.not.include('Warning');
  });

  it('enters a project in the file of a client, beside what is there, without a key', async () => {
    peer.on('GET /api/v1/projects/demo', answers(200, { name: 'demo', description: '', servers: [] }));
    const entry = { command: 'mcplocal', args: ['mcp', 'connect', 'demo'] };
    const at = (path: string): string => join(session.home, path);
    writeFileSync(at('.mcp.json'), JSON.stringify({ other: 1, mcpServers: { mine: { command: 'x' } } }));
    for (const client of ['claude', 'cursor', 'vscode'])
      expect(await connect('demo', client), client).to.equal(0);
    const read = (path: string): unknown => JSON.parse(readFileSync(at(path), 'utf8'));
    expect(read('.mcp.json')).to.deep.equal({
      other: 1,
      mcpServers: { mine: { command: 'x' }, demo: entry },
    });
    expect(read('.cursor/mcp.json')).to.deep.equal({ mcpServers: { demo: entry } });
    expect(read('.vscode/mcp.json')).to.deep.equal({ servers: { demo: { type: 'stdio', ...entry } } });
    expect(session.err())
      .to.include(`Run "mcpctl login --server ${peer.url}"`)
      .and.to.include('mcplocal is not on your PATH, and claude will not find it')
      .and.to.include('Start claude with MCPCTL_HOME=');
    expect(session.err() + readFileSync(at('.mcp.json'), 'utf8')).to.not.include('secret-token');
    writeFileSync(at('.vscode/mcp.json'), '{ // mine\n}');
    expect(await connect('demo', 'vscode')).to.equal(2);
    expect(readFileSync(at('.vscode/mcp.json'), 'utf8')).to.equal('{ // mine\n}');
    expect(session.out()).to.equal('');
    expect(await connect('demo', 'vscode', '--print')).to.equal(0);
    expect(JSON.parse(session.out())).to.deep.equal({ servers: { demo: { type: 'stdio', ...entry } } });
    rmSync(at('.mcp.json'));
    execFileSync('mkfifo', [at('.mcp.json')]);
    expect(await connect('demo', 'claude'), 'nobody writes to that').to.equal(2);
    expect(await connect('nowhere', 'claude')).to.equal(1);
    expect(await connect('demo')).to.equal(2);
    expect(session.err()).to.include('mcpctl connect PROJECT claude|cursor|vscode');
  });

  it('needs to know a server, and a token to ask it with', async () => {
    const nowhere = await startSession(null);
    expect(await nowhere.run('connect', 'openai')).to.equal(4);
    await nowhere.close();
  });
});
