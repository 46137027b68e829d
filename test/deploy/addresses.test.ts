import { expect } from 'chai';
import express from 'express';
import { lookup } from 'node:dns/promises';
import { connect as connectTo, createServer, type AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { openRedis } from '../../core/queue/link/connect.ts';
import { inspectRedis } from '../../core/queue/link/inspect.ts';
import { connect } from '../../core/registry/database/connect.ts';
import { inspectDatabase } from '../../core/registry/database/inspect.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { createEdgeServer } from '../../edge/http/server.ts';
import { createSockets } from '../support/sockets.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
);

/** Names that this machine has for `::1`, beside other addresses or alone. */
async function namesOfIpv6(): Promise<string[]> {
  const names = ['localhost', 'ip6-localhost'];
  const addresses = await Promise.all(names.map((name) => lookup(name, { all: true }).catch(() => [])));
  return names.filter((_, n) => addresses[n]?.some(({ address }) => address === '::1'));
}

/** As in a private network that has IPv6 alone: a server at `::1`, and nowhere else. */
async function onIpv6Alone(url: string): Promise<{ url: string; close(): Promise<void> }> {
  const { hostname, port } = new URL(url);
  const sockets = createSockets();
  const server = createServer((near) => sockets.join(near, connectTo(Number(port), hostname)));
  await new Promise<void>((resolve) => server.listen({ host: '::1', port: 0, ipv6Only: true }, resolve));
  const at = new URL(url);
  at.host = `[::1]:${String((server.address() as AddressInfo).port)}`;
  return { url: at.href, close: () => sockets.closeWith(server) };
}

describe('IPv6', () => {
  before(function () {
    if (!hasIpv6) this.skip();
  });

  it('is what Redis and Postgres may be reached by alone, by address and by name', async () => {
    const redis = await onIpv6Alone(process.env['REDIS_URL'] ?? '');
    const postgres = await onIpv6Alone(process.env['DATABASE_URL'] ?? '');
    const names = ['[::1]', ...(await namesOfIpv6())];
    const under = ({ url }: { url: string }): string[] => names.map((name) => url.replace('[::1]', name));
    try {
      for (const redisUrl of under(redis)) {
        expect(await inspectRedis({ redisUrl })).to.deep.equal({ faults: [] });
        const connection = openRedis('producer', { url: redisUrl, verifyTls: true, clock, log });
        await connection.connect();
        expect(await connection.ping()).to.equal('PONG');
        connection.disconnect();
      }
      for (const databaseUrl of under(postgres)) {
        expect(await inspectDatabase({ databaseUrl })).to.deep.equal({ faults: [] });
        const connection = connect({ databaseUrl, schema: 'public', poolSize: 1, log });
        await connection.db.raw('select 1').then();
        await connection.close();
      }
    } finally {
      await Promise.all([redis.close(), postgres.close()]);
    }
  });

  it('is listened on beside IPv4, unless an address is given', async () => {
    const reached = async (host: string): Promise<boolean[]> => {
      const app = express().get('/', (_req, res) => void res.end());
      const server = createEdgeServer({ app, port: 0, host, graceMs: 1, leaving: new AbortController() });
      await server.start?.();
      const ask = (at: string): Promise<boolean> =>
        fetch(`http://${at}:${server.port()}/`, { headers: { connection: 'close' } }).then(
          ({ ok }) => ok,
          () => false,
        );
      const both = [await ask('127.0.0.1'), await ask('[::1]')];
      await server.stop();
      return both;
    };
    expect(await reached('')).to.deep.equal([true, true]);
    expect(await reached('::')).to.deep.equal([true, true]);
    expect(await reached('::1')).to.deep.equal([false, true]);
    expect(await reached('127.0.0.1')).to.deep.equal([true, false]);
  });
});
