import { expect } from 'chai';
import { Agent, createServer, get, type IncomingMessage } from 'node:http';
import express from 'express';
import { McpctlError } from '../../core/errors.ts';
import { pause, systemClock } from '../../core/runtime/clock.ts';
import { checkHost } from '../../edge/middleware/host.ts';
import { createEdgeServer } from '../../edge/http/server.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';

describe('the edge', () => {
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture({ MCPCTL_CORS_ORIGINS: 'http://page.test' });
  });
  after(() => t.close());

  it('is live and ready without a token, and says more with one', async () => {
    expect((await t.call('GET /livez', { token: null })).json).to.deep.equal({ status: 'ok' });
    expect((await t.call('GET /readyz?verbose', { token: null })).json).to.deep.equal({ status: 'ok' });
    expect((await t.call('GET /readyz?verbose')).json).to.deep.equal({
      status: 'ok',
      checks: [
        { name: 'postgres', status: 'ok' },
        { name: 'redis', status: 'ok' },
      ],
    });
  });

  it('is not ready, within a second, when something does not answer', async () => {
    const checks = t.deps.checks.each as { name: string; run: () => Promise<void> }[];
    checks.push({ name: 'hangs', run: () => new Promise(() => undefined) });
    try {
      const began = systemClock.elapsed();
      let answer = await t.call('GET /readyz', { token: null });
      // One look answers all who ask within half a second.
      while (answer.status === 200 && systemClock.elapsed() - began < 1_500)
        answer = await t.call('GET /readyz', { token: null });
      expect([answer.status, answer.json]).to.deep.equal([503, { status: 'not ready' }]);
      expect(systemClock.elapsed() - began).to.be.below(1_500);
      expect((await t.call('GET /livez', { token: null })).status).to.equal(200);
    } finally {
      checks.pop();
    }
  });

  it('answers probes, and who asks for the system, from one look', async () => {
    const checks = t.deps.checks.each as { name: string; run: () => Promise<void> }[];
    let looks = 0;
    checks.push({ name: 'counts', run: () => Promise.reject(new Error(`look ${(looks += 1)}`)) });
    interface Said {
      checks: { name: string; status: string }[];
      stores: { name: string; status: string }[];
    }
    try {
      const until = systemClock.elapsed() + 3_000;
      let statuses: unknown[] = [];
      // The two may be asked on both sides of the end of one.
      do {
        const answers = [await t.call('GET /readyz?verbose'), await t.call('GET /api/v1/system')];
        statuses = answers.map(({ json }) => {
          const { checks: probed, stores = probed } = json as Said;
          return stores.find(({ name }) => name === 'counts')?.status;
        });
      } while ((statuses[0] === undefined || statuses[0] !== statuses[1]) && systemClock.elapsed() < until);
      expect(statuses[0]).to.be.a('string').and.equal(statuses[1]);
    } finally {
      checks.pop();
    }
  });

  it('takes a request id that is harmless, and gives its own otherwise', async () => {
    const idOf = async (given: string): Promise<string | null> =>
      (await t.call('GET /livez', { headers: { 'x-request-id': given } })).headers.get('x-request-id');
    expect(await idOf('abc-1.2_3')).to.equal('abc-1.2_3');
    expect(await idOf('a b')).to.match(/^[0-9a-f-]{36}$/);
    expect(await idOf('x'.repeat(129))).to.match(/^[0-9a-f-]{36}$/);
  });

  it("answers errors under /v1 as OpenAI's", async () => {
    const answer = await t.call('GET /v1/no-such-thing', { token: null });
    expect([answer.status, answer.headers.get('x-should-retry')]).to.deep.equal([401, 'false']);
    expect(answer.json).to.have.nested.property('error.type', 'authentication_error');
    const unknown = await t.call('GET /v1/no-such-thing');
    expect(unknown.json).to.have.nested.property('error.code', 'route_not_found');
  });

  it('asks for a token on every path behind the doors, however it is written', async () => {
    for (const path of [
      '/api/v1',
      '/api/v1/',
      '/API/V1/llms',
      '/api/v1/llms/',
      '/api/v1/%6clms',
      '/V1/models',
    ]) {
      expect([path, (await t.call(`GET ${path}`, { token: null })).status]).to.deep.equal([path, 401]);
    }
  });

  it('answers a preflight without a token, allows only the origins it was given, and nothing else', async () => {
    const ask = (origin: string) => ({ origin, 'access-control-request-method': 'POST' });
    const preflight = async (origin: string) => {
      const answer = await t.call('OPTIONS /v1/chat/completions', { token: null, headers: ask(origin) });
      expect(answer.headers.get('access-control-allow-credentials')).to.equal(null);
      return [answer.status, answer.headers.get('access-control-allow-origin')];
    };
    expect(await preflight('http://page.test')).to.deep.equal([204, 'http://page.test']);
    expect(await preflight('http://other.test')).to.deep.equal([204, null]);
    const bare = await t.call('OPTIONS /v1/chat/completions', {
      token: null,
      headers: { origin: 'http://page.test' },
    });
    expect(bare.status).to.equal(401);
  });

  it('tells no one what it is built with', async () => {
    const { headers } = await t.call('GET /', { token: null });
    expect(headers.get('x-powered-by')).to.equal(null);
    expect(headers.get('x-content-type-options')).to.equal('nosniff');
    expect((await t.call('HEAD /', { token: null })).status).to.equal(200);
  });

  it('says shutting_down to what is new after SIGTERM, and lets workers say goodbye', async () => {
    t.stopping.abort();
    const ready = await t.call('GET /readyz', { token: null });
    expect([ready.status, ready.json]).to.deep.equal([503, { status: 'stopping' }]);
    const answer = await t.call('GET /api/v1/llms');
    expect([answer.status, answer.headers.get('retry-after')]).to.deep.equal([503, '1']);
    expect(answer.json).to.include({ code: 'shutting_down' });
    const goodbye = { body: { providerSessionId: '6f1c3c8e-0000-4000-8000-000000000001' } };
    expect((await t.call('POST /api/v1/llms/_provider-goodbye', goodbye)).status).to.equal(200);
  });
});

