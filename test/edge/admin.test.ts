import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { cookieFor, ownPage, signIn } from '../support/admin.ts';
import { edgeFixture, type Answer, type EdgeFixture, publicLlm } from '../support/edge.ts';

const pages = { accept: 'text/html' };

const hashOf = (cookie: string): string =>
  createHash('sha256')
    .update(cookie.split('=')[1] ?? '')
    .digest('hex');

describe('the admin pages', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'gpt');
  });
  after(() => t.close());

  const board = (what: string, cookie: string, headers: Record<string, string> = {}): Promise<Answer> => {
    const [method = '', path = ''] = what.split(' ');
    return t.call(`${method} /admin/queues${path}`, { token: null, headers: { cookie, ...headers } });
  };
  const newToken = async (body: object, token = t.tokens.ada): Promise<{ id: string; token: string }> => {
    const name = `board-${Math.random().toString(36).slice(2)}`;
    return (await t.call('POST /api/v1/tokens', { token, body: { name, preset: 'full', ...body } }))
      .json as never;
  };
  /** A path as it is written: `fetch` would tidy it up. */
  const raw = (
    path: string,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(t.url);
      request({ hostname, port, path, headers, agent: false }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => (text += part));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      })
        .on('error', reject)
        .end();
    });

  it('shows the board, which names every pool, to nobody who may not see them all', async () => {
    const looks = async (...bindings: string[]): Promise<number> => {
      const of = bindings.map((resource) => ({ role: 'view', resource }));
      const { token } = await newToken({ user: 'ada', bindings: of }, t.tokens.root);
      return (await board('GET /api/queues', await cookieFor(t.url, token))).status;
    };
    expect(await looks('board')).to.equal(403);
    expect(await looks('board', 'llm')).to.equal(403);
    expect(await looks('board', 'llm', 'pool')).to.equal(200);
  });

  it('exchanges a token for a cookie that scripts and other sites cannot use', async () => {
    const answer = await signIn(t.url, t.tokens.ada);
    expect(answer.status).to.equal(303);
    expect(answer.headers.get('location')).to.equal('/admin/queues');
    const cookie = answer.headers.get('set-cookie') ?? '';
    expect(cookie)
      .to.match(/^mcpctl_admin=[\w-]{43}; .*HttpOnly; SameSite=Lax$/)
      .and.not.include(t.tokens.ada);
    const stored = JSON.stringify(await t.connection.db('adminSessions').select());
    expect(stored)
      .to.match(/"hash":"[0-9a-f]{64}"/)
      .and.not.include(/=([\w-]+)/.exec(cookie)?.[1] ?? '?');
    expect(await t.deps.queue.redis.keys(`${t.deps.queue.keys.namespace}:admin*`)).to.deep.equal([]);
  });

  it('says what is wrong with a token, and leads nowhere else', async () => {
    const answer = await signIn(t.url, 'wrong');
    expect(answer.status).to.equal(401);
    expect(answer.headers.get('set-cookie')).to.equal(null);
    expect(await answer.text()).to.include('That is no token of this server');
    const away = [
      '//evil.test/',
      'https://evil.test/admin/queues',
      '/admin/..//evil.test/',
      '/admin/logout',
      '/v1',
    ];
    for (const next of [
      ...away,
      '/admin/queues/../logout',
      '/admin/queues//evil.test',
      '/admin\\evil.test',
    ]) {
      const page = await t.call(`GET /admin/login?next=${encodeURIComponent(next)}`, { token: null });
      expect(page.text, next).to.include('value="/admin/queues"').and.not.include('evil');
    }
    const pinned = await t.call('GET /admin/login?next=%2Fadmin%2Fqueues%2Fqueue%2Fpool%3Allm', {
      token: null,
    });
    expect(pinned.text).to.include('value="/admin/queues/queue/pool:llm"');
  });

  it('asks who is not signed in to sign in, and tells a program so', async () => {
    const asked = await fetch(`${t.url}/admin/queues/queue/x`, { headers: pages, redirect: 'manual' });
    expect(asked.headers.get('location')).to.equal('/admin/login?next=%2Fadmin%2Fqueues%2Fqueue%2Fx');
    expect((await t.call('GET /admin/queues/api/queues')).status).to.equal(401);
  });

  it('takes no cookie that it has not given, and no token in its place', async () => {
    const value = (await cookieFor(t.url, t.tokens.ada)).split('=')[1] ?? '';
    const stored = createHash('sha256').update(value).digest('hex');
    const turned = (value.startsWith('A') ? 'B' : 'A') + value.slice(1);
    const forged = [
      'A'.repeat(43),
      turned,
      stored.slice(0, 43),
      t.tokens.ada,
      `${value}x`,
      '',
      '*',
      '../duties',
    ];
    for (const text of forged) {
      expect((await board('GET /api/queues', `mcpctl_admin=${text}`)).status, text).to.equal(401);
    }
    expect((await board('GET /api/queues', `x=1; mcpctl_admin=${value}`)).status).to.equal(200);
    expect((await t.call('GET /api/v1/whoami', { token: null, headers: { cookie: value } })).status).to.equal(
      401,
    );
  });

  it('opens nothing by another spelling of a path', async () => {
    const inside = ['/ADMIN/queues/api/queues', '/admin//queues/api/queues', '/admin/./queues/api/queues'];
    const around = [
      '/admin/login/../queues/api/queues',
      '/admin/style.css/../queues/api/queues',
      '/admin/%71ueues/api/queues',
    ];
    const files = [
      '/admin/queues/static/css/main.css',
      '/admin/queues/static/..%2f..%2fpackage.json',
      '/admin/queues/index.ejs',
    ];
    for (const path of [
      ...inside,
      ...around,
      ...files,
      '/admin/queues;/api/queues',
      '/admin/queues%2fapi%2fqueues',
    ]) {
      const { status, text } = await raw(path);
      expect(status, path).to.be.within(400, 404);
      expect(text, path).not.to.include('gpt');
    }
    const cookie = await cookieFor(t.url, t.tokens.root);
    for (const path of ['..%2f..%2fpackage.json', '../../package.json', '..%5c..%5cpackage.json', '%00']) {
      const { status, text } = await raw(`/admin/queues/static/${path}`, { cookie });
      expect(status, path).to.be.within(400, 404);
      expect(text, path).not.to.include('bull-board');
    }
  });

  it('ends a session with its token, with its time, and at sign-out', async () => {
    const { id, token } = await newToken({});
    const revoked = await cookieFor(t.url, token);
    expect((await board('GET /api/queues', revoked)).status).to.equal(200);
    await t.call(`DELETE /api/v1/tokens/${id}`);
    expect((await board('GET /api/queues', revoked)).status).to.equal(401);

    const short = await newToken({ expiresInDays: 1 });
    const expired = await cookieFor(t.url, short.token);
    expect((await board('GET /api/queues', expired)).status).to.equal(200);
    await t.connection
      .db('tokens')
      .where({ id: short.id })
      .update({ expiresAt: new Date(0) });
    expect((await board('GET /api/queues', expired)).status).to.equal(401);

    const cookie = await cookieFor(t.url, t.tokens.ada);
    const mine = t.connection.db('adminSessions').where({ hash: hashOf(cookie) });
    const { rows } = await t.connection.db.raw<{ rows: { s: string }[] }>(
      'select extract(epoch from expires_at - now()) as s from admin_sessions where hash = ?',
      [hashOf(cookie)],
    );
    expect(Number(rows[0]?.s)).to.be.within(7.9 * 3_600, 8 * 3_600);
    await mine.clone().update({ expiresAt: new Date(0) });
    expect((await board('GET /api/queues', cookie)).status).to.equal(401);
    expect(await t.registry.adminSessions.sweep()).to.be.above(0);
    expect(await mine).to.deep.equal([]);

    const leaving = await cookieFor(t.url, t.tokens.ada);
    const out = { method: 'POST', headers: { cookie: leaving, ...ownPage }, redirect: 'manual' } as const;
    expect((await fetch(`${t.url}/admin/logout`, out)).status).to.equal(303);
    expect((await board('GET /api/queues', leaving)).status).to.equal(401);
  });

  it('is not forged from Redis, and keeps the newest sessions of a token only', async () => {
    const forged = 'F'.repeat(43);
    const { redis, keys } = t.deps.queue;
    const { tokenId } = (await t.deps.authenticator.actorOf(t.tokens.root)) ?? { tokenId: '' };
    await redis.set(`${keys.namespace}:admin:${hashOf(`=${forged}`)}`, tokenId);
    expect((await board('GET /api/queues', `mcpctl_admin=${forged}`)).status).to.equal(401);

    const { id } = await newToken({});
    const begin = (n: number) =>
      t.registry.adminSessions.begin({ hash: hashOf(`=${id}${n}`), tokenId: id, lifeMs: 60_000 });
    for (let n = 0; n < 40; n++) await begin(n);
    const kept = await t.connection.db('adminSessions').where({ tokenId: id }).pluck<string[]>('hash');
    expect(kept.sort()).to.deep.equal(Array.from({ length: 32 }, (_, n) => hashOf(`=${id}${n + 8}`)).sort());
  });

  it('is not signed out by a link of another site', async () => {
    const cookie = await cookieFor(t.url, t.tokens.ada);
    const link = (site: string): Promise<Response> =>
      fetch(`${t.url}/admin/logout`, { headers: { cookie, 'sec-fetch-site': site }, redirect: 'manual' });
    const asks = await link('cross-site');
    expect([asks.status, asks.headers.get('set-cookie')]).to.deep.equal([200, null]);
    expect(await asks.text()).to.include('action="/admin/logout"');
    expect((await board('GET /api/queues', cookie)).status).to.equal(200);
    expect((await link('same-origin')).status).to.equal(303);
    expect((await board('GET /api/queues', cookie)).status).to.equal(401);
  });

  it('takes writes from its own pages only', async () => {
    const cookie = await cookieFor(t.url, t.tokens.root);
    const paused = async (): Promise<boolean | undefined> => {
      const { queues } = (await board('GET /api/queues', cookie)).json as { queues: { isPaused: boolean }[] };
      return queues[0]?.isPaused;
    };
    const others = [
      {},
      { origin: 'null' },
      { origin: 'https://evil.test' },
      { origin: `${t.url}.evil.test` },
    ];
    const sites = ['cross-site', 'same-site', 'none'].map((site) => ({
      'sec-fetch-site': site,
      origin: t.url,
    }));
    for (const headers of [...others, ...sites]) {
      expect((await board('PUT /api/queues/gpt/pause', cookie, headers)).status).to.equal(403);
      expect((await signIn(t.url, t.tokens.root, headers)).status).to.equal(403);
    }
    expect(await paused()).to.equal(false);
    expect((await board('PUT /api/queues/gpt/pause', cookie, { origin: t.url })).status).to.equal(200);
    expect(await paused()).to.equal(true);
    await board('PUT /api/queues/gpt/resume', cookie, ownPage);
  });

  it('is closed to a token that is bound to pools, whoever it is of', async () => {
    for (const owner of [t.tokens.ada, t.tokens.root]) {
      const cookie = await cookieFor(t.url, (await newToken({ pools: ['gpt'] }, owner)).token);
      expect((await board('GET /api/queues', cookie)).status).to.equal(403);
      expect((await board('PUT /api/queues/gpt/pause', cookie, ownPage)).status).to.equal(403);
      const page = await board('GET /', cookie, pages);
      expect(page.status).to.equal(403);
      expect(page.text).to.include('<!doctype html>').and.include('Your token is bound to pools');
    }
  });

  it('does not show a task to other users', async () => {
    const body = { llm: 'gpt', request: { messages: [{ role: 'user', content: 'hi' }] } };
    const { id } = (await t.call('POST /api/v1/tasks', { body })).json as { id: string };
    const task = async (token: string): Promise<Answer> =>
      await t.call(`GET /admin/tasks/${id}`, {
        token: null,
        headers: { cookie: await cookieFor(t.url, token) },
      });
    expect((await task(t.tokens.ada)).text).to.include('<td>pending</td>');
    expect((await task(t.tokens.root)).status).to.equal(200);
    expect((await task(t.tokens.bob)).status).to.equal(404);
  });

  it('loads nothing from outside, and its policy allows nothing inline', async () => {
    const page = await board('GET /', await cookieFor(t.url, t.tokens.ada));
    expect(page.headers.get('content-security-policy'))
      .to.include("script-src 'self'")
      .and.not.include('unsafe');
    expect(page.headers.get('x-powered-by')).to.equal(null);
    expect(page.text)
      .to.include('static/js/')
      .and.not.match(/https?:\/\//);
    expect(page.text).not.to.match(/style=|<style|<script>/);
  });

  it('tells of each write on the board, and of who signed in', async () => {
    const events: { resource: string; name: string; actor: string; outcome: string }[] = [];
    const stop = t.bus.on('registry.written', ({ resource, name, actor, outcome }) =>
      events.push({ resource, name, actor, outcome }),
    );
    const cookie = await cookieFor(t.url, t.tokens.root);
    await board('PUT /api/queues/gpt/resume', cookie, ownPage);
    await board('PUT /api/queues/gpt/obliterate', cookie, ownPage);
    stop();
    expect(events).to.deep.equal([
      { resource: 'admin session', name: 'test', actor: t.root.name, outcome: 'ok' },
      { resource: 'board', name: 'PUT /api/queues/gpt/resume', actor: t.root.name, outcome: 'ok' },
      { resource: 'board', name: 'PUT /api/queues/gpt/obliterate', actor: t.root.name, outcome: 'forbidden' },
    ]);
  });
});
