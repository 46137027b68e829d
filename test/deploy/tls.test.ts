import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRedis } from '../../core/queue/link/connect.ts';
import { inspectRedis } from '../../core/queue/link/inspect.ts';
import { connect } from '../../core/registry/database/connect.ts';
import { inspectDatabase } from '../../core/registry/database/inspect.ts';
import type { DatabaseTls } from '../../core/registry/database/tls.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import type { Inspection } from '../../core/runtime/settings/config.ts';
import { createLog } from '../../core/runtime/log.ts';
import { startProcess, type TestProcess } from '../support/process.ts';
import { codeOf } from '../support/registry.ts';
import { sandbox, type Sandbox } from '../support/sandbox.ts';
import { startTlsFront, type TlsFront } from '../support/tls-front.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const faultsOf = ({ faults, away }: Inspection): string => {
  expect(away, 'a wrong setting is no outage').to.equal(undefined);
  return faults.map(({ path, message }) => `${path}: ${message}`).join('\n');
};

describe('a Redis and a Postgres that speak TLS, with a certificate of their own making', function () {
  let box: Sandbox;
  let redis: TlsFront;
  let postgres: TlsFront;
  let folder: string;
  let redisUrl: string;
  let databaseUrl: string;
  /** The same servers under a name that the certificate is not for. */
  const elsewhere = (url: string): string => url.replace('localhost', '127.0.0.1');

  before(async () => {
    box = await sandbox();
    redis = await startTlsFront('localhost', { url: box.redisUrl });
    postgres = await startTlsFront('localhost', { url: box.databaseUrl }, { postgres: true });
    folder = mkdtempSync(join(tmpdir(), 'mcpctl-tls-'));
    writeFileSync(join(folder, 'ca.pem'), postgres.certificate);
    const at = (url: string, port: number): string => {
      const to = new URL(url);
      to.host = `localhost:${port}`;
      return to.href;
    };
    redisUrl = at(box.redisUrl, redis.port).replace('redis:', 'rediss:');
    databaseUrl = at(box.databaseUrl, postgres.port);
  });
  after(async () => {
    await box.close();
    await Promise.all([redis.close(), postgres.close()]);
    rmSync(folder, { recursive: true, force: true });
  });

  const ping = async (tls: { verifyTls: boolean; ca?: string }, url = redisUrl): Promise<string> => {
    const connection = openRedis('producer', { url, ...tls, clock, log });
    const failed = new Promise<string>((resolve) =>
      connection.once('error', (e: NodeJS.ErrnoException) => resolve(e.code ?? e.message)),
    );
    try {
      return await Promise.race([connection.connect().then(() => connection.ping()), failed]);
    } catch {
      return await failed;
    } finally {
      connection.disconnect();
    }
  };
  const query = async (tls: DatabaseTls): Promise<string> => {
    const connection = connect({ ...tls, schema: 'public', poolSize: 1, log });
    try {
      return await codeOf(connection.db.raw('select 1').then());
    } finally {
      await connection.close();
    }
  };

  it('are refused unless a switch says otherwise, and the message has each switch', async () => {
    expect(await ping({ verifyTls: true })).to.equal('DEPTH_ZERO_SELF_SIGNED_CERT');
    for (const mode of ['require', 'prefer', 'verify-ca', 'verify-full'])
      expect(await query({ databaseUrl: `${databaseUrl}?sslmode=${mode}` }), mode).to.equal('unavailable');
    const ofRedis = faultsOf(await inspectRedis({ redisUrl }));
    expect(ofRedis)
      .to.include('REDIS_URL: its certificate is not trusted')
      .and.include('REDIS_CA')
      .and.include('REDIS_TLS_REJECT_UNAUTHORIZED=0');
    const ofPostgres = faultsOf(await inspectDatabase({ databaseUrl, databaseSslMode: 'require' }));
    expect(ofPostgres)
      .to.include('DATABASE_URL: its certificate is not trusted')
      .and.include('DATABASE_CA')
      .and.include('PGSSLMODE=no-verify');
    expect(faultsOf(await inspectDatabase({ databaseUrl }))).to.include(
      'it wants TLS: set PGSSLMODE=require',
    );
  });

  it('are used with the authority that signed them, under its name alone', async () => {
    expect(await ping({ verifyTls: true, ca: redis.certificate })).to.equal('PONG');
    expect(await ping({ verifyTls: true, ca: redis.certificate }, elsewhere(redisUrl))).to.equal(
      'ERR_TLS_CERT_ALTNAME_INVALID',
    );
    const ca = { databaseCa: postgres.certificate };
    expect(await query({ databaseUrl, ...ca })).to.equal('ok');
    expect(await query({ databaseUrl: `${databaseUrl}?sslmode=require`, ...ca })).to.equal('ok');
    expect(
      await query({
        databaseUrl: `${databaseUrl}?sslmode=verify-full&sslrootcert=${join(folder, 'ca.pem')}`,
      }),
    ).to.equal('ok');
    expect(await query({ databaseUrl: elsewhere(databaseUrl), ...ca })).to.equal('unavailable');
    expect(
      await query({ databaseUrl: elsewhere(databaseUrl), databaseSslMode: 'verify-ca', ...ca }),
    ).to.equal('ok');
    expect(
      faultsOf(await inspectRedis({ redisUrl: elsewhere(redisUrl), redisCa: redis.certificate })),
    ).to.include('is for another name');
    expect(faultsOf(await inspectDatabase({ databaseUrl: elsewhere(databaseUrl), ...ca }))).to.include(
      'is for another name',
    );
  });

  it('are not trusted for somebody else’s authority', async () => {
    expect(await ping({ verifyTls: true, ca: postgres.certificate })).to.equal('DEPTH_ZERO_SELF_SIGNED_CERT');
    expect(await query({ databaseUrl, databaseCa: redis.certificate })).to.equal('unavailable');
  });

  it('are used as they are behind the explicit switches', async () => {
    expect(await ping({ verifyTls: false })).to.equal('PONG');
    expect(await query({ databaseUrl, databaseSslMode: 'no-verify' })).to.equal('ok');
    expect(
      await query({ databaseUrl: `${databaseUrl}?sslmode=no-verify`, databaseSslMode: 'verify-full' }),
    ).to.equal('ok');
  });

  it('that do not speak TLS are told apart, and the message says so', async () => {
    const { faults, away } = await inspectRedis({ redisUrl: box.redisUrl.replace('redis:', 'rediss:') });
    // It says nothing to a greeting that it does not understand: it might as well be away.
    expect(faults).to.deep.equal([]);
    expect(away?.message).to.include('if it does not speak TLS, its URL begins with redis://');
    expect(
      faultsOf(await inspectDatabase({ databaseUrl: box.databaseUrl, databaseSslMode: 'require' })),
    ).to.include('it does not speak TLS: set sslmode=disable');
    expect(
      await query({ databaseUrl: `${box.databaseUrl}?sslmode=disable`, databaseSslMode: 'require' }),
    ).to.equal('ok');
  });

  it('serve release, edge, scheduler and hosted worker, each told by its environment', async () => {
    const env = {
      REDIS_URL: redisUrl,
      REDIS_CA: redis.certificate.replaceAll('\n', '\\n'),
      DATABASE_URL: databaseUrl,
      DATABASE_CA: join(folder, 'ca.pem'),
      MCPCTL_REDIS_NAMESPACE: box.namespace,
      MCPCTL_PG_SCHEMA: box.schema,
      PORT: '0',
      MCPCTL_HOME: folder,
    };
    const start = (entry: string, ...args: string[]): TestProcess =>
      startProcess(`dist/${entry}/main.js`, { args, env });
    const release = start('scheduler', 'release');
    const staying = [start('edge'), start('scheduler'), start('worker', 'run')];
    try {
      expect(await release.exited, JSON.stringify(release.lines)).to.equal(0);
      await Promise.all(staying.map((each) => each.event('service.ready')));
    } finally {
      await Promise.all(staying.map((each) => each.kill('SIGKILL')));
    }
  });
});
