import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { answers, fails, startPeer, until, within, type Peer, type Reply } from './peer.ts';
import { startSession, type Session } from './session.ts';

const begun = {
  deviceCode: 'D'.repeat(43),
  userCode: 'BCDF-GHJK',
  verificationPath: '/admin/device',
  expiresInS: 600,
  intervalS: 0.02,
};
const pending = answers(202, { status: 'pending', intervalS: 0.02 });
const approved = answers(200, {
  ...{ status: 'approved', token: 'mcpctl_the-one-of-this-machine', user: 'ada', name: 'laptop' },
  ...{ preset: 'manage', expiresAt: null },
});

describe('cli: login --web', () => {
  let peer: Peer;
  let s: Session;
  beforeEach(async () => {
    peer = await startPeer();
    s = await startSession(null);
    peer.on('POST /api/v1/login/device', answers(201, begun));
  });
  afterEach(async () => {
    await peer.close();
    await s.close();
  });
  const login = (...more: string[]): Promise<number> =>
    within(s.run('login', '--server', peer.url, '--web', ...more), 'the login');
  const says = (...replies: Reply[]): void => {
    peer.on('POST /api/v1/login/device/token', (response, request) =>
      (replies.length > 1 ? replies.shift() : replies[0])?.(response, request),
    );
  };
  const kept = async (): Promise<string> =>
    await readFile(join(s.home, 'cli.json'), 'utf8').catch(() => 'none');

  it('shows the page and the code, waits through what passes, and keeps the token before anything else', async () => {
    says(pending, fails(503, 'unavailable'), fails(429, 'too_many_requests'), pending, approved);
    expect(await login('--preset', 'call', '--context', 'work')).to.equal(0);
    expect(s.err()).to.include(`${peer.url}/admin/device`).and.include('BCDF-GHJK').and.include('10 minutes');
    expect(JSON.parse(await kept())).to.deep.equal({
      current: 'work',
      contexts: { work: { server: peer.url, token: 'mcpctl_the-one-of-this-machine' } },
    });
    expect((await stat(join(s.home, 'cli.json'))).mode & 0o777).to.equal(0o600);
    expect(s.out() + s.err())
      .not.to.include('mcpctl_the')
      .and.not.include(begun.deviceCode);
    expect(peer.requests.map(({ url }) => url)).to.deep.equal([
      '/api/v1/login/device',
      ...Array<string>(5).fill('/api/v1/login/device/token'),
    ]);
    expect(peer.requests[0]?.body).to.include({ preset: 'call' }).and.have.property('machine');
    expect(peer.requests.every(({ headers }) => headers.authorization === undefined)).to.equal(true);
  });

  it('leaves at once with Ctrl-C, and keeps nothing', async () => {
    peer.on('POST /api/v1/login/device', answers(201, { ...begun, intervalS: 60 }));
    const run = login();
    await until(() => s.err().includes('Waiting until'), 'the wait');
    const from = performance.now();
    s.interrupts.fire();
    expect(await run).to.equal(2);
    expect(performance.now() - from).to.be.below(1_000);
    expect(await kept()).to.equal('none');
  });

  it('gives up at its deadline, when it is denied, and when an answer is none', async () => {
    peer.on('POST /api/v1/login/device', answers(201, { ...begun, expiresInS: 0.05 }));
    says(pending);
    expect(await login()).to.equal(1);
    expect(s.err()).to.include('(timed_out)');
    peer.on('POST /api/v1/login/device', answers(201, begun));
    says(pending, fails(403, 'login_denied'));
    expect(await login()).to.equal(1);
    says(fails(410, 'device_code_expired'));
    expect(await login()).to.equal(1);
    says(answers(200, { token: 'a-secret' }));
    expect(await login()).to.equal(1);
    expect(s.err()).not.to.include('a-secret');
    expect(await kept()).to.equal('none');
  });

  it('says before anybody types a code what would keep the token from being written', async () => {
    await writeFile(join(s.home, 'cli.json'), '{');
    expect(await login()).to.equal(1);
    expect(peer.requests).to.have.length(0);
    expect(await login('--with-token')).to.equal(2);
    expect(await s.run('login', '--server', peer.url, '--preset', 'call')).to.equal(2);
    await chmod(join(s.home, 'cli.json'), 0o600);
  });
});
