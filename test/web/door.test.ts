import { expect } from 'chai';
import { edgeFixture, type Answer, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';

/** What a browser says of a request that a page of ours makes. */
const ours = { 'sec-fetch-site': 'same-origin' };

const cookiesOf = (answer: Answer): string[] => answer.headers.getSetCookie();

describe('the door of the page', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture({ MCPCTL_CORS_ORIGINS: '*', MCPCTL_TOKEN_CACHE_MS: '1' });
  });
  after(() => t.close());

  const signIn = (token: string, headers: Record<string, string> = ours): Promise<Answer> =>
    t.call('POST /ui/session', { token: null, body: { token }, headers });
  const cookieFor = async (token: string): Promise<string> =>
    cookiesOf(await signIn(token))[0]?.split(';')[0] ?? '';
  const withCookie = (what: string, cookie: string, more: { body?: unknown; headers?: object } = {}) =>
    t.call(what, { token: null, body: more.body, headers: { cookie, ...ours, ...more.headers } });
  const newToken = async (name: string): Promise<{ id: string; token: string }> =>
    (await t.call('POST /api/v1/tokens', { body: { name } })).json as never;

  it('gives a cookie of /ui alone that no script reads, and the board’s beside it', async () => {
    const answer = await signIn(t.tokens.ada);
    expect(answer.status).to.equal(200);
    expect(answer.json).to.deep.include({ user: 'ada' });
    const [ui = '', board = ''] = cookiesOf(answer);
    expect(ui).to.match(/^mcpctl_ui=[\w-]{43}; Max-Age=28800; Path=\/ui; .*HttpOnly; SameSite=Lax$/);
    expect(board).to.match(/^mcpctl_admin=[\w-]{43}; Max-Age=28800; Path=\/admin; .*HttpOnly; SameSite=Lax$/);
    expect(
      (await t.call('GET /admin/api', { token: null, headers: { cookie: board.split(';')[0] ?? '' } }))
        .status,
    ).to.equal(200);
  });

  it('gives its cookie to nobody but over TLS where that ends at a proxy it believes', async () => {
    const behind = await edgeFixture({ MCPCTL_TRUST_PROXY: '1' });
    try {
      const signInTo = (edge: EdgeFixture, proto: string): Promise<Answer> => {
        const headers = { ...ours, 'x-forwarded-proto': proto };
        return edge.call('POST /ui/session', { token: null, body: { token: edge.tokens.ada }, headers });
      };
      const over = cookiesOf(await signInTo(behind, 'https'));
      expect(over[0]).to.match(
        /^__Secure-mcpctl_ui=[\w-]{43}; .*Path=\/ui; .*HttpOnly; Secure; SameSite=Lax$/,
      );
      expect(over[1]).to.match(/^mcpctl_admin=.*; Secure; SameSite=Lax$/);
      const headers = { ...ours, 'x-forwarded-proto': 'https', cookie: over[0]?.split(';')[0] ?? '' };
      expect((await behind.call('GET /ui/api/v1/whoami', { token: null, headers })).json).to.include({
        user: 'ada',
      });
      for (const plain of [await signInTo(behind, 'http'), await signInTo(t, 'https')])
        expect(cookiesOf(plain).join()).not.to.match(/secure/i);
    } finally {
      await behind.close();
    }
  });

  it('answers the calls of /api/v1 under it, and no other path does', async () => {
    const cookie = await cookieFor(t.tokens.ada);
    expect((await withCookie('GET /ui/api/v1/whoami', cookie)).json).to.include({ user: 'ada' });
    for (const path of ['/api/v1/whoami', '/v1/models', '/api/tags'])
      expect((await withCookie(`GET ${path}`, cookie)).status, path).to.equal(401);
    // A token opens the door of programs, not this one.
    expect((await t.call('GET /ui/api/v1/whoami')).status).to.equal(401);
  });

  it('lets no other page change or read anything, whatever CORS allows to programs', async () => {
    const cookie = await cookieFor(t.tokens.ada);
    const foreign = [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' },
    ];
    for (const headers of foreign) {
      for (const what of ['POST /ui/api/v1/tokens', 'DELETE /ui/session', 'POST /ui/session']) {
        const answer = await t.call(what, {
          token: null,
          body: { name: 'x' },
          headers: { cookie, ...headers },
        });
        expect(answer.status, `${what} ${JSON.stringify(headers)}`).to.equal(403);
      }
      const read = await t.call('GET /ui/api/v1/whoami', { token: null, headers: { cookie, ...headers } });
      expect(read.status).to.equal(403);
      expect(read.headers.get('access-control-allow-origin')).to.equal(null);
    }
    // No browser at all: a write is taken only with a word of where it comes from.
    const plain = await t.call('POST /ui/api/v1/tokens', {
      token: null,
      body: { name: 'x' },
      headers: { cookie },
    });
    expect(plain.status).to.equal(403);
    expect((await withCookie('GET /ui/api/v1/whoami', cookie)).status).to.equal(200);
  });

  it('believes a cookie no longer than a token, whatever the setting says', async () => {
    const slow = await edgeFixture({ MCPCTL_TOKEN_CACHE_MS: '60000' });
    try {
      const { id, token } = (
        await slow.call('POST /api/v1/tokens', { body: { name: 'page', preset: 'full' } })
      ).json as never;
      const answer = await slow.call('POST /ui/session', { token: null, body: { token }, headers: ours });
      const headers = { ...ours, cookie: cookiesOf(answer)[0]?.split(';')[0] ?? '' };
      const page = async (): Promise<number> =>
        (await slow.call('GET /ui/api/v1/users', { token: null, headers })).status;
      expect(await page()).to.equal(403);
      const lets = {
        name: 'lets',
        subjects: [{ kind: 'user', name: 'ada' }],
        bindings: [{ role: 'view', resource: 'user' }],
      };
      expect((await slow.call('POST /api/v1/rbac', { token: slow.tokens.root, body: lets })).status).to.equal(
        201,
      );
      expect(await page(), 'granted, at once').to.equal(200);
      await slow.call('DELETE /api/v1/rbac/lets', { token: slow.tokens.root });
      expect(await page(), 'and taken away').to.equal(403);
      await slow.connection.db.raw('update tokens set revoked_at = now() where id = ?', [id]);
      const from = performance.now();
      expect(await until(page, (status) => status === 401)).to.equal(401);
      expect(performance.now() - from).to.be.below(5_000);
    } finally {
      await slow.close();
    }
  });

  it('ends a session with its token, and with signing out', async () => {
    const made = await newToken('page');
    const cookie = await cookieFor(made.token);
    expect((await withCookie('GET /ui/api/v1/whoami', cookie)).status).to.equal(200);
    await t.call(`DELETE /api/v1/tokens/${made.id}`);
    expect((await withCookie('GET /ui/api/v1/whoami', cookie)).status).to.equal(401);
    const other = await cookieFor(t.tokens.ada);
    const left = await withCookie('DELETE /ui/session', other);
    expect(cookiesOf(left).join())
      .to.include('mcpctl_ui=; Path=/ui')
      .and.include('mcpctl_admin=; Path=/admin');
    expect((await withCookie('GET /ui/api/v1/whoami', other)).status).to.equal(401);
  });

  it('ends what a browser has open when it signs out, and when somebody else signs in there', async () => {
    const watchWith = (cookie: string): Promise<Response> =>
      fetch(`${t.url}/ui/api/v1/events`, { headers: { cookie, ...ours } });
    const [leaves, stays] = [await cookieFor(t.tokens.ada), await cookieFor(t.tokens.ada)];
    const streams = await Promise.all([leaves, stays].map(watchWith));
    await withCookie('DELETE /ui/session', leaves);
    expect(await streams[0]?.text())
      .to.include('event: signed-out')
      .and.include('signed out in this browser');
    const answer = await signIn(t.tokens.bob, { ...ours, cookie: stays });
    expect(await streams[1]?.text()).to.include('event: signed-out');
    expect((await withCookie('GET /ui/api/v1/whoami', stays)).status).to.equal(401);
    const cookie = cookiesOf(answer)[0]?.split(';')[0] ?? '';
    expect((await withCookie('GET /ui/api/v1/whoami', cookie)).json).to.include({ user: 'bob' });
  });

  it('shows nobody’s page to a browser that another site has given a cookie of theirs', async () => {
    const [own, theirs] = [await cookieFor(t.tokens.ada), await cookieFor(t.tokens.bob)];
    for (const cookie of [`${own}; ${theirs}`, `${theirs}; a=b;${own}`, `${own};${own}; ${theirs}`]) {
      const answer = await withCookie('GET /ui/api/v1/whoami', cookie);
      expect([answer.status, answer.text.includes('two cookies named mcpctl_ui')]).to.deep.equal([401, true]);
    }
    expect((await withCookie('GET /ui/api/v1/whoami', `${own}; ${own}`)).json).to.include({ user: 'ada' });
    const board = `${cookiesOf(await signIn(t.tokens.ada))[1]?.split(';')[0] ?? ''}; mcpctl_admin=${theirs.slice(-43)}`;
    expect((await withCookie('GET /admin/api', board)).status).to.equal(401);
    await withCookie('DELETE /ui/session', `${own}; ${theirs}`);
    for (const cookie of [own, theirs])
      expect((await withCookie('GET /ui/api/v1/whoami', cookie)).status, 'signed out').to.equal(401);
  });

  it('says what is wrong with a token, and takes nothing else', async () => {
    const answer = await signIn('wrong');
    expect(answer.status).to.equal(401);
    expect(answer.text).to.include('That is no token of this server');
    expect(cookiesOf(answer)).to.deep.equal([]);
    for (const body of [{}, { token: '' }, { token: 1 }, { once: '../x' }, { token: 'x', once: 'y' }, []])
      expect((await t.call('POST /ui/session', { token: null, body, headers: ours })).status).to.equal(400);
    const long = { token: 'x'.repeat(10_000) };
    expect((await t.call('POST /ui/session', { token: null, body: long, headers: ours })).status).to.equal(
      400,
    );
  });

  describe('a link of npm start', () => {
    const make = async (): Promise<string> => {
      const answer = await t.call('POST /ui/once', { headers: {} });
      expect(answer.status).to.equal(201);
      return (answer.json as { once: string }).once;
    };
    const redeem = (once: string, headers: Record<string, string> = {}): Promise<Answer> =>
      t.call('POST /ui/session', { token: null, body: { once }, headers: { ...ours, ...headers } });

    it('signs in once, as who made it', async () => {
      const once = await make();
      // Of two at once one alone gets in.
      const answers = await Promise.all([redeem(once), redeem(once), redeem(once)]);
      expect(answers.map(({ status }) => status).sort()).to.deep.equal([200, 401, 401]);
      const cookie = cookiesOf(answers.find(({ status }) => status === 200) ?? (await redeem(once)))[0] ?? '';
      expect((await withCookie('GET /ui/api/v1/whoami', cookie.split(';')[0] ?? '')).json).to.include({
        user: 'ada',
      });
      expect(answers.find(({ status }) => status === 401)?.text).to.include('used already');
    });

    it('is good for two minutes, with its token alone, and only here', async () => {
      const late = await make();
      const rows = await t.connection.db('adminSessions').orderBy('createdAt', 'desc').limit(1);
      const { createdAt, expiresAt } = rows[0] as { createdAt: Date; expiresAt: Date };
      expect(expiresAt.getTime() - createdAt.getTime()).to.be.within(119_000, 120_000);
      await t.connection.db('adminSessions').update({ expiresAt: new Date(0) });
      expect((await redeem(late)).status).to.equal(401);
      expect((await redeem(await make(), { 'x-forwarded-for': '10.0.0.9' })).status).to.equal(401);
      const made = await newToken('link');
      const { once } = (await t.call('POST /ui/once', { token: made.token })).json as { once: string };
      await t.call(`DELETE /api/v1/tokens/${made.id}`);
      expect((await redeem(once)).status).to.equal(401);
    });

    it('is no cookie, and is made for who has a token', async () => {
      const once = await make();
      expect((await withCookie('GET /ui/api/v1/whoami', `mcpctl_ui=${once}`)).status).to.equal(401);
      expect((await t.call('POST /ui/once', { token: null, headers: ours })).status).to.equal(401);
      const cookie = await cookieFor(t.tokens.ada);
      expect((await withCookie('POST /ui/once', cookie)).status).to.equal(401);
    });
  });

  it('answers each address of the page with one document, under a policy that takes no string for markup', async () => {
    for (const path of ['/ui/', '/ui/tasks/7', '/ui/no-such-screen']) {
      const answer = await t.call(`GET ${path}`, { token: null });
      expect(answer.status, path).to.equal(200);
      expect(answer.text).to.include('<div id="app">').and.include('/ui/status');
      expect(answer.text).not.to.match(
        /<script(?! type="module" blocking="render" src="\/ui\/a\/)|style=|onload/,
      );
      const policy = answer.headers.get('content-security-policy') ?? '';
      expect(policy)
        .to.include("default-src 'none'")
        .and.include("require-trusted-types-for 'script'")
        .and.include("trusted-types 'none'")
        .and.include("frame-ancestors 'none'")
        .and.not.match(/unsafe|https?:|\*/);
      expect(answer.headers.get('cache-control')).to.equal('no-store');
    }
    const shown = await t.call('GET /ui/', { token: null });
    for (const [, name = ''] of shown.text.matchAll(/"(\/ui\/a\/[^"]+)"/g)) {
      const file = await t.call(`GET ${name}`, { token: null });
      expect(file.status).to.equal(200);
      expect(file.headers.get('cache-control')).to.equal('public, max-age=31536000, immutable');
    }
    for (const name of ['manifest.json', '..%2fmanifest.json', '%2e%2e%2fpackage.json', 'main.js'])
      expect((await t.call(`GET /ui/a/${name}`, { token: null })).status, name).to.equal(404);
  });

  it('leads browsers from / to the page, and tells programs what is there', async () => {
    const page = await fetch(t.url, { headers: { accept: 'text/html' }, redirect: 'manual' });
    expect([page.status, page.headers.get('location')]).to.deep.equal([302, '/ui/']);
    expect((await t.call('GET /', { token: null })).json).to.include({ name: 'mcpctl' });
  });

  it('shows the numbers without a script, to a cookie and to a token', async () => {
    expect((await t.call('GET /ui/status', { token: null })).text).to.include(
      '<label for="token">Token</label>',
    );
    expect((await t.call('GET /ui/status')).text)
      .to.include('for ada')
      .and.not.include('<script');
    const form = await fetch(`${t.url}/ui/session`, {
      method: 'POST',
      redirect: 'manual',
      headers: { ...ours, 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ token: t.tokens.bob }).toString(),
    });
    expect(form.headers.get('location')).to.equal('/ui/status');
    const cookie = form.headers.getSetCookie()[0]?.split(';')[0] ?? '';
    expect((await withCookie('GET /ui/status', cookie)).text).to.include('for bob');
  });

  // Last: nobody new is let in from here for a while.
  describe('of which somebody guesses', () => {
    it('counts cookies and links by address, and bars neither a cookie that was good nor a token', async () => {
      const [cookie, board] = [await cookieFor(t.tokens.ada), cookiesOf(await signIn(t.tokens.ada))[1] ?? ''];
      const withBoard = (value: string) =>
        t.call('GET /admin/api', { token: null, headers: { cookie: value.split(';')[0] ?? '' } });
      expect((await withCookie('GET /ui/api/v1/whoami', cookie)).status).to.equal(200);
      expect((await withBoard(board)).status).to.equal(200);
      let asked = 0;
      const count = ({ sql }: { sql: string }): void =>
        void (asked += sql.includes('admin_sessions') ? 1 : 0);
      t.connection.db.on('query', count);
      const guess = (n: number): string => String(n).padStart(43, 'x');
      const tries = Array.from({ length: 150 }, (_, n) => {
        if (n % 3 === 0) return withBoard(`mcpctl_admin=${guess(n)}`);
        if (n % 3 === 1) return withCookie('GET /ui/api/v1/whoami', `mcpctl_ui=${guess(n)}`);
        return t.call('POST /ui/session', { token: null, body: { once: guess(n) }, headers: ours });
      });
      const statuses = new Set((await Promise.all(tries)).map(({ status }) => status));
      t.connection.db.off('query', count);
      expect([...statuses].sort()).to.deep.equal([401, 429]);
      expect(asked).to.be.within(110, 125); // what comes back with the time that passes
      expect((await withCookie('GET /ui/api/v1/whoami', cookie)).status).to.equal(200);
      expect((await withBoard(board)).status).to.equal(200);
      expect((await t.call('GET /api/v1/whoami')).status).to.equal(200);
    });
  });
});
