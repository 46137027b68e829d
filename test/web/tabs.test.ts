import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { announce } from '../../core/queue/live/presence.ts';
import { inPage, says, sizes } from '../support/browsed.ts';
import { chromiumFor, type Browser } from '../support/chromium.ts';
import type { Page } from '../support/chromium-page.ts';
import { edgeFixture, publicLlm, type EdgeFixture } from '../support/edge.ts';
import { keyTests } from './keys.ts';
import { listTests } from './lists.ts';
import { failing, filteredOf, noneOf } from './screens.ts';
import { wireToUrl, type Wire } from '../support/wire.ts';

/** More than a browser has connections to one host. */
const TABS = 8;

/** Times are asserted where nothing else runs. */
const isLong = Number(process.env['MCPCTL_ROUNDS'] ?? 1) > 3;

const services = (): { databaseUrl: string; redisUrl: string } => ({
  databaseUrl: process.env['DATABASE_URL'] ?? '',
  redisUrl: process.env['REDIS_URL'] ?? '',
});

describe('several tabs, and the keyboard', function () {
  this.timeout(60_000);
  let t: EdgeFixture;
  let browser: Browser;
  let page: Page;
  let wires: { edge: Wire; postgres: Wire; redis: Wire };
  let url = '';
  const visit = inPage(() => ({ page, url }));
  const { go, type, press, forgive, sound } = visit;
  const token = (): { token: string } => ({ token: t.tokens.root });
  before(async function () {
    browser = await chromiumFor(this);
    const { databaseUrl, redisUrl } = services();
    const [postgres, redis] = await Promise.all([wireToUrl(databaseUrl), wireToUrl(redisUrl)]);
    t = await edgeFixture({}, { databaseUrl: postgres.url(databaseUrl), redisUrl: redis.url(redisUrl) });
    wires = { edge: await wireToUrl(t.url), postgres, redis };
    url = wires.edge.url(t.url).replace(/\/$/, '');
    for (const name of ['one', 'two', 'three']) await publicLlm(t, name);
    const { once } = (await t.call('POST /ui/once', token())).json as { once: string };
    page = await browser.page(sizes.wide);
    await page.goto(`${url}/ui/#once=${once}`);
    await page.until(says(/● live/));
  });
  after(async () => {
    await browser?.close();
    await t?.close();
    await Promise.all(Object.values(wires ?? {}).map((wire) => wire.close()));
  });

  afterEach(function () {
    for (const wire of Object.values(wires)) wire.mend();
    // What one test has met is not held against those after it.
    if (this.currentTest?.isFailed()) forgive(/^/);
  });

  /** As somebody else, on a page that was loaded since. */
  const signIn = async (text: string): Promise<void> => {
    const how = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token: text }),
    };
    const status = `fetch('/ui/session', ${JSON.stringify(how)}).then((answer) => answer.status)`;
    expect(await page.evaluate(status)).to.equal(200);
    await page.goto(`${url}/ui/access`);
    await page.until(says(/Yes|No/));
  };

  keyTests(visit, () => ({ t, page }));

  it('is painted as the system prefers, or as was chosen here, from its first frame on', async () => {
    const tab = await browser.page(sizes.wide);
    const [dark, light] = ['rgb(20, 23, 27)', 'rgb(255, 255, 255)'];
    // What is painted is what a frame begins with.
    await tab.prepare(`window.painted = new Set(); requestAnimationFrame(function look() {
      painted.add(getComputedStyle(document.documentElement).backgroundColor); requestAnimationFrame(look); });`);
    await tab.slowly(100);
    const colours = async (): Promise<unknown> => {
      await tab.goto(`${url}/ui/system`);
      await tab.until(says(/Duties/));
      return await tab.evaluate('[...painted]');
    };
    const choose = (theme: string): Promise<unknown> =>
      tab.evaluate(`(() => { const field = document.querySelector('.theme select'); field.value = '${theme}';
        field.dispatchEvent(new Event('change', { bubbles: true })); })()`);
    await tab.prefers({ 'prefers-color-scheme': 'dark' });
    expect(await colours()).to.deep.equal([dark]);
    await choose('light');
    expect(await colours()).to.deep.equal([light]);
    await tab.prefers({ 'prefers-color-scheme': 'light' });
    await choose('auto');
    expect(await colours()).to.deep.equal([light]);
    await choose('dark');
    expect(await colours()).to.deep.equal([dark]);
    await choose('auto');
    await tab.slowly(0);
    const moving = `(document.querySelector('.line').className = 'line away', document.getAnimations().length)`;
    expect(await tab.evaluate(moving), 'it can be seen to move').to.equal(1);
    await tab.prefers({ 'prefers-reduced-motion': 'reduce' });
    expect(await tab.evaluate(moving)).to.equal(0);
    await tab.shut();
    await page.front();
  });

  it('is right again within moments of its machine’s waking: its timers stood still, and no connection that it had is one', async () => {
    const tab = await browser.page(sizes.wide);
    await tab.prepare(`{ const Real = Date; window.slept = 0;
      Date = class extends Real { constructor(...of) { if (of.length > 0) super(...of); else super(Real.now() + slept); } }; }`);
    await page.goto('about:blank'); // the other one leads
    await tab.goto(`${url}/ui/llms`);
    await tab.until(says(/● live[^]*three/));
    // Several at once, so that several connections are kept.
    await tab.evaluate(
      `Promise.all([1, 2, 3, 4].map(() => fetch('/ui/api/v1/whoami').then((one) => one.text())))`,
    );
    const streams = (): number => tab.asked.filter((url) => url.endsWith('/events')).length;
    const before = { streams: streams(), connections: wires.edge.connections() };
    expect(before.connections).to.be.greaterThan(2);
    wires.edge.blackhole({ newOnes: 'open' });
    await publicLlm(t, 'woken');
    await tab.evaluate('slept = 3_600_000');
    await tab.until(says(/● live[^]*woken/), isLong ? 5_000 : 8_000);
    expect(streams()).to.equal(before.streams + 1);
    // Its clock is an hour ahead of the server's by now, and says all the same how long a member rests.
    const row = await t.registry.llms.byName('woken');
    const [sessionId, boot] = [randomUUID(), randomUUID()];
    const announcement = { sessionId, boot, slots: 1, running: 0, state: 'serving' as const };
    const at = { poolKey: 'woken', llmId: row?.id ?? '' };
    const { redis, keys } = t.deps.queue;
    const announced = { ...at, announcement: { ...announcement, restsMs: 50_000 } };
    await announce({ redis, keys, leaseMs: 90_000 }, announced);
    await inPage(() => ({ page: tab, url })).go('/pools/woken', /active\s+rests [345]\d s/);
    await t.deps.presence.drop(sessionId, ['woken']);
    await tab.shut();
    await page.goto(`${url}/ui/`);
    await page.until(says(/● live/));
  });

  const isOld = `document.querySelector('main .old') !== null`;
  const isOffered = `[...document.querySelectorAll('main .head button')].some((button) => !button.disabled)`;

  for (const which of ['redis', 'postgres'] as const)
    it(`says that a store is away (${which}), shows what is old as old, changes nothing, and goes on by itself`, async () => {
      await go('/r/projects', /shared|no projects/);
      await page.until(isOffered);
      wires[which].cut();
      await page.until(says(/cannot read its stores[^]*Shown as it was \d+ s ago/));
      await page.until(isOld);
      expect(await page.evaluate(isOffered)).to.equal(false);
      await page.until(says(/● live/)); // the edge is there
      if (which === 'redis') {
        await go('/llms', /Redis cannot be reached now/);
        await sound('stores-away', /503|504/);
      }
      wires[which].mend();
      if (which === 'redis') await page.until(says(/three/));
      await page.until(`!${says(/cannot read its stores/)} && !(${isOld})`);
      await go('/r/projects', /shared|no projects/);
      await page.until(isOffered);
      forgive(/503|504/);
    });

  it('says on each screen that the server is away, with a way to ask again that works', async () => {
    await go('/system', /Duties/); // the second file is there
    wires.edge.cut();
    await page.until(says(/reconnecting/));
    for (const path of failing) {
      await go(path, /cannot be reached/);
      await page.until(
        `[...document.querySelectorAll('main .fault button')].some((b) => b.innerText === 'Try again')`,
      );
    }
    await sound('server-away', /ERR_|net::/);
    wires.edge.mend();
    await page.until(says(/● live/));
    // It asks by itself, too, and may have by now.
    await page.evaluate(
      `[...document.querySelectorAll('main .fault button')].find((b) => b.innerText === 'Try again')?.click()`,
    );
    await page.until(`document.querySelector('main .fault') === null`);
    forgive(/ERR_|net::/);
  });

  listTests(visit, () => ({ t, browser, page, url }));

  it('comes back to filters, and shows any address that is pasted', async () => {
    await page.goto(`${url}/ui/audit?verb=create&name=nobody`);
    await page.until(says(/No event is like that/));
    await go('/usage', /Of the last/);
    await page.evaluate('history.back()');
    await page.until(says(/No event is like that/));
    const verb = `[...document.querySelectorAll('label')].find((l) => /Did/.test(l.innerText)).querySelector('select').value`;
    expect(await page.evaluate(verb)).to.equal('create');
  });

  it('says why a watch is refused, and nothing else of it; tasks without tokens are no bar of one', async () => {
    await go('/mcp/nobody', /Press Watch/);
    await press('Watch');
    await page.until(`document.querySelector('main .fault') !== null`);
    forgive(/404/);
    expect(await page.text()).not.to.match(/Beginning to watch|Watching/);
    const body = { llm: 'one', request: { messages: [{ role: 'user', content: 'hi' }] } };
    const { id } = (await t.call('POST /api/v1/tasks', { ...token(), body })).json as { id: string };
    const usage = JSON.stringify({ promptTokens: 0, completionTokens: 0, totalTokens: 0 });
    const completedAt = t.connection.db.fn.now();
    await t.connection.db('tasks').where({ id }).update({ status: 'completed', completedAt, usage });
    await go('/usage', /Tokens in each hour, at most 0/);
  });

  it('writes over nothing that somebody else changed meanwhile, and says so', async () => {
    const project = { name: 'shared', description: 'as it was' };
    expect((await t.call('POST /api/v1/projects', { ...token(), body: project })).status).to.equal(201);
    await go('/r/projects/shared', /as it was/);
    await page.evaluate(
      `(() => { const edit = [...document.querySelectorAll('button')].find((b) => b.innerText === 'Edit'); edit.focus(); edit.click(); })()`,
    );
    await page.until(`document.querySelector('dialog[open] input') !== null`);
    const body = { description: 'by another', prefix: 'never' };
    expect((await t.call('PATCH /api/v1/projects/shared', { ...token(), body })).status).to.equal(200);
    await page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`); // it is looked at again
    await page.until(`document.querySelector('main .facts').innerText.includes('by another')`);
    await type('dialog input', 'mine');
    await press('Save');
    await page.until(
      `document.querySelector('dialog[open] .fault code')?.innerText === 'stale_revision'`,
      10_000,
    );
    forgive(/412/);
    const now = async (): Promise<unknown> => (await t.call('GET /api/v1/projects/shared', token())).json;
    expect(await now()).to.include(body);
    // Both are seen: one's own in the form, the other's below it; what one has not touched is the other's.
    await page.until(`[...document.querySelectorAll('dialog .warning')].length === 2`);
    expect(await page.evaluate(`document.querySelector('dialog .warning').innerText`)).to.match(
      /now:\s+by another$/,
    );
    expect(await page.evaluate(`document.querySelector('dialog input').value`)).to.equal('mine');
    await sound('changed-by-another');
    await press('Save');
    await page.until(`document.querySelector('dialog[open]') === null`);
    expect(await now()).to.include({ description: 'mine', prefix: 'never' });
    await page.until(`document.activeElement?.innerText === 'Edit'`); // the focus goes back
  });

  it('shows nothing of one person to another who signs in over it, in any tab', async () => {
    const body = { name: 'page', preset: 'full' };
    const made = (await t.call('POST /api/v1/tokens', { token: t.tokens.ada, body })).json as object;
    const { id, token: text } = made as { id: string; token: string };
    await signIn(text);
    const beside = await browser.page(sizes.wide);
    await beside.goto(`${url}/ui/playground`);
    await beside.until(says(/Message/));
    const write = `(() => { const field = document.querySelector('form textarea');
      field.value = 'half a secret'; field.dispatchEvent(new Event('input', { bubbles: true })); })()`;
    await beside.evaluate(write);
    await page.front();
    await go('/playground?llm=one', /Message/);
    await type('form textarea', 'a whole secret');
    await press('Send');
    await page.until(says(/a whole secret/));
    expect((await t.call(`DELETE /api/v1/tokens/${id}`, { token: t.tokens.ada })).status).to.equal(204);
    await page.until(`document.querySelector('dialog[open] input[name=token]') !== null`);
    await type('dialog input[name=token]', t.tokens.bob);
    await press('Sign in');
    const isBobs = `document.querySelector('header .who')?.innerText.startsWith('bob')`;
    for (const tab of [page, beside]) {
      await tab.until(`${isBobs} && !document.querySelector('dialog[open]')`);
      await tab.until(`location.pathname === '/ui/' && !${says(/secret/)}`);
      await tab.front();
      await tab.evaluate('history.back()'); // nor is it a step away
      await tab.until(`${isBobs} && location.pathname === '/ui/playground' && ${says(/Message/)}`);
      expect(await tab.text()).not.to.include('secret');
      expect(await tab.evaluate(`document.querySelector('form textarea').value`)).to.equal('');
    }
    forgive(/401|503/); // nobody serves what was asked
    await beside.shut();
    await page.front();
    await signIn(t.tokens.root);
  });

  it('tells what is not there from what one may not see, and from what a filter hides, each with a next step', async () => {
    const step = `document.querySelector('main :is(.empty, .head) :is(a, button, code)') !== null`;
    const texts: string[] = [];
    const say = async (path: string, pattern: RegExp): Promise<void> => {
      await go(path, pattern);
      expect(await page.evaluate(step), path).to.equal(true);
      texts.push(String(await page.evaluate(`document.querySelector('main .empty').innerText`)));
    };
    const all = (await t.call('GET /api/v1/llms?limit=100', token())).json as { items: { name: string }[] };
    for (const { name } of all.items)
      expect((await t.call(`DELETE /api/v1/llms/${name}`, token())).status).to.equal(204);
    await signIn(t.tokens.bob);
    for (const [path, none] of noneOf) await say(path, none);
    for (const [path, none] of filteredOf) await say(path, none);
    const made = async (more: object): Promise<string> => {
      const answer = await t.call('POST /api/v1/tokens', {
        token: t.tokens.bob,
        body: { name: 'narrow', ...more },
      });
      expect(answer.status, answer.text).to.equal(201);
      return (answer.json as { token: string }).token;
    };
    await signIn(await made({ preset: 'full', bindings: [{ role: 'view', resource: 'secret' }] }));
    const [tasks, rest] = [['/tasks', '/usage'], noneOf.map(([path]) => path)];
    const may = /may not (see|ask)|one of the preset/i;
    for (const path of [...rest.filter((one) => !tasks.includes(one)), '/audit', '/system'])
      await say(path, may);
    await signIn(await made({ name: 'publisher', preset: 'publish' }));
    for (const path of tasks) await say(path, may);
    expect(new Set(texts).size, texts.join('\n')).to.equal(texts.length);
    forgive(/401/); // what was asked just before one signed in as somebody else
    await sound('not-for-this-token');
    await signIn(t.tokens.root);
  });

  it(`follows one stream for all tabs, hidden ones ask nothing, and another leads when the first is closed${isLong ? '' : '; how soon, with MCPCTL_ROUNDS'}`, async function () {
    if (isLong) this.timeout(200_000);
    const within = async (mostMs: number, what: string, happens: Promise<unknown>): Promise<void> => {
      const from = performance.now();
      await happens;
      if (isLong) expect(performance.now() - from, what).to.be.below(mostMs);
    };
    const tabs: Page[] = [page];
    while (tabs.length < TABS) {
      const tab = await browser.page(sizes.narrow);
      const shows = tab.goto(`${url}/ui/`).then(() => tab.until(says(/● live/)));
      await within(1_000, `tab ${String(tabs.length + 1)} shows`, shows);
      tabs.push(tab);
    }
    const streams = (): number[] =>
      tabs.map(({ asked }) => asked.filter((url) => url.endsWith('/events')).length);
    const before = streams();
    expect(before.slice(1)).to.deep.equal(Array(TABS - 1).fill(0));
    await page.evaluate(`document.querySelector('header a').click()`); // hidden, too
    const [hidden, front] = [tabs[1], tabs.at(-1)];
    await front?.front();
    await hidden?.until('document.hidden');
    const asked = hidden?.asked.length;
    await publicLlm(t, 'four');
    await front?.until(says(/four/));
    if (isLong) await front?.evaluate('new Promise((resolve) => setTimeout(resolve, 60_000))');
    expect(hidden?.asked.length, 'while it is hidden').to.equal(asked);
    await hidden?.front();
    await within(1_000, 'it is right', hidden?.until(says(/four/)) ?? Promise.reject(new Error('no tab')));
    const closedAt = performance.now();
    await page.shut();
    await hidden?.until(says(/reconnecting|live/));
    const leads = (): boolean =>
      streams()
        .slice(1)
        .some((count) => count === 1);
    for (const end = performance.now() + 15_000; !leads() && performance.now() < end;)
      await hidden?.evaluate('new Promise((resolve) => setTimeout(resolve, 50))');
    if (isLong) expect(performance.now() - closedAt, 'another leads').to.be.below(2_000);
    expect(streams().slice(1).toSorted()).to.deep.equal([...Array<number>(TABS - 2).fill(0), 1]);
    await hidden?.until(says(/● live/));
  });
});
