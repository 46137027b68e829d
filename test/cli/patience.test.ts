import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import { waitMs } from '../../cli/net/patience.ts';
import { BackupWriter } from '../../core/runtime/backup/lines.ts';
import { answers, fails, page, startPeer, type Peer } from './peer.ts';
import { startSession, type Session } from './session.ts';

const project = { id: 'p', name: 'one', revision: 1, description: '' };
const away = { error: 'Away.', code: 'unavailable', requestId: 'r' };

/** One that is whole, and has nothing in it. */
function emptyBackup(): string {
  const lines = new BackupWriter();
  const header = lines.header({
    ...{ mcpctl: 'backup', format: 1, app: '0', schema: '0', at: new Date().toISOString() },
    ...{ id: randomUUID(), installation: randomUUID(), scope: ['project'], kids: [], secrets: 'none' },
  });
  return [header, lines.trailer(null), ''].join('\n');
}

describe('cli: a server that is away or full is asked again', () => {
  let peer: Peer;
  let s: Session;
  beforeEach(async () => {
    peer = await startPeer();
    s = await startSession(peer.url);
  });
  afterEach(async () => {
    await s.close();
    await peer.close();
  });
  /** Answers of one route, one after the other; the last for good. */
  const inTurn = (route: string, ...replies: Parameters<Peer['on']>[1][]): void => {
    let at = 0;
    peer.on(route, (response, request) => replies[Math.min(at++, replies.length - 1)]?.(response, request));
  };

  it('waits as long as it is asked to and up to a quarter more, else anything up to a time that doubles', () => {
    const some = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(some, fc.nat(20), fc.nat(60_000), (random, tried, afterMs) => {
        const asked = waitMs({ afterMs }, tried, () => random);
        expect(asked).to.be.within(afterMs, afterMs * 1.25);
        const own = waitMs({ afterMs: null }, tried, () => random);
        expect(own).to.be.within(0, Math.min(30_000, 500 * 2 ** tried));
      }),
    );
    const first = Array.from({ length: 100 }, () =>
      Math.round(waitMs({ afterMs: null }, 6, Math.random) / 100),
    );
    expect(new Set(first).size, 'a hundred clients are spread').to.be.above(50);
  });

  it('for what only reads: each wait is said once, a refusal that is final is not asked again', async () => {
    inTurn(
      'GET /api/v1/projects',
      answers(429, { ...away, code: 'too_many_requests' }, { 'retry-after': '1' }),
      answers(503, '<html>'),
      (response) => void response.destroy(),
      page([project]),
    );
    const from = performance.now();
    expect(await s.run('get', 'project', '-o', 'name'), s.err()).to.equal(0);
    expect(performance.now() - from).to.be.above(990);
    expect(s.out()).to.equal('project/one\n');
    const lines = s.err().trim().split('\n');
    expect(lines).to.have.length(3);
    expect(lines[0]).to.match(/answered 429 \(too_many_requests\)\. Asking again in 1\.\d s\.$/);
    inTurn('GET /api/v1/prompts', answers(503, away, { 'x-should-retry': 'false' }));
    expect(await s.run('get', 'prompt')).to.equal(1);
    expect(peer.requests.filter(({ url }) => url.startsWith('/api/v1/prompts'))).to.have.length(1);
    inTurn('POST /api/v1/projects', answers(503, away));
    expect(await s.run('create', 'project', 'two')).to.equal(1);
    expect(
      peer.requests.filter(({ method }) => method === 'POST'),
      'a second might be one too many',
    ).to.have.length(1);
  });

  it('for as long as it stays away: why is said once, and anew after an answer', async () => {
    const waits = Array.from({ length: 4 }, () => answers(503, away, { 'retry-after': '0' }));
    const more = answers(200, { items: [project], next: 'more' });
    const whole = /^The server answered 503 \(unavailable\)\. Asking again in 0\.0 s\.$/;
    const briefly = 'Asking again in 0.0 s.';
    inTurn('GET /api/v1/projects', ...waits, more, ...waits.slice(0, 2), page([]));
    expect(await s.run('get', 'project', '-o', 'name'), s.err()).to.equal(0);
    const lines = s.err().trim().split('\n');
    expect(
      [lines[0], lines[4]].every((line = '') => whole.test(line)),
      s.err(),
    ).to.equal(true);
    expect(lines.toSpliced(4, 1).slice(1)).to.deep.equal([briefly, briefly, briefly, briefly]);
    const tty = await startSession(peer.url, { tty: { stderr: true }, rows: 24 });
    inTurn('GET /api/v1/projects', ...waits, page([project]));
    expect(await tty.run('get', 'project', '-o', 'name'), tty.err()).to.equal(0);
    expect(tty.err().split('\x1b[1A\r\x1b[K'), 'one line, written over').to.have.length(3);
    await tty.close();
  });

  it('for an apply, whose key goes with each try; what is said then is what became of it', async () => {
    const done = {
      dryRun: false,
      items: [{ resource: 'project', name: 'one', outcome: 'created', changed: [] }],
    };
    const full = answers(429, { ...away, code: 'too_many_requests' }, { 'retry-after': '0' });
    inTurn(
      'POST /api/v1/apply',
      ...Array<Parameters<Peer['on']>[1]>(3).fill(full),
      (response) => void response.destroy(),
      answers(200, { ...done, warnings: [] }),
    );
    s.stdin.end('resource: project\nname: one\n');
    expect(await s.run('apply', '-f', '-'), s.err()).to.equal(0);
    expect(s.out()).to.equal('project/one created\n');
    const keys = peer.requests.map(({ headers }) => headers['idempotency-key']);
    expect(keys).to.have.length(5);
    expect(new Set(keys).size).to.equal(1);
    expect(keys[0]).to.match(/^[0-9a-f-]{36}$/);
    await s.close();
    s = await startSession(peer.url);
    peer.on(
      'POST /api/v1/apply',
      answers(429, { ...away, code: 'too_many_requests' }, { 'retry-after': '9' }),
    );
    s.stdin.end('resource: project\nname: one\n');
    expect(await s.run('apply', '-f', '-', '--timeout', '1s')).to.equal(1);
    expect(s.err()).to.include('Nothing of it was applied.').and.to.include('too_many_requests');
  });

  it('for a backup until it begins, and for a restore: the second says what is there already', async () => {
    const path = join(s.home, 'plain.gz');
    inTurn(
      'POST /api/v1/backup',
      answers(429, { ...away, code: 'too_many_requests' }, { 'retry-after': '0' }),
      (response) => void response.destroy(),
      (response) => void response.end(emptyBackup()),
    );
    expect(await s.run('backup', '-o', path, '--secrets', 'none'), s.err()).to.equal(0);
    expect(s.err().match(/Asking again/g)).to.have.length(2);
    inTurn(
      'POST /api/v1/restore',
      answers(503, away),
      (response) => void response.destroy(),
      answers(200, { dryRun: false, genuine: null, items: [] }),
    );
    expect(await s.run('restore', path), s.err()).to.equal(0);
    expect(s.err().match(/Asking again/g)).to.have.length(4);
    peer.on('POST /api/v1/restore', fails(503, 'unavailable'));
    expect(await s.run('restore', path, '--timeout', '1s')).to.equal(1);
    expect(s.err()).to.include('Whether it was restored is not known');
  });

  it('says after Ctrl-C that what was sent to be restored may be done', async () => {
    const path = join(s.home, 'plain.gz');
    await writeFile(path, gzipSync(emptyBackup()));
    const sent = new Promise<void>((resolve) => peer.on('POST /api/v1/restore', () => resolve()));
    const left = s.run('restore', path);
    await sent;
    s.interrupts.fire();
    expect(await left).to.equal(2);
    expect(s.err()).to.include('Whether it was restored is not known');
  });

  it('gives up at the timeout, and at Ctrl-C at once', async () => {
    peer.on('GET /api/v1/projects', fails(503, 'unavailable'));
    const from = performance.now();
    expect(await s.run('get', 'project', '--timeout', '1s')).to.equal(1);
    expect(performance.now() - from).to.be.below(3_000);
    peer.on('GET /api/v1/agents', answers(503, away, { 'retry-after': '50' }));
    let asked = (): void => undefined;
    const waits = new Promise<void>((resolve) => (asked = resolve));
    const write = s.terminal.stderr.write.bind(s.terminal.stderr) as (text: string) => boolean;
    s.terminal.stderr.write = ((text: string) => {
      if (String(text).includes('Asking again')) asked();
      return write(text);
    }) as typeof s.terminal.stderr.write;
    const left = s.run('get', 'agent');
    await waits;
    const stopped = performance.now();
    s.interrupts.fire();
    expect(await left).to.equal(2);
    expect(performance.now() - stopped).to.be.below(100);
  });
});