describe('the Host of a request to a loopback edge', () => {
  const answers = (host: string, header: string, allowedHosts = ['desk.test']): boolean => {
    const req = { get: () => header, rawHeaders: [] } as unknown as express.Request;
    let passed = false;
    try {
      void checkHost({ host, allowedHosts })(req, {} as express.Response, () => {
        passed = true;
      });
    } catch (thrown) {
      expect(thrown).to.be.instanceOf(McpctlError).with.property('code', 'host_not_allowed');
    }
    return passed;
  };

  it('is a loopback one, or one that the operator named', () => {
    for (const header of ['localhost:3100', '127.0.0.1', '[::1]:3100', 'DESK.test:80']) {
      expect([header, answers('127.0.0.1', header)]).to.deep.equal([header, true]);
    }
    for (const header of ['evil.test', 'localhost.evil.test', '127.0.0.1.evil.test', '']) {
      expect([header, answers('127.0.0.1', header)]).to.deep.equal([header, false]);
    }
    // Off loopback every name is served until the operator has named some.
    expect(answers('', 'evil.test')).to.equal(false);
    expect(answers('', 'evil.test', [])).to.equal(true);
  });
});

describe('the requests of the HTTP server', () => {
  it('are the app’s own from the beginning, so that Express changes no prototype', async () => {
    const app = express();
    const own: boolean[] = [];
    const leaving = new AbortController();
    const watched = new Proxy(app, {
      apply(target, self, given: Parameters<typeof app>) {
        const [req, res] = given;
        own.push(Object.getPrototypeOf(req) === app.request, Object.getPrototypeOf(res) === app.response);
        Reflect.apply(target, self, given);
      },
    });
    const server = createEdgeServer({ app: watched, port: 0, host: '127.0.0.1', graceMs: 1, leaving });
    app.get('/', (req, res) => void res.json({ app: req.app === app && res.app === app, ip: req.ip }));
    await server.start?.();
    try {
      const answer = await fetch(`http://127.0.0.1:${server.port()}/`);
      expect(await answer.json()).to.deep.equal({ app: true, ip: '127.0.0.1' });
      expect(own).to.deep.equal([true, true]);
    } finally {
      await server.stop();
    }
  });
});

