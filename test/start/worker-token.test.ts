import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { systemClock } from '../../core/runtime/clock.ts';
import { createEdgeClient } from '../../start/edge-client.ts';
import { ensureWorkerToken } from '../../start/worker-token.ts';
import { readOwnCredentials } from '../../worker/sources/credentials.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';

describe('the token of the worker that npm start runs', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  let home: { credentials: string; workerCredentials: string };
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());
  beforeEach(async () => {
    const root = await mkdtemp(join(tmpdir(), 'mcpctl-home-'));
    home = { credentials: join(root, 'credentials'), workerCredentials: join(root, 'worker-credentials') };
    await writeFile(home.credentials, JSON.stringify({ mcpdUrl: t.url, token: t.tokens.root }), {
      mode: 0o600,
    });
  });
  afterEach(() => rm(join(home.credentials, '..'), { recursive: true }));

  const ensure = (token = t.tokens.root): Promise<string | undefined> =>
    ensureWorkerToken(home.workerCredentials, {
      url: t.url,
      edge: createEdgeClient({ url: t.url, token, clock: systemClock }),
    });
  const kept = async (): Promise<string> =>
    (JSON.parse(await readFile(home.workerCredentials, 'utf8')) as { token: string }).token;
  const asked = async (call: string, token: string, body?: object): Promise<number> =>
    (await t.call(call, { token, ...(body && { body }) })).status;

  it('publishes, and calls, lists and makes nothing; a start that finds it keeps it', async () => {
    expect(await ensure()).to.equal(undefined);
    const token = await kept();
    expect((await stat(home.workerCredentials)).mode & 0o777).to.equal(0o600);
    expect((await readOwnCredentials(home)).credentials).to.deep.equal({ mcpdUrl: t.url, token });
    const session = { providerSessionId: '11111111-1111-4111-8111-111111111111', transports: ['sse'] };
    const providers = [{ name: 'tiny', type: 'openai', model: 'm' }];
    expect(await asked('POST /api/v1/llms/_provider-register', token, { ...session, providers })).to.equal(
      201,
    );
    expect(await asked('GET /api/v1/users', token)).to.equal(403);
    expect(await asked('POST /api/v1/tokens', token, { name: 'more' })).to.equal(403);
    expect(await asked('POST /api/v1/llms/tiny/infer', token, { messages: [] })).to.be.oneOf([400, 403, 404]);
    expect(await asked('DELETE /api/v1/llms/tiny', token)).to.be.oneOf([403, 404, 409]);
    await ensure();
    expect(await kept()).to.equal(token);
  });

  it('is made anew where it was revoked, or its file is gone or damaged; the one of before is good no more', async () => {
    await ensure();
    const first = await kept();
    await t.call('DELETE /api/v1/tokens/npm-start-worker', { token: t.tokens.root });
    await ensure();
    const second = await kept();
    await writeFile(home.workerCredentials, '{');
    await ensure();
    const third = await kept();
    const takes = await Promise.all(
      [first, second, third].map((token) => asked('GET /api/v1/whoami', token)),
    );
    expect(takes).to.deep.equal([401, 401, 200]);
  });

  it('is not had by who may make none, who is told so; and is not for another server', async () => {
    const { json } = await t.call('POST /api/v1/tokens', { token: t.tokens.root, body: { name: 'calls' } });
    expect(await ensure((json as { token: string }).token)).to.include('publishes with your own token');
    expect((await readOwnCredentials(home)).credentials?.token).to.equal(t.tokens.root);
    await ensure();
    const elsewhere = { mcpdUrl: 'https://elsewhere.test', token: 'of-elsewhere' };
    await writeFile(home.credentials, JSON.stringify(elsewhere), { mode: 0o600 });
    expect((await readOwnCredentials(home)).credentials).to.deep.equal(elsewhere);
  });
});
