import { expect } from 'chai';
import { edgeFixture, type Answer, type EdgeFixture, publicLlm } from '../support/edge.ts';

const secret = 'CANARY-what-a-worker-should-not-have-written';

interface Queues {
  queues: { name: string; readOnlyMode: boolean; isPaused: boolean; jobs: { failedReason?: string }[] }[];
}

describe('the admin pages', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  beforeEach(async () => {
    t = await edgeFixture();
  });
  afterEach(() => t.close());

  const form = 'application/x-www-form-urlencoded';
  const ownPage = { 'sec-fetch-site': 'same-origin' };
  /** As a browser does; `fetch` itself would follow the redirect and lose the cookie. */
  const signIn = async (token: string, headers: Record<string, string> = ownPage): Promise<Response> =>
    await fetch(`${t.url}/admin/login`, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': form, ...headers },
      body: new URLSearchParams({ token }).toString(),
    });
  const cookieFor = async (token: string): Promise<string> => {
    const set = (await signIn(token)).headers.get('set-cookie') ?? '';
    return set.slice(0, set.indexOf(';'));
  };
  const board = (what: string, cookie: string, headers: Record<string, string> = {}): Promise<Answer> => {
    const [method = '', path = ''] = what.split(' ');
    return t.call(`${method} /admin/queues${path}`, { token: null, headers: { cookie, ...headers } });
  };
  const queues = async (cookie: string): Promise<Queues['queues']> =>
    ((await board('GET /api/queues', cookie)).json as Queues).queues;
  const pool = async (name: string): Promise<void> => {
    await publicLlm(t, name);
  };
  const makeTask = async (llm: string): Promise<string> => {
    const request = { messages: [{ role: 'user', content: 'a secret question' }] };
    const made = await t.call('POST /api/v1/tasks', { body: { llm, request } });
    return (made.json as { id: string }).id;
  };

  it('exchanges a token for a cookie that scripts and other sites cannot use', async () => {
    const answer = await signIn(t.tokens.ada);
    expect(answer.status).to.equal(303);
    expect(answer.headers.get('location')).to.equal('/admin/queues');
    const cookie = answer.headers.get('set-cookie') ?? '';
    expect(cookie)
      .to.match(/^mcpctl_admin=[\w-]{43}; .*HttpOnly; SameSite=Lax$/)
      .and.not.include(t.tokens.ada);
    const stored = await t.deps.queue.redis.keys(`${t.deps.queue.keys.namespace}:admin:*`);
    expect(stored).to.have.length(1);
    expect(stored[0]).not.to.include(/=([\w-]+)/.exec(cookie)?.[1] ?? '?');
  });

  it('says what is wrong with a token, and leads nowhere else', async () => {
    const answer = await signIn('wrong');
    expect(answer.status).to.equal(401);
    expect(answer.headers.get('set-cookie')).to.equal(null);
    expect(await answer.text()).to.include('That is no token of this server');
    const away = await t.call('GET /admin/login?next=//evil.test/', { token: null });
    expect(away.text).to.include('value="/admin/queues"').and.not.include('evil');
  });

  it('asks who is not signed in to sign in, and tells a program so', async () => {
    const headers = { accept: 'text/html' };
    const asked = await fetch(`${t.url}/admin/queues/queue/x`, { headers, redirect: 'manual' });
    expect(asked.headers.get('location')).to.equal('/admin/login?next=%2Fadmin%2Fqueues%2Fqueue%2Fx');
    expect((await t.call('GET /admin/queues/api/queues')).status).to.equal(401);
  });

  it('ends a session with its token, and at sign-out', async () => {
    const made = await t.call('POST /api/v1/tokens', { body: { name: 'board' } });
    const { id, token } = made.json as { id: string; token: string };
    const cookie = await cookieFor(token);
    expect((await board('GET /api/queues', cookie)).status).to.equal(200);
    await t.call(`DELETE /api/v1/tokens/${id}`);
    expect((await board('GET /api/queues', cookie)).status).to.equal(401);
    const other = await cookieFor(t.tokens.ada);
    await fetch(`${t.url}/admin/logout`, { headers: { cookie: other }, redirect: 'manual' });
    expect((await board('GET /api/queues', other)).status).to.equal(401);
  });

  it('takes writes from its own pages only', async () => {
    await pool('gpt');
    const cookie = await cookieFor(t.tokens.root);
    for (const headers of [{}, { 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.test' }]) {
      expect((await board('PUT /api/queues/gpt/pause', cookie, headers)).status).to.equal(403);
      expect((await signIn(t.tokens.root, headers)).status).to.equal(403);
    }
    expect((await queues(cookie))[0]?.isPaused).to.equal(false);
    expect((await board('PUT /api/queues/gpt/pause', cookie, { origin: t.url })).status).to.equal(200);
    expect((await queues(cookie))[0]?.isPaused).to.equal(true);
  });

  it('lets a user look, and nothing more', async () => {
    await pool('gpt');
    const cookie = await cookieFor(t.tokens.ada);
    expect((await queues(cookie))[0]?.readOnlyMode).to.equal(true);
    expect((await board('PUT /api/queues/gpt/pause', cookie, ownPage)).status).to.equal(405);
    expect((await board('POST /api/queues/gpt/add', cookie, ownPage)).status).to.equal(405);
  });

  it('is closed to a token that is bound to pools', async () => {
    const made = await t.call('POST /api/v1/tokens', { body: { name: 'bound', pools: ['gpt'] } });
    const cookie = await cookieFor((made.json as { token: string }).token);
    expect((await board('GET /api/queues', cookie)).status).to.equal(403);
  });

  it('shows pools by their names as they come and go', async () => {
    await pool('gpt');
    const cookie = await cookieFor(t.tokens.ada);
    expect((await queues(cookie)).map((queue) => queue.name)).to.deep.equal(['gpt']);
    await pool('llama');
    await t.call('DELETE /api/v1/llms/gpt', { token: t.tokens.root });
    let names: string[] = [];
    for (const limit = Date.now() + 20_000; !names.includes('llama') && Date.now() < limit;) {
      names = (await queues(cookie)).map((queue) => queue.name);
    }
    expect(names).to.deep.equal(['llama']);
  });

  it('shows a job, its task, and no words of anybody', async () => {
    await pool('gpt');
    const id = await makeTask('gpt');
    const { redis, keys } = t.deps.queue;
    const name = keys.pool('gpt').queue();
    const cookie = await cookieFor(t.tokens.ada);
    const path = `/api/queues/gpt/${id}-1`;
    // What a worker that is not ours could write into a job of its pool.
    const job = `${keys.namespace}:${name}:${id}-1`;
    await redis.hset(job, { failedReason: secret, returnvalue: `"${secret}"`, stacktrace: `["${secret}"]` });
    await redis.hset(job, { data: JSON.stringify({ T: id, prompt: secret }), progress: `"${secret}"` });
    const answer = await board(`GET ${path}`, cookie);
    expect(answer.text)
      .to.include(id)
      .and.include(`/admin/tasks/${id}`)
      .and.include('"failedReason":"unknown"');
    const flow = await board(`GET ${path}/flow`, cookie);
    const listed = await board('GET /api/queues?activeQueue=gpt&status=latest', cookie);
    const stats = await board('GET /api/redis/stats', cookie);
    const task = await t.call(`GET /admin/tasks/${id}`, { token: null, headers: { cookie } });
    expect(task.text).to.include(id).and.include('<td>pending</td>');
    for (const { text } of [answer, flow, listed, stats, task]) {
      expect(text).not.to.include('CANARY').and.not.include('a secret question');
    }
  });

  it('does not show a task to other users', async () => {
    await pool('gpt');
    const id = await makeTask('gpt');
    const cookie = await cookieFor(t.tokens.bob);
    const answer = await t.call(`GET /admin/tasks/${id}`, { token: null, headers: { cookie } });
    expect(answer.status).to.equal(404);
  });

  it('loads nothing from outside, and its policy allows nothing inline', async () => {
    await pool('gpt');
    const page = await board('GET /', await cookieFor(t.tokens.ada));
    expect(page.headers.get('content-security-policy'))
      .to.include("script-src 'self'")
      .and.not.include('unsafe');
    expect(page.text)
      .to.include('static/js/')
      .and.not.match(/https?:\/\//);
    expect(page.text).not.to.match(/style=|<style|<script>/);
  });
});
