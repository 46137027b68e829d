import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { answers, empty, fails, startPeer, until, within, type Peer } from './peer.ts';
import { startSession, type Session, type SessionOptions } from './session.ts';

describe('cli: mcpctl api', () => {
  let peer: Peer;
  let s: Session;
  const fresh = async (options?: SessionOptions): Promise<void> => {
    await s.close();
    s = await startSession(peer.url, options);
  };
  const last = () => peer.requests.at(-1);
  beforeEach(async () => {
    peer = await startPeer();
    s = await startSession(peer.url);
  });
  afterEach(async () => {
    await peer.close();
    await s.close();
  });

  it('prints an answer as it is, as the one who is logged in', async () => {
    const odd = '{"a":1.0,\n "b":12345678901234567890}';
    peer.on('GET /api/v1/odd', (response) => void response.end(odd));
    expect(await s.run('api', 'get', '/api/v1/odd?x=1&y=%20')).to.equal(0);
    expect(s.out()).to.equal(odd);
    expect(s.err()).to.equal('');
    expect(last()?.url).to.equal('/api/v1/odd?x=1&y=%20');
    expect(last()?.headers.authorization).to.equal('Bearer secret-token');
  });

  it('prints what a stream sends before it ends, and leaves it at Ctrl-C', async () => {
    peer.on('GET /api/v1/stream', (response) => void response.write('data: 1\n\n'));
    const code = s.run('api', 'GET', '/api/v1/stream');
    await until(() => s.out() === 'data: 1\n\n', 'the first event');
    s.interrupts.fire();
    expect(await within(code, 'the end')).to.equal(2);
    await within(peer.left, 'the close');
  });

  it('sends a body from the line, a file, or stdin, and headers', async () => {
    peer.on('POST /api/v1/tasks', answers(202, {}));
    peer.on('DELETE /api/v1/llms/a', empty);
    await writeFile(join(s.home, 'body.json'), '{"from":"file"}');
    expect(await s.run('api', 'POST', '/api/v1/tasks', '-d', '{"from":"line"}')).to.equal(0);
    expect(await s.run('api', 'POST', '/api/v1/tasks', '-d', `@${join(s.home, 'body.json')}`)).to.equal(0);
    s.stdin.end('{"from":"stdin"}');
    expect(await s.run('api', 'post', '/api/v1/tasks', '-H', 'Idempotency-Key: k: 1')).to.equal(0);
    expect(peer.requests.map(({ body }) => body?.['from'])).to.deep.equal(['line', 'file', 'stdin']);
    expect(last()?.headers).to.deep.include({
      'idempotency-key': 'k: 1',
      'content-type': 'application/json',
    });
    await fresh();
    expect(await s.run('api', 'DELETE', '/api/v1/llms/a')).to.equal(0); // stdin stays open: nobody reads it
    expect(s.out()).to.equal('');
    await fresh({ tty: { stdin: true } });
    expect(await s.run('api', 'POST', '/api/v1/tasks')).to.equal(0);
    expect(last()?.headers['content-type']).to.equal(undefined);
    expect(await s.run('api', 'POST', '/api/v1/tasks', '-d', '@/nowhere')).to.equal(2);
    expect(s.err()).to.include('/nowhere cannot be read');
  });

  it('says a status that is not 2xx, prints the answer all the same, and leaves with 1, or 4', async () => {
    const body = { error: 'No.', code: 'llm_not_found', requestId: 'r-1' };
    peer.on('GET /a', fails(404, 'llm_not_found', 'No.'));
    expect(await s.run('api', 'GET', '/a')).to.equal(1);
    expect(JSON.parse(s.out())).to.deep.equal(body);
    expect(s.err()).to.equal('HTTP 404 Not Found\n');
    peer.on('GET /b', (response) => void response.writeHead(302, { location: 'http://elsewhere' }).end());
    expect(await s.run('api', 'GET', '/b')).to.equal(1);
    peer.on('GET /c', answers(401, {}));
    expect(await s.run('api', 'GET', '/c')).to.equal(4);
    await peer.close();
    expect(await s.run('api', 'GET', '/a')).to.equal(1);
    expect(s.err()).to.include('HTTP 302 Found').and.to.include('(server_unreachable)');
  });

  it('says so when an answer breaks off', async () => {
    peer.on('GET /a', (response) => {
      response.writeHead(200, { 'content-length': '100' }).write('half');
      setImmediate(() => response.destroy());
    });
    expect(await s.run('api', 'GET', '/a')).to.equal(1);
    expect(s.out()).to.equal('half');
    expect(s.err()).to.include('(server_unreachable)');
  });

  it('keeps control characters away from a terminal, and ends its line there', async () => {
    peer.on('GET /a', (response) => void response.end('a\u001b]0;title\u0007b'));
    await s.run('api', 'GET', '/a');
    expect(s.out()).to.equal('a\u001b]0;title\u0007b');
    await fresh({ tty: { stdout: true } });
    await s.run('api', 'GET', '/a');
    expect(s.out()).to.equal('a]0;titleb\n');
  });

  it('calls its own server alone, and as nobody else', async () => {
    for (const path of ['http://elsewhere/x', 'elsewhere', '/a b', '/ä', '/a#b', '/a\nb'])
      expect(await s.run('api', 'GET', path), path).to.equal(2);
    for (const header of [
      'Authorization: Bearer x',
      'x-api-key: x',
      'cookie: a=b',
      'host: x',
      'none',
      'a: b\r\nc: d',
    ])
      expect(await s.run('api', 'GET', '/a', '-H', header), header).to.equal(2);
    expect(peer.requests).to.have.length(0);
    peer.on('GET //elsewhere/x', answers(200, {}));
    expect(await s.run('api', 'GET', '//elsewhere/x')).to.equal(0);
    expect(peer.requests).to.have.length(1);
  });
});
