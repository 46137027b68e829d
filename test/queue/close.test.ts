import { expect } from 'chai';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeRedis, openRedis, untilConnected, type ConnectOptions } from '../../core/queue/link/connect.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { wireToUrl, type Wire } from '../support/wire.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const url = process.env['REDIS_URL'] ?? '';
const { username = '', password } = new URL(url);
const ownUser = {
  username: username || 'default',
  password: password || 'any',
  onRefused: (): void => undefined,
};

const users: Record<string, ConnectOptions['user']> = {
  'signed in by its URL': undefined,
  'with a user of its own': ownUser,
};

describe('a Redis connection that is closed while Redis is away', function () {
  this.timeout(5_000);
  let wire: Wire;
  beforeEach(async () => (wire = await wireToUrl(url)));
  afterEach(() => wire.close());

  for (const [how, user] of Object.entries(users))
    it(`fails what waits, between two tries to connect too, ${how}`, async () => {
      const redis = openRedis('commands', { url: wire.url(url), verifyTls: true, user, clock, log });
      await untilConnected(redis);
      const away = new Promise((resolve) => redis.once('reconnecting', resolve));
      wire.cut();
      await away;
      const waiting = redis.get('nothing').then(
        () => 'answered',
        () => 'failed',
      );
      expect(redis.status).to.equal('reconnecting');
      wire.mend();
      closeRedis(redis);
      expect(await waiting).to.equal('failed');
      expect(redis.status).to.equal('end');
      expect(wire.connections()).to.equal(0);
      // Whoever comes later is refused, and does not wait for a connection that nobody opens.
      expect(await redis.get('nothing').catch(() => 'failed')).to.equal('failed');
    });
});

describe('a Redis connection by the socket that its URL names', () => {
  const { hostname, port } = new URL(url);
  const folder = mkdtempSync(join(tmpdir(), 'mcpctl-socket-'));
  const path = join(folder, 'redis.sock');
  const dialled: Socket[] = [];
  const line = createServer((near) => {
    const far = createConnection({ host: hostname, port: Number(port) });
    for (const socket of [near, far]) dialled.push(socket.on('error', () => undefined));
    near.pipe(far).pipe(near);
  });
  before(() => once(line.listen(path), 'listening'));
  after(() => {
    for (const socket of dialled) socket.destroy();
    line.close();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const [how, user] of Object.entries(users))
    it(`goes nowhere else, ${how}`, async () => {
      const bySocket = new URL(url);
      bySocket.host = '127.0.0.1:1';
      bySocket.searchParams.set('path', path);
      const redis = openRedis('commands', { url: bySocket.href, verifyTls: true, user, clock, log });
      await untilConnected(redis);
      expect(await redis.ping()).to.equal('PONG');
      closeRedis(redis);
    });
});
