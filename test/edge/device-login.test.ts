import { expect } from 'chai';
import fc from 'fast-check';
import { typedCode, userCodeFrom } from '../../core/access/device-login.ts';
import { cookieFor, ownPage } from '../support/admin.ts';
import { edgeFixture, type Answer, type EdgeFixture } from '../support/edge.ts';

interface Begun {
  deviceCode: string;
  userCode: string;
  intervalS: number;
}

describe('login of a program by a code that somebody types', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  beforeEach(() => t.connection.db.raw('delete from device_logins; delete from device_guesses'));
  after(() => t.close());

  const begin = async (body: object = { machine: 'laptop' }): Promise<Begun> => {
    const answer = await t.call('POST /api/v1/login/device', { token: null, body });
    expect(answer.status, answer.text).to.equal(201);
    return answer.json as Begun;
  };
  /** Status and code; `again` as if the time until the next question were over. */
  const ask = async ({ deviceCode }: Begun, again = true): Promise<Answer & { outcome: string }> => {
    if (again) await t.connection.db.raw(`update device_logins set polled_at = null`);
    const answer = await t.call('POST /api/v1/login/device/token', { token: null, body: { deviceCode } });
    const { code, status } = answer.json as { code?: string; status?: string };
    return { ...answer, outcome: `${answer.status} ${code ?? status ?? ''}` };
  };
  const form = async (path: string, cookie: string, fields: Record<string, string>): Promise<Response> =>
    await fetch(`${t.url}/admin/${path}`, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': 'application/x-www-form-urlencoded', cookie, ...ownPage },
      body: new URLSearchParams(fields).toString(),
    });
  const decide = async (cookie: string, { userCode }: Begun, answer = 'approve'): Promise<number> =>
    (await form('device/decide', cookie, { code: userCode, answer })).status;
  const cookie = (token = t.tokens.ada): Promise<string> => cookieFor(t.url, token);
  const whoami = async (token: string): Promise<Answer> => t.call('GET /api/v1/whoami', { token });
  const tokenIn = ({ json }: Answer): string => (json as { token?: string }).token ?? '';

  it('gives a token once, of who approved, made with theirs, and says so in the audit', async () => {
    const begun = await begin();
    expect(begun.userCode).to.match(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
    expect((await ask(begun)).outcome).to.equal('202 pending');
    const session = await cookie();
    const page = await (
      await form('device', session, { code: ` ${begun.userCode.toLowerCase().replace('-', ' ')}` })
    ).text();
    for (const shown of ['laptop', '127.0.0.1', 'manage', '30 days']) expect(page).to.include(shown);
    expect((await ask(begun)).outcome, 'seen is not approved').to.equal('202 pending');
    expect(await decide(session, begun)).to.equal(200);
    const kept = JSON.stringify(await t.connection.db('deviceLogins').select());
    expect(kept).not.to.include(begun.deviceCode);
    const got = await ask(begun);
    expect(got.outcome).to.equal('200 approved');
    expect(got.headers.get('cache-control')).to.equal('no-store');
    expect((await whoami(tokenIn(got))).json).to.deep.include({ user: 'ada', pools: null });
    const { items } = (await t.call('GET /api/v1/tokens')).json as { items: Record<string, unknown>[] };
    const [parent, made] = [items.find(({ name }) => name === 'test'), items.at(-1)];
    expect(made).to.deep.include({ preset: 'manage', user: 'ada', parentId: parent?.['id'] });
    const days = (Date.parse(String(made?.['expiresAt'])) - Date.now()) / 86_400_000;
    expect(days).to.be.within(29.9, 30.1);
    expect((await ask(begun)).outcome).to.equal('410 device_code_expired');
    const { items: events } = (await t.call('GET /api/v1/audit?limit=10')).json as {
      items: { verb: string; resource: string; actor: string }[];
    };
    const writes = events.map(({ verb, resource, actor }) => `${verb} ${resource} ${actor}`);
    expect(writes).to.include('create device login ada').and.include('create token ada');
    expect(JSON.stringify(events)).not.to.include(tokenIn(got)).and.not.include(begun.userCode);
  });

  it('is locked after five wrong codes in a minute, for the right one too, and in a new session', async () => {
    const begun = await begin();
    const session = await cookie(t.tokens.bob);
    const type = async (code: string, by = session): Promise<number> =>
      (await form('device', by, { code })).status;
    const wrong = begun.userCode.startsWith('B') ? 'CBBB-BBBB' : 'BBBB-BBBB';
    expect(await type(begun.userCode), 'a right one is no guess').to.equal(200);
    for (let n = 1; n <= 5; n++) expect(await type(wrong), `guess ${n}`).to.equal(410);
    expect(await type(wrong)).to.equal(429);
    expect(await type(begun.userCode)).to.equal(429);
    expect(await decide(session, begun)).to.equal(429);
    expect(await type(begun.userCode, await cookie(t.tokens.bob))).to.equal(429);
    expect(await type(begun.userCode, await cookie()), 'another user').to.equal(200);
    await t.connection.db.raw(`update device_guesses set since = now() - interval '61 seconds'`);
    expect(await type(begun.userCode)).to.equal(200);
  });

  it('approved twice, at once and asked for twice, it gives one token', async () => {
    const begun = await begin({ machine: 'twice' });
    const session = await cookie();
    const statuses = await Promise.all([1, 2, 3].map(() => decide(session, begun)));
    expect(statuses.sort()).to.deep.equal([200, 410, 410]);
    await ask(begun, false);
    const again = await begin({ machine: 'twice' });
    expect(await decide(session, again)).to.equal(200);
    await t.connection.db.raw(`update device_logins set polled_at = null, interval_s = 0`);
    const got = await Promise.all([1, 2, 3].map(() => ask(again, false)));
    expect(got.filter(({ status }) => status === 200)).to.have.length(1);
    expect(got.filter(({ outcome }) => outcome === '410 device_code_expired')).to.have.length(2);
    const { rows } = await t.connection.db.raw<{ rows: unknown[] }>(
      `select 1 from tokens where name like 'twice-%'`,
    );
    expect(rows).to.have.length(2);
  });

  it('says slow_down to who asks too fast, and five seconds more from then on', async () => {
    const begun = await begin();
    expect((await ask(begun)).json).to.deep.equal({ status: 'pending', intervalS: 5 });
    const hasty = await ask(begun, false);
    expect([hasty.outcome, hasty.headers.get('retry-after')]).to.deep.equal(['429 slow_down', '10']);
    expect(await decide(await cookie(), begun)).to.equal(200);
    expect((await ask(begun, false)).outcome, 'approved as it is').to.equal('429 slow_down');
    expect((await ask(begun)).outcome).to.equal('200 approved');
  });

  it('is over after ten minutes, or when it was denied, and says nothing of codes that never were', async () => {
    const [late, denied] = [await begin(), await begin()];
    await t.connection.db.raw(`update device_logins set expires_at = now() where user_code = :code`, {
      code: late.userCode.replace('-', ''),
    });
    const session = await cookie();
    expect(await decide(session, late)).to.equal(410);
    expect(await decide(session, denied, 'deny')).to.equal(200);
    expect(await decide(session, denied)).to.equal(410);
    expect((await ask(late)).outcome).to.equal('410 device_code_expired');
    expect((await ask(denied)).outcome).to.equal('403 login_denied');
    expect((await ask({ ...late, deviceCode: 'A'.repeat(43) })).outcome).to.equal('410 device_code_expired');
    expect((await ask({ ...late, deviceCode: 'short' })).outcome).to.equal('400 invalid_request');
    expect(await t.registry.deviceLogins.sweep()).to.equal(1);
  });

  it('is never wider than the token that approved it, and not given when that was revoked meanwhile', async () => {
    const make = async (body: object): Promise<{ id: string; token: string }> =>
      (await t.call('POST /api/v1/tokens', { token: t.tokens.root, body })).json as never;
    const bindings = [
      { role: 'run', resource: 'llm', name: 'gpt' },
      { role: 'create', resource: 'token' },
    ];
    const narrow = await make({ name: 'narrow', preset: 'full', bindings, expiresInDays: 1 });
    const session = await cookie(narrow.token);
    const begun = await begin();
    expect(await (await form('device', session, { code: begun.userCode })).text()).to.include('run:llm:gpt');
    expect(await decide(session, begun)).to.equal(200);
    const got = await ask(begun);
    const { items } = (await t.call('GET /api/v1/tokens', { token: t.tokens.root })).json as {
      items: { name: string; bindings: unknown; preset: string; expiresAt: string }[];
    };
    const made = items.find(({ name }) => name === (got.json as { name: string }).name);
    expect(made).to.deep.include({ preset: 'manage', bindings });
    expect(Date.parse(made?.expiresAt ?? '') - Date.now()).to.be.at.most(86_400_000);
    expect((await t.call('GET /api/v1/users', { token: tokenIn(got) })).status).to.equal(403);
    const wider = await begin({ machine: 'x', preset: 'full' });
    const manage = await make({ name: 'managing', preset: 'manage' });
    expect(await decide(await cookie(manage.token), wider), 'full of manage').to.equal(403);
    const calling = await make({ name: 'calling', preset: 'call' });
    expect(await decide(await cookie(calling.token), wider), 'makes none').to.equal(403);
    const last = await begin();
    expect(await decide(await cookie(manage.token), last)).to.equal(200);
    await t.call(`DELETE /api/v1/tokens/${manage.id}`, { token: t.tokens.root });
    expect((await ask(last)).outcome).to.match(/^(403 login_denied|410 device_code_expired)$/);
  });

  it('leads who is not signed in to the login, and approves by nothing but a form of its own page', async () => {
    const begun = await begin();
    const { deviceCode: _kept, userCode } = begun;
    const asked = await fetch(`${t.url}/admin/device?code=${userCode}`, {
      redirect: 'manual',
      headers: { accept: 'text/html' },
    });
    expect([asked.status, asked.headers.get('location')]).to.deep.equal([
      303,
      '/admin/login?next=%2Fadmin%2Fdevice',
    ]);
    const login = await fetch(`${t.url}/admin/login?next=%2Fadmin%2Fdevice`);
    expect(await login.text()).to.include('value="/admin/device"');
    expect(await decide('', begun)).to.equal(401);
    const session = await cookie();
    const got = async (path: string): Promise<string> =>
      (await t.call(`GET /admin/${path}`, { token: null, headers: { cookie: session, ...ownPage } })).text;
    await got(`device/decide?code=${userCode}&answer=approve`);
    expect(await got(`device?code=${userCode}`)).not.to.include(userCode);
    const foreign = await fetch(`${t.url}/admin/device/decide`, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        cookie: session,
        'sec-fetch-site': 'cross-site',
      },
      body: new URLSearchParams({ code: userCode, answer: 'approve' }).toString(),
    });
    expect(foreign.status).to.equal(403);
    expect((await form('device/decide', session, { code: userCode })).status).to.equal(400);
    expect((await ask(begun)).outcome).to.equal('202 pending');
  });

  it('shows what a machine calls itself as text, and takes no name that cannot be shown', async () => {
    const begun = await begin({ machine: '<script>alert(1)</script>' });
    const page = await (await form('device', await cookie(), { code: begun.userCode })).text();
    expect(page).to.include('&lt;script&gt;');
    expect(page).not.to.include('<script>');
    for (const machine of ['', 'x'.repeat(65), 'a\u0000b', 'a\u202eb', 1, null]) {
      const { status } = await t.call('POST /api/v1/login/device', { token: null, body: { machine } });
      expect(status, String(machine)).to.equal(400);
    }
    const large = { token: null, body: { machine: 'x'.repeat(10_000) } };
    expect((await t.call('POST /api/v1/login/device', large)).status).to.equal(400);
  });

  it('holds no more than twenty for an address, and a thousand in all', async () => {
    for (let n = 0; n < 20; n++) await begin();
    const more = await t.call('POST /api/v1/login/device', { token: null, body: { machine: 'x' } });
    expect([more.status, more.headers.get('retry-after')]).to.deep.equal([429, '60']);
    await t.connection.db.raw(`update device_logins set address_key = user_code`);
    await begin();
    await t.connection.db.raw(
      `insert into device_logins (hash, user_code, machine, address, address_key, preset, days, interval_s, expires_at)
         select n, n, '', '', n, 'call', 1, 5, now() + interval '1 minute' from generate_series(1, 1000) n`,
    );
    const { status } = await t.call('POST /api/v1/login/device', { token: null, body: { machine: 'x' } });
    expect(status).to.equal(429);
    await t.connection.db.raw(`update device_logins set expires_at = now()`);
    await begin();
    expect(await t.connection.db('deviceLogins').select()).to.have.length(1);
  });

  it('makes codes of which each letter is as likely, and reads them as people type them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 40 }), (bytes) => {
        const code = userCodeFrom(bytes);
        const usable = [...bytes].filter((byte) => byte < 240).length;
        expect(code === undefined).to.equal(usable < 8);
        if (code === undefined) return;
        expect(typedCode(code)).to.equal(code);
        expect(typedCode(` ${code.slice(0, 4)} - ${code.slice(4).toLowerCase()} `)).to.equal(code);
        expect(typedCode(`${code}B`)).to.equal(undefined);
      }),
    );
    for (const text of ['', 'AEIO-UAEI', 'BCDF', `BCDFGHJ${'K'.repeat(100)}`, 'BCDFGHJ0'])
      expect(typedCode(text)).to.equal(undefined);
  });
});
