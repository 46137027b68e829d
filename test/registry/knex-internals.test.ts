import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import knexModule, { type Knex } from 'knex';
import { Pool, type PoolClient } from 'pg';

/** The releases whose insides were read for core/registry/database/{connect,give-time}.ts. */
const read = { knex: '3.3.0', pg: '8.23.1' };

type Inside = Omit<PoolClient, 'connection'> & {
  __knexUid?: string;
  __knex__disposed?: unknown;
  connectionParameters?: { query_timeout?: number };
  connection?: { stream?: { destroy?: unknown; setTimeout?: unknown } };
  readyForQuery?: boolean;
  processID?: number;
};
interface InsideClient {
  acquireConnection(): Promise<Inside>;
  releaseConnection(connection: Inside): Promise<void>;
  runner(builder: unknown): { run(): Promise<unknown> };
}

describe('what the registry leans on inside knex and pg', () => {
  let pool: Pool;
  let db: Knex;
  let client: InsideClient;
  before(() => {
    pool = new Pool({ connectionString: process.env['DATABASE_URL'], max: 1, query_timeout: 2_000 });
    db = knexModule.knex({ client: 'pg', connectionPool: pool });
    client = db.client as InsideClient;
  });
  after(async () => {
    await db.destroy();
    await pool.end();
  });
  const backendOf = async (connection: Inside): Promise<number> =>
    (await connection.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid ?? 0;

  it('was read in these releases: after an update, read connect.ts and this file again, then name the new one', () => {
    for (const [name, version] of Object.entries(read)) {
      const { version: installed } = JSON.parse(
        readFileSync(`node_modules/${name}/package.json`, 'utf8'),
      ) as {
        version: string;
      };
      expect(installed, name).to.equal(version);
    }
  });

  it('is that each connection has an id while it is held, which the error of its query names', async () => {
    const connection = await client.acquireConnection();
    const id = connection.__knexUid;
    const failed = new Promise<unknown>((resolve) => {
      db.once('query-error', (_thrown: unknown, query: { __knexUid?: string }) => resolve(query.__knexUid));
    });
    await Promise.resolve(db.raw('select nothing_like_it').connection(connection)).catch(() => undefined);
    await client.releaseConnection(connection);
    expect(id)
      .to.be.a('string')
      .and.equal(await failed);
  });

  it('is that one which is marked is thrown away when it comes back, and one which is not is kept', async () => {
    const kept = await client.acquireConnection();
    const first = await backendOf(kept);
    await client.releaseConnection(kept);
    const marked = await client.acquireConnection();
    expect(await backendOf(marked)).to.equal(first);
    marked.__knex__disposed = 'marked';
    await client.releaseConnection(marked);
    const another = await client.acquireConnection();
    expect(await backendOf(another)).to.not.equal(first);
    await client.releaseConnection(another);
  });

  it('is that whatever is awaited runs through `runner`', async () => {
    const original = client.runner.bind(client);
    let runs = 0;
    client.runner = (builder) => {
      runs += 1;
      return original(builder);
    };
    await db.raw('select 1');
    await db.select(db.raw('1 as one'));
    client.runner = original;
    expect(runs).to.equal(2);
  });

  it('is that a connection says whether it waits for an answer, has a socket that says when it is silent, and its backend’s id', async () => {
    const connection = await client.acquireConnection();
    const answered = connection.query('select 1');
    expect(connection.readyForQuery).to.equal(false);
    await answered;
    expect(connection.readyForQuery).to.equal(true);
    expect(connection.connection?.stream?.setTimeout).to.be.a('function');
    expect(await backendOf(connection)).to.equal(connection.processID);
    await client.releaseConnection(connection);
  });

  it('is that a connection has the time of its queries, and a stream to cut', async () => {
    const connection = await client.acquireConnection();
    expect(connection.connectionParameters?.query_timeout).to.equal(2_000);
    expect(connection.connection?.stream?.destroy).to.be.a('function');
    connection.connectionParameters = { ...connection.connectionParameters };
    connection.connectionParameters.query_timeout = 100;
    const thrown: unknown = await connection.query('select pg_sleep(1)').catch((error: unknown) => error);
    expect(String(thrown)).to.include('Query read timeout');
    connection.__knex__disposed = thrown;
    await client.releaseConnection(connection);
  });
});
