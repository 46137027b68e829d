import { request } from 'node:http';
import { expect } from 'chai';
import type express from 'express';
import { readConfig } from '../../core/runtime/settings/config.ts';
import { cors, exposedHeaders } from '../../edge/middleware/cors.ts';
import { checkHost } from '../../edge/middleware/host.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';

const page = 'https://page.test';

/** Every header that the contract names, and the SDKs' own as openai 6.49 and @anthropic-ai/sdk 1.11 send them. */
const asked = [
  ...['authorization', 'content-type', 'accept', 'openai-beta', 'x-requested-with', 'x-api-key'],
  ...['anthropic-version', 'anthropic-beta', 'openai-organization', 'openai-project', 'idempotency-key'],
  ...['arch', 'async', 'helper-method', 'lang', 'os', 'package-version', 'poll-helper', 'retry-count'].map(
    (name) => `x-stainless-${name}`,
  ),
  ...['runtime', 'runtime-version', 'timeout', 'custom-poll-interval'].map((name) => `x-stainless-${name}`),
];

const routes = [
  'POST /v1/chat/completions',
  'GET /v1/models',
  'POST /api/v1/llms/x/infer',
  'DELETE /api/v1/tasks/1',
];

const corsHeaders = (headers: Headers): string[] =>
  [...headers.keys()].filter((name) => name.startsWith('access-control-'));

describe('a web page calls the edge', () => {
  let closed: EdgeFixture;
  let open: EdgeFixture;
  before(async () => {
    [closed, open] = await Promise.all([
      edgeFixture(),
      edgeFixture({ MCPCTL_CORS_ORIGINS: `${page}, http://localhost:5173` }),
    ]);
  });
  after(() => Promise.all([closed.close(), open.close()]));

  const preflight = (t: EdgeFixture, route: string, origin: string) => {
    const [method = '', path = ''] = route.split(' ');
    const headers = {
      origin,
      'access-control-request-method': method,
      'access-control-request-headers': asked.join(','),
    };
    return t.call(`OPTIONS ${path}`, { token: null, headers });
  };

  it('and is refused by its browser, unless the operator named it: nothing is allowed by default', async () => {
    for (const route of routes) {
      const answer = await preflight(closed, route, page);
      expect([route, answer.status, corsHeaders(answer.headers)]).to.deep.equal([route, 204, []]);
    }
    const answer = await closed.call('GET /v1/models', { headers: { origin: page } });
    expect([answer.status, corsHeaders(answer.headers)]).to.deep.equal([200, []]);
  });

  it('and at an MCP endpoint is refused by us, with whatever method and wherever the edge listens', async () => {
    const loopback = await edgeFixture({ MCPCTL_HOST: '127.0.0.1' });
    try {
      for (const [t, allowed] of [
        [loopback, 'http://localhost:5173'],
        [open, page],
        [closed, null],
      ] as const)
        for (const method of ['POST', 'GET', 'DELETE']) {
          const statusFor = async (origin: string): Promise<unknown> => {
            const body = method === 'POST' ? { body: { jsonrpc: '2.0', id: 1, method: 'ping' } } : {};
            const answer = await t.call(`${method} /mcp/projects/none`, { headers: { origin }, ...body });
            return [answer.status, (answer.json as { code: string }).code];
          };
          for (const origin of [
            'http://evil.example',
            'null',
            ...(allowed === null ? ['http://localhost'] : []),
          ])
            expect(await statusFor(origin), `${method} ${origin}`).to.deep.equal([403, 'origin_not_allowed']);
          if (allowed !== null)
            expect(await statusFor(allowed), method).to.deep.equal([404, 'project_not_found']);
        }
    } finally {
      await loopback.close();
    }
  });

  it('may send every header that the SDKs send, on every route, with any method', async () => {
    for (const route of routes) {
      const { status, headers } = await preflight(open, route, page);
      expect([route, status]).to.deep.equal([route, 204]);
      expect(headers.get('access-control-allow-origin')).to.equal(page);
      const allowed = headers.get('access-control-allow-headers')?.split(/, ?/) ?? [];
      expect(allowed).to.include.members(asked);
      expect(headers.get('access-control-allow-methods')?.split(', ')).to.include(route.split(' ')[0]);
      expect(headers.get('access-control-allow-credentials')).to.equal(null);
      expect(headers.get('vary')).to.match(/origin/i);
    }
  });

  it('may read every header of an answer that means something, refusals included', async () => {
    for (const [token, what] of [
      [open.tokens.ada, 'GET /v1/models'],
      [null, 'GET /v1/models'],
      [open.tokens.ada, 'GET /v1/no-such-thing'],
    ] as const) {
      const { headers } = await open.call(what, { token, headers: { origin: page } });
      expect(headers.get('access-control-allow-origin')).to.equal(page);
      const exposed = headers.get('access-control-expose-headers')?.split(', ') ?? [];
      expect(exposed).to.include.members(['x-request-id', 'retry-after', 'retry-after-ms', 'x-should-retry']);
      const ours = [...headers.keys()].filter((name) =>
        /^(x-(request|mcpctl|ratelimit|should)|openai-|retry-)/.test(name),
      );
      expect(exposed).to.include.members(ours);
    }
  });

  it('is told apart from one that only looks alike', async () => {
    for (const origin of [
      'http://page.test',
      'https://page.test.evil.test',
      'https://evil-page.test',
      'https://page.test:8443',
      'http://localhost:5174',
      'null',
    ]) {
      const answer = await preflight(open, 'POST /v1/chat/completions', origin);
      expect([origin, answer.status, corsHeaders(answer.headers)]).to.deep.equal([origin, 204, []]);
    }
  });

  it('of any origin when the operator said so, without being told which', () => {
    const res = {
      headers: new Map<string, string>(),
      vary: () => res,
      set: (name: string, value: string) => (res.headers.set(name, value), res),
    };
    const req = {
      method: 'GET',
      get: (name: string) => (name === 'origin' ? 'https://any.test' : undefined),
    };
    void cors({ corsOrigins: ['*'] })(
      req as unknown as express.Request,
      res as unknown as express.Response,
      () => undefined,
    );
    expect(res.headers.get('access-control-allow-origin')).to.equal('*');
    expect(res.headers.get('access-control-expose-headers')).to.equal(exposedHeaders.join(', '));
  });

  it('from an origin that can be one: another text is a fault of the configuration, told at the start', () => {
    const read = (text: string) => readConfig({ MCPCTL_CORS_ORIGINS: text }, ['corsOrigins']).corsOrigins;
    const good = [
      '*',
      'null',
      page,
      'http://localhost:5173',
      'http://[::1]:8080',
      'chrome-extension://abcdef',
    ];
    expect(read(good.join(','))).to.deep.equal(good);
    for (const bad of [
      'https://page.test/',
      'page.test',
      'https://Page.test',
      'https://page.test:443',
      '*.page.test',
    ])
      expect(() => read(bad), bad).to.throw(/MCPCTL_CORS_ORIGINS/);
  });
});

