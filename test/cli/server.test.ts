import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { llm, pool, publicLlm, whoami } from './fixtures.ts';
import { answers, fails, page, startPeer, type Peer } from './peer.ts';
import { startSession, type Session, type SessionOptions } from './session.ts';

const TOKEN = 'tok-1';

describe('cli: which server, and as whom', () => {
  let peer: Peer;
  let s: Session;
  /** A session that knows nothing but its home. */
  const fresh = async (options?: SessionOptions): Promise<void> => {
    await s.close();
    s = await startSession(null, options);
  };
  const wrote = (name: string, content: unknown): Promise<void> =>
    writeFile(join(s.home, name), JSON.stringify(content));
  const usedTokens = (): (string | undefined)[] => peer.requests.map(({ headers }) => headers.authorization);
  beforeEach(async () => {
    peer = await startPeer();
    peer.on('GET /api/v1/llms', page([llm, publicLlm, { ...llm, status: 'inactive' }]));
    peer.on('GET /api/v1/pools', page([pool, pool]));
    peer.on('GET /api/v1/whoami', answers(200, whoami));
    s = await startSession(null);
  });
  afterEach(async () => {
    await peer.close();
    await s.close();
  });

  it('leaves with 4 and says how to log in when no server or no token is known', async () => {
    expect(await s.run('get', 'llm')).to.equal(4);
    expect(s.err()).to.include('npm start').and.to.include('mcpctl login');
    await fresh();
    expect(await s.run('get', 'llm', '--server', peer.url)).to.equal(4);
    expect(s.err()).to.include(`mcpctl login --server ${peer.url}`);
    expect(peer.requests).to.have.length(0);
  });

  it('leaves with 4 when the server refuses the token', async () => {
    peer.on('GET /api/v1/llms', fails(401, 'unauthenticated', 'Run "mcpctl login".'));
    await fresh({ env: { MCPCTL_SERVER: peer.url, MCPCTL_TOKEN: TOKEN } });
    expect(await s.run('get', 'llm')).to.equal(4);
    expect(s.err()).to.equal(
      `Error: ${peer.url} does not take the token of MCPCTL_TOKEN: it is unknown, expired or revoked. Give another one, made with "mcpctl token create NAME". (unauthenticated)\n`,
    );
    await fresh();
    await wrote('cli.json', { current: 'work', contexts: { work: { server: peer.url, token: TOKEN } } });
    expect(await s.run('get', 'llm')).to.equal(4);
    expect(s.err())
      .to.include('the token of context work: it is unknown, expired or revoked.')
      .and.to.include(`Log in again: mcpctl login --server ${peer.url}`);
  });

  it('uses the credentials that npm start wrote', async () => {
    await wrote('credentials', { mcpdUrl: `${peer.url}/`, token: TOKEN });
    expect(await s.run('get', 'llm')).to.equal(0);
    expect(usedTokens()).to.deep.equal([`Bearer ${TOKEN}`]);
  });

  it('prefers flag to environment to context to credentials', async () => {
    const contexts = {
      work: { server: peer.url, token: 'of-work' },
      home: { server: peer.url, token: 'of-home' },
    };
    const all = async (): Promise<void> => {
      await wrote('credentials', { mcpdUrl: peer.url, token: 'of-credentials' });
      await wrote('cli.json', { current: 'home', contexts });
      await writeFile(join(s.home, 'token'), ' of-file\n');
    };
    await all();
    await s.run('get', 'llm');
    await s.run('get', 'llm', '--context', 'work');
    await fresh({ env: { MCPCTL_TOKEN: 'of-env', MCPCTL_SERVER: peer.url } });
    await all();
    await s.run('get', 'llm');
    await s.run('get', 'llm', '--context', 'work');
    await s.run('get', 'llm', '--token-file', join(s.home, 'token'));
    expect(usedTokens()).to.deep.equal(
      ['of-home', 'of-work', 'of-env', 'of-work', 'of-file'].map((t) => `Bearer ${t}`),
    );
  });

  it('sends a stored token to its own server only', async () => {
    await wrote('credentials', { mcpdUrl: 'http://127.0.0.1:1', token: TOKEN });
    await wrote('cli.json', {
      current: 'a',
      contexts: { a: { server: 'http://127.0.0.1:2', token: TOKEN } },
    });
    expect(await s.run('get', 'llm', '--server', peer.url)).to.equal(4);
    expect(peer.requests).to.have.length(0);
  });

  it('refuses a bad URL, an unknown context and a damaged file, each in a sentence', async () => {
    expect(await s.run('get', 'llm', '--server', 'localhost:3100')).to.equal(2);
    expect(s.err()).to.include('write it like http://');
    await wrote('cli.json', { current: null, contexts: { work: { server: peer.url, token: TOKEN } } });
    expect(await s.run('get', 'llm', '--context', 'wrk')).to.equal(2);
    expect(s.err()).to.include('Did you mean work?');
    await writeFile(join(s.home, 'cli.json'), '{');
    expect(await s.run('get', 'llm')).to.equal(1);
    expect(s.err()).to.include('cli.json is damaged');
  });

  it('logs in with a token from stdin and keeps it for the owner’s eyes only', async () => {
    s.stdin.end(`${TOKEN}\n`);
    expect(await s.run('login', '--server', `${peer.url}/`, '--with-token')).to.equal(0);
    expect(s.err()).to.include('as ada (admin)');
    expect(s.out()).to.equal('');
    const file = join(s.home, 'cli.json');
    expect((await stat(file)).mode & 0o777).to.equal(0o600);
    const name = new URL(peer.url).host;
    expect(JSON.parse(await readFile(file, 'utf8'))).to.deep.equal({
      current: name,
      contexts: { [name]: { server: peer.url, token: TOKEN } },
    });
    expect(await s.run('get', 'llm')).to.equal(0);
    expect(usedTokens()).to.deep.equal([`Bearer ${TOKEN}`, `Bearer ${TOKEN}`]);
  });

  it('gives a worker of this machine its first credentials, and never changes those that are there', async () => {
    const file = join(s.home, 'credentials');
    s.stdin.end(TOKEN);
    expect(await s.run('login', '--server', peer.url, '--with-token')).to.equal(0);
    expect((await stat(file)).mode & 0o777).to.equal(0o600);
    expect(JSON.parse(await readFile(file, 'utf8'))).to.deep.equal({ mcpdUrl: peer.url, token: TOKEN });
    const own = JSON.stringify({ mcpdUrl: peer.url, token: 'of the worker' });
    await writeFile(file, own);
    await writeFile(join(s.home, 'token'), TOKEN);
    const from = join(s.home, 'token');
    expect(await s.run('login', '--server', peer.url, '--token-file', from)).to.equal(0);
    expect(await readFile(file, 'utf8')).to.equal(own);
  });

  it('logs in from a file under a name, beside the contexts that are there', async () => {
    await wrote('cli.json', { current: 'old', contexts: { old: { server: 'http://h', token: 'x' } } });
    await writeFile(join(s.home, 'token'), TOKEN);
    const file = join(s.home, 'token');
    expect(await s.run('login', '--server', peer.url, '--token-file', file, '--context', 'work')).to.equal(0);
    const kept = JSON.parse(await readFile(join(s.home, 'cli.json'), 'utf8')) as {
      contexts: object;
      current: string;
    };
    expect(Object.keys(kept.contexts)).to.deep.equal(['old', 'work']);
    expect(kept.current).to.equal('work');
  });

  it('asks for the token on a terminal without showing it', async () => {
    await fresh({ tty: { stdin: true, stderr: true } });
    s.stdin.write(`${TOKEN}\r`);
    expect(await s.run('login', '--server', peer.url)).to.equal(0);
    expect(s.err()).to.include('Token: ').and.to.not.include(TOKEN);
    expect(usedTokens()).to.deep.equal([`Bearer ${TOKEN}`]);
  });

  it('stores nothing when the server does not know the token, or there is none', async () => {
    peer.on('GET /api/v1/whoami', fails(401, 'unauthenticated'));
    s.stdin.end(TOKEN);
    expect(await s.run('login', '--server', peer.url, '--with-token')).to.equal(4);
    expect(await s.run('login', '--server', peer.url)).to.equal(2);
    await fresh();
    s.stdin.end('two words');
    expect(await s.run('login', '--server', peer.url, '--with-token')).to.equal(2);
    expect(await readFile(join(s.home, 'cli.json'), 'utf8').catch(() => 'none')).to.equal('none');
  });

  it('sums up the server', async () => {
    await wrote('credentials', { mcpdUrl: peer.url, token: TOKEN });
    expect(await s.run('status')).to.equal(0);
    expect(s.out()).to.match(
      /^Server: +\S+ answers \(\d+ ms\)\nVersion: +0\.1\.0\nUser: +ada \(admin\), token laptop\n/,
    );
    expect(s.out(), 'of a server that has no overview').to.match(
      /Llms: +2 active of 3\nPools: +2\nTasks: +4 pending, 2 running\n$/,
    );
    await fresh();
    await wrote('credentials', { mcpdUrl: peer.url, token: TOKEN });
    await s.run('status', '-o', 'json');
    expect(JSON.parse(s.out())).to.deep.include({ user: 'ada', tasks: { pending: 4, running: 2 } });
    expect(s.err()).to.equal('');
  });

  it('says in one sentence that a server is not there', async () => {
    const { url } = peer;
    await peer.close();
    await wrote('credentials', { mcpdUrl: url, token: TOKEN });
    expect(await s.run('status')).to.equal(1);
    expect(s.out()).to.equal(`Server:  ${url} cannot be reached\n`);
    expect(s.err()).to.include('npm start').and.to.include('--server').and.to.include('(server_unreachable)');
  });

  it('takes an answer that is not the API’s for what it is', async () => {
    await wrote('credentials', { mcpdUrl: peer.url, token: TOKEN });
    peer.on('GET /api/v1/llms', (response) => void response.end('<html>'));
    expect(await s.run('get', 'llm')).to.equal(1);
    peer.on('GET /api/v1/llms', answers(200, { data: [] }));
    expect(await s.run('get', 'llm')).to.equal(1);
    peer.on('GET /api/v1/llms', (response) => void response.writeHead(301, { location: 'https://x' }).end());
    expect(await s.run('get', 'llm')).to.equal(1);
    expect(s.err().match(/\(bad_answer\)/g)).to.have.length(3);
    peer.on('GET /api/v1/llms', fails(418, 'from_the_future', 'Newer.'));
    expect(await s.run('get', 'llm')).to.equal(1);
    expect(s.err()).to.include('Newer. [from_the_future]');
  });

  it('prints both versions and warns when they do not fit', async () => {
    await wrote('credentials', { mcpdUrl: peer.url, token: TOKEN });
    expect(await s.run('version')).to.equal(0);
    expect(s.out()).to.equal('Client:  0.1.0\nServer:  0.1.0\n');
    expect(s.err()).to.equal('');
    peer.on('GET /api/v1/whoami', answers(200, { ...whoami, version: '0.2.0' }));
    await s.run('version');
    expect(s.err()).to.include('Warning: mcpctl 0.1.0 and the server 0.2.0');
  });

  it('prints its own version without a server, and fails when a known one is away', async () => {
    expect(await s.run('version', '-o', 'json')).to.equal(0);
    expect(JSON.parse(s.out())).to.deep.equal({ client: '0.1.0', server: null });
    await fresh({ env: { MCPCTL_SERVER: 'http://127.0.0.1:1', MCPCTL_TOKEN: TOKEN } });
    expect(await s.run('version', '--client')).to.equal(0);
    expect(await s.run('version')).to.equal(1);
    expect(s.out()).to.equal('Client:  0.1.0\nClient:  0.1.0\nServer:  -\n');
  });

  it('traces calls without the token when asked', async () => {
    await fresh({ env: { MCPCTL_SERVER: peer.url, MCPCTL_TOKEN: TOKEN, MCPCTL_DEBUG: 'api' } });
    await s.run('get', 'llm');
    expect(s.err())
      .to.match(/^> GET \S+\/api\/v1\/llms\?limit=500\n< 200 \d+ ms\n$/)
      .and.to.not.include(TOKEN);
  });
});