describe('stopping the HTTP server', () => {
  const open = async (graceMs: number) => {
    const app = express();
    const leaving = new AbortController();
    let begin: (res: express.Response) => void = () => undefined;
    const begun = new Promise<express.Response>((resolve) => (begin = resolve));
    app.get('/slow', (_req, res) => {
      res.write('a');
      begin(res);
    });
    app.get('/fast', (_req, res) => void res.send('b'));
    const server = createEdgeServer({ app, port: 0, host: '127.0.0.1', graceMs, leaving });
    await server.start?.();
    return { server, leaving, begun, url: `http://127.0.0.1:${server.port()}` };
  };

  it('lets what is in flight end, answers meanwhile, and then is gone', async () => {
    const { server, begun, url, leaving } = await open(20_000);
    const slow = fetch(`${url}/slow`).then((answer) => answer.text());
    const res = await begun;
    const stopped = server.stop();
    expect(await (await fetch(`${url}/fast`)).text()).to.equal('b');
    // With nearly all of its grace left, nobody is told to hurry.
    expect(leaving.signal.aborted).to.equal(false);
    res.end('z');
    expect(await slow).to.equal('az');
    await stopped;
    expect(leaving.signal.aborted).to.equal(true);
    expect(await fetch(`${url}/fast`).catch(() => 'refused')).to.equal('refused');
  });

  it('is gone at once when nobody is connected', async () => {
    const { server, url } = await open(20_000);
    await (await fetch(`${url}/fast`, { headers: { connection: 'close' } })).text();
    const began = systemClock.elapsed();
    await server.stop();
    expect(systemClock.elapsed() - began).to.be.below(400);
  });

  it('closes no kept connection under a caller: each answer says that it is the last', async () => {
    const { server, url } = await open(20_000);
    const kept = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = (): Promise<IncomingMessage> =>
      new Promise((resolve, reject) => {
        get(`${url}/fast`, { agent: kept }, (answer) =>
          answer.resume().once('end', () => resolve(answer)),
        ).once('error', reject);
      });
    expect((await ask()).headers.connection).to.equal('keep-alive');
    const stopped = server.stop();
    expect((await ask()).headers.connection, 'over the kept connection').to.equal('close');
    expect((await ask()).headers.connection, 'over a new one').to.equal('close');
    await stopped;
    kept.destroy();
  });

  it('closes what is kept and quiet while an answer takes long: the next try of a caller finds another edge', async () => {
    const { server, begun, url } = await open(20_000);
    const slow = fetch(`${url}/slow`).then((answer) => answer.text());
    const res = await begun;
    const kept = new Agent({ keepAlive: true });
    const closed = new Promise<void>((resolve, reject) => {
      get(`${url}/fast`, { agent: kept }, (answer) => {
        answer.resume().socket.once('close', () => resolve());
        answer.once('end', () => void server.stop());
      }).once('error', reject);
    });
    await closed;
    expect(res.closed, 'the long answer goes on').to.equal(false);
    res.end('z');
    expect(await slow).to.equal('az');
    await server.stop();
    kept.destroy();
  });

  it('tells those who are still open that it leaves, and cuts them when the grace is over', async () => {
    const { server, begun, url, leaving } = await open(1_100);
    const slow = fetch(`${url}/slow`).then((answer) => answer.text());
    slow.catch(() => undefined);
    await begun;
    const stopped = server.stop();
    await pause(5_000, leaving.signal);
    expect(leaving.signal.aborted).to.equal(true);
    await stopped;
    expect(await slow.catch(() => 'cut')).to.equal('cut');
  });

  it('says which setting to change when its port is in use', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const address = other.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const leaving = new AbortController();
    const server = createEdgeServer({ app: express(), port, host: '127.0.0.1', graceMs: 1, leaving });
    const message = await Promise.resolve(server.start?.()).catch((thrown: Error) => thrown.message);
    expect(message).to.equal(`Port ${port} is in use; set PORT to another one.`);
    await new Promise((resolve) => other.close(resolve));
  });
});
