import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { whoami } from './fixtures.ts';
import { answers, startPeer, type Peer } from './peer.ts';
import { startSession, type Session, type SessionOptions } from './session.ts';

describe('cli: config, logout, whoami', () => {
  let peer: Peer;
  let s: Session;
  const fresh = async (options?: SessionOptions): Promise<void> => {
    await s.close();
    s = await startSession(null, options);
  };
  const wrote = async (name: string, content: unknown): Promise<void> => {
    await mkdir(join(s.home, name, '..'), { recursive: true });
    await writeFile(join(s.home, name), JSON.stringify(content));
  };
  const kept = async (): Promise<unknown> => JSON.parse(await readFile(join(s.home, 'cli.json'), 'utf8'));
  const contexts = () => ({
    work: { server: peer.url, token: 'of-work' },
    home: { server: 'http://127.0.0.1:1', token: 'of-home' },
  });
  const who = async (...args: string[]): Promise<Record<string, unknown>> => {
    const before = s.out().length;
    expect(await s.run('whoami', '-o', 'json', ...args)).to.equal(0);
    return JSON.parse(s.out().slice(before)) as Record<string, unknown>;
  };
  const bearer = (): string | undefined => peer.requests.at(-1)?.headers.authorization;
  beforeEach(async () => {
    peer = await startPeer();
    peer.on('GET /api/v1/whoami', answers(200, whoami));
    s = await startSession(null);
  });
  afterEach(async () => {
    await peer.close();
    await s.close();
  });

  it('lists contexts, marks the current one, and never shows a token', async () => {
    await wrote('cli.json', { current: 'home', contexts: contexts() });
    expect(await s.run('config', 'get-contexts')).to.equal(0);
    expect(s.out()).to.match(/^CURRENT +NAME +SERVER\n- +work +http.*\n\* +home +http:\/\/127\.0\.0\.1:1\n$/);
    await s.run('config', 'get-contexts', 'work', '-o', 'json');
    await s.run('config', 'get-contexts', '-o', 'yaml');
    expect(s.out()).to.include(`"resource": "context"`).and.to.not.include('of-');
    expect(await s.run('config', 'get-contexts', 'wrk')).to.equal(2);
    expect(s.err()).to.include('Did you mean work?');
  });

  it('uses another context from now on', async () => {
    await wrote('cli.json', { current: 'home', contexts: contexts() });
    expect(await s.run('config', 'use-context', 'work')).to.equal(0);
    expect(await s.run('config', 'current-context')).to.equal(0);
    expect(s.out()).to.equal('work\n');
    expect((await stat(join(s.home, 'cli.json'))).mode & 0o777).to.equal(0o600);
    expect(await who()).to.deep.include({ server: peer.url, tokenFrom: 'context work' });
    expect(bearer()).to.equal('Bearer of-work');
  });

  it('makes and changes a context, and takes no token along to another server', async () => {
    const file = join(s.home, 'token');
    await writeFile(file, 'new-token\n');
    expect(await s.run('config', 'set-context', 'a', '--server', peer.url)).to.equal(2);
    expect(
      await s.run('config', 'set-context', 'a', '--server', `${peer.url}/`, '--token-file', file),
    ).to.equal(0);
    expect(await kept()).to.deep.equal({
      current: null,
      contexts: { a: { server: peer.url, token: 'new-token' } },
    });
    expect(await s.run('config', 'set-context', 'a', '--server', 'http://127.0.0.1:2')).to.equal(2);
    await writeFile(file, 'newer-token\n');
    expect(await s.run('config', 'set-context', 'a', '--token-file', file)).to.equal(0);
    expect(await kept()).to.deep.include({ contexts: { a: { server: peer.url, token: 'newer-token' } } });
    expect(peer.requests).to.have.length(0);
    expect(s.out() + s.err()).to.not.include('newer-token');
  });

  it('forgets a context', async () => {
    await wrote('cli.json', { current: 'home', contexts: contexts() });
    expect(await s.run('config', 'delete-context', 'work')).to.equal(0);
    expect(await kept()).to.deep.equal({ current: 'home', contexts: { home: contexts().home } });
    expect(await s.run('config', 'delete-context', 'home')).to.equal(0);
    expect(await kept()).to.deep.equal({ current: null, contexts: {} });
    expect(s.err()).to.include('It was the current one');
    expect(await s.run('config', 'delete-context', 'home')).to.equal(2);
  });

  it('logs out of the current context, or of one that is named', async () => {
    await wrote('cli.json', { current: 'home', contexts: contexts() });
    expect(await s.run('logout', '--context', 'work')).to.equal(0);
    expect(await s.run('logout')).to.equal(0);
    expect(await kept()).to.deep.equal({ current: null, contexts: {} });
    expect(await s.run('logout')).to.equal(2);
    expect(s.err()).to.include('You are not logged in');
  });

  it('takes a context from the environment, after MCPCTL_SERVER and before the current one', async () => {
    await fresh({ env: { MCPCTL_CONTEXT: 'work' } });
    await wrote('cli.json', { current: 'home', contexts: contexts() });
    expect(await who()).to.deep.include({ server: peer.url, serverFrom: 'context work, MCPCTL_CONTEXT' });
    expect(bearer()).to.equal('Bearer of-work');
    await fresh({ env: { MCPCTL_CONTEXT: 'work', MCPCTL_TOKEN: 'of-env' } });
    await wrote('cli.json', { current: 'home', contexts: contexts() });
    expect(await who()).to.deep.include({ tokenFrom: 'MCPCTL_TOKEN' });
    await fresh({ env: { MCPCTL_CONTEXT: 'home', MCPCTL_SERVER: peer.url, MCPCTL_TOKEN: 'of-env' } });
    expect(await who()).to.deep.include({ server: peer.url, serverFrom: 'MCPCTL_SERVER' });
  });

  it('keeps contexts in another file when it is told to', async () => {
    const elsewhere = await startSession(null, {
      env: { MCPCTL_CONFIG: join(s.home, 'other', 'file.json') },
    });
    await wrote('other/file.json', { current: 'work', contexts: contexts() });
    expect(await elsewhere.run('config', 'use-context', 'home')).to.equal(0);
    expect(JSON.parse(await readFile(join(s.home, 'other', 'file.json'), 'utf8'))).to.deep.include({
      current: 'home',
    });
    expect(await readFile(join(elsewhere.home, 'cli.json'), 'utf8').catch(() => 'none')).to.equal('none');
    await elsewhere.close();
  });

  it('takes the context that a project names, from its folder downwards', async () => {
    const cwd = join(s.home, 'project', 'deep');
    await mkdir(cwd, { recursive: true });
    const home = s.home;
    await wrote('cli.json', { current: 'home', contexts: contexts() });
    await wrote('project/.mcpctl.json', { context: 'work' });
    const inside = await startSession(null, { cwd, env: { MCPCTL_HOME: home } });
    expect(await inside.run('whoami')).to.equal(0);
    expect(inside.out()).to.include(`context work, ${join(home, 'project', '.mcpctl.json')}`);
    expect(await inside.run('whoami', '--context', 'home')).to.equal(1);
    await inside.close();
  });

  it('lets no project name a server: MCPCTL_TOKEN would go there', async () => {
    await fresh({ env: { MCPCTL_TOKEN: 'of-env' } });
    for (const content of [{ server: peer.url }, { context: 'work', server: peer.url }]) {
      await wrote('.mcpctl.json', content);
      expect(await s.run('whoami')).to.equal(1);
      expect(s.err()).to.include('.mcpctl.json is damaged').and.to.include('{ "context": NAME }');
    }
    expect(peer.requests).to.have.length(0);
  });

  it('uses the server that the machine’s operator says where nothing else is known, with a token of one’s own', async () => {
    await wrote('system.json', { server: peer.url });
    expect(await s.run('whoami')).to.equal(4);
    expect(s.err()).to.include(`No token is known for ${peer.url}`);
    await writeFile(join(s.home, 'token'), 'mine');
    expect(await who('--token-file', join(s.home, 'token'))).to.deep.equal({
      server: peer.url,
      serverFrom: join(s.home, 'system.json'),
      user: 'ada',
      binding: 'admin',
      token: 'laptop',
      expiresAt: null,
      tokenFrom: '--token-file',
    });
    await wrote('cli.json', { current: 'home', contexts: contexts() });
    expect(await s.run('whoami')).to.equal(1);
    expect(s.err()).to.include('http://127.0.0.1:1 cannot be reached');
  });
});