describe('a page reaches a loopback edge under a name of its own', () => {
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture({
      MCPCTL_HOST: '127.0.0.1',
      MCPCTL_ALLOWED_HOSTS: 'desk.test',
      MCPCTL_CORS_ORIGINS: '*',
    });
  });
  after(() => t.close());

  /** fetch does not let us choose the Host. */
  const status = (path: string, host: string, at: EdgeFixture = t): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const { port } = new URL(at.url);
      const headers = { host, authorization: `Bearer ${at.tokens.ada}` };
      request({ host: '127.0.0.1', port, path, headers }, (res) => {
        res.resume();
        resolve(res.statusCode);
      })
        .on('error', reject)
        .end();
    });

  it('and gets 403 everywhere, with a token, from an allowed origin, and on public paths', async () => {
    for (const path of ['/v1/models', '/api/v1/llms', '/mcp/projects/x', '/livez', '/']) {
      for (const host of [
        'evil.test',
        'evil.test:3100',
        'localhost.evil.test',
        '127.0.0.1.evil.test',
        '127.0.0.1@evil.test',
        'evil.test#localhost',
        'localhost.',
        '0.0.0.0:3100',
        '10.0.0.1',
        '[::1].evil.test',
        'desk.test.evil.test',
      ])
        expect([path, host, await status(path, host)]).to.deep.equal([path, host, 403]);
    }
  });

  it('or an edge that listens to the network, once the operator has named its names; probes still come by address', async () => {
    const open = await edgeFixture({ MCPCTL_HOST: '0.0.0.0', MCPCTL_ALLOWED_HOSTS: 'desk.test' });
    try {
      const asked = async (path: string, host: string): Promise<number | undefined> =>
        status(path, host, open);
      expect(await asked('/v1/models', 'evil.test')).to.equal(403);
      expect(await asked('/v1/models', 'desk.test:3100')).to.equal(200);
      expect(await asked('/v1/models', 'localhost')).to.equal(200);
      expect(await asked('/livez', '10.0.0.7:3100')).to.equal(200);
    } finally {
      await open.close();
    }
  });

  it('unless it is this machine’s own name, or one that the operator named', async () => {
    for (const host of [
      'localhost',
      'LOCALHOST:3100',
      '127.0.0.1:3100',
      '127.0.0.2',
      '[::1]:3100',
      'desk.test:80',
      'Desk.Test',
    ])
      expect([host, await status('/livez', host)]).to.deep.equal([host, 200]);
  });

  it('whichever loopback address the edge listens on', () => {
    for (const host of ['localhost', '127.0.0.1', '127.0.0.2', '::1'])
      expect(() =>
        checkHost({ host, allowedHosts: [] })(
          { get: () => 'evil.test', rawHeaders: [] } as unknown as express.Request,
          {} as express.Response,
          () => undefined,
        ),
      ).to.throw('This Host is not served here');
  });
});
