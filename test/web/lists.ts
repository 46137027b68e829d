import { expect } from 'chai';
import { inPage, says, sizes } from '../support/browsed.ts';
import type { Browser } from '../support/chromium.ts';
import type { Page } from '../support/chromium-page.ts';
import { publicLlm, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';

/** Of a list that more comes into, a second each: one, unless told. */
const rounds = Number(process.env['MCPCTL_ROUNDS'] ?? 1);
const isLong = rounds > 1;

/** As many as one list keeps. */
const ROWS = 5_000;
/** Of them, those that change in each second of a long run. */
const RUNNING = isLong ? 50 : 0;

/** Screens, what they say to who is no administrator, and all that they may press there. */
const offered: readonly [string, RegExp, string[]][] = [
  ['/llms', /three/, []],
  ['/llms/one', /Model|model/, ['Try it']],
  ['/pools', /three/, []],
  ['/pools/one', /Members|member/, ['Try it']],
  ['/workers', /No worker/, ['Add a worker']],
  ['/join-codes', /No code/, ['Add a worker', 'Look again']],
  ['/audit', /Outcome/, ['As a file']],
  ['/r/tokens', /test/, ['New token', 'Revoke']],
  ['/r/users', /One of the preset/, []],
  ['/r/groups', /One of the preset/, []],
  ['/r/rbac', /One of the preset/, []],
  ['/r/secrets', /One of the preset/, []],
];
/** Of an administrator; asked by hand. */
const adminCalls: readonly [string, string, object?][] = [
  ['POST', '/llms', { name: 'mine', type: 'openai', model: 'm', url: 'http://backend.test/v1' }],
  ['DELETE', '/llms/one'],
  ['POST', '/pools/one/allow', { user: 'ada' }],
  ['GET', '/users'],
  ['POST', '/users', { name: 'another' }],
  ['GET', '/rbac'],
  ['GET', '/secrets/theirs'],
  ['DELETE', '/secrets/theirs'],
];

interface World {
  t: EdgeFixture;
  browser: Browser;
  /** Of an administrator. */
  page: Page;
  url: string;
}

/** Of keys, of lists of tasks and of who is no administrator, in a world that is there. */
export function listTests(
  { go, press, key, forgive, sound }: ReturnType<typeof inPage>,
  world: () => World,
): void {
  const token = (): { token: string } => ({ token: world().t.tokens.root });
  const made = async (llm: string): Promise<string> => {
    const body = { llm, request: { messages: [{ role: 'user', content: 'hi' }] } };
    return ((await world().t.call('POST /api/v1/tasks', { ...token(), body })).json as { id: string }).id;
  };
  /** So many that have ended and are otherwise as one that is there; a `head` of zeros makes them older than all others, one of `f` newer. */
  const ended = (
    id: string,
    { head, count, status = 'completed' }: { head: string; count: number; status?: string },
  ): Promise<unknown> => {
    const columns =
      'operation, source, pool_name, llm_name, streaming, priority, request_hash, queue_deadline, on_disconnect, owner_id';
    return world().t.connection.db.raw(
      `insert into tasks (id, status, completed_at, ${columns})
       select (:head || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, :status, case when :status = 'completed' then now() end, ${columns}
       from tasks, generate_series(1, :count) as n where id = :id`,
      { id, head, count, status },
    );
  };
  /** Half of a long run those that run change, which are on the screen; then as many new ones come. */
  const updated = async (id: string, round: number): Promise<unknown> => {
    if (round >= rounds / 2)
      return await ended(id, { head: (0xf0000000 + round).toString(16), count: RUNNING });
    const usage = JSON.stringify({ promptTokens: 0, completionTokens: round, totalTokens: round });
    return await world().t.connection.db('tasks').where({ status: 'running' }).update({ usage });
  };
  /** A browser of somebody else, who signs in by the keyboard. */
  const signedIn = async (text: string, path: string): Promise<Page> => {
    const { browser, url } = world();
    const alone = await browser.stranger(sizes.wide);
    await alone.front();
    await alone.goto(`${url}/ui${path}`);
    await alone.until(`document.querySelector('input[name=token]') !== null`);
    await alone.key('Tab');
    await alone.write(text);
    await alone.key('Enter');
    return alone;
  };

  it('tells of its keys, stands still while it is paused, and is right when it goes on', async () => {
    const { t, browser, page, url } = world();
    await go('/llms', /three/);
    await key('?', {}, 'document.body');
    await page.until(`document.querySelector('dialog[open]')?.innerText.includes('to the next row')`);
    await sound('keys-1280');
    await key('j'); // not below a dialog
    expect(await page.evaluate(`document.activeElement.closest('dialog') !== null`)).to.equal(true);
    await press('Close');
    await page.until(`document.querySelector('dialog[open]') === null`);
    await key('.', {}, 'document.body');
    await page.until(says(/‖ paused/));
    const other = await browser.page(sizes.wide); // hears of it, and pauses nothing itself
    await other.goto(`${url}/ui/llms`);
    await other.until(says(/three/));
    await page.front();
    const asked = page.asked.length;
    await publicLlm(t, 'later');
    await other.front();
    await other.until(says(/later/));
    await page.front();
    expect(page.asked.length).to.equal(asked);
    expect(await page.text()).not.to.include('later');
    await key('.', {}, 'document.body');
    await page.until(says(/later/));
    await page.until(says(/● live/));
    await other.shut();
  });

  it('is used by keyboard alone: from signing in, by a task beside the list, to its end and back to its row', async () => {
    const { t, page } = world();
    await made('one');
    const [id, newest] = [await made('one'), await made('one')];
    const alone = await signedIn(t.tokens.root, '/tasks');
    const on = (pattern: RegExp): Promise<void> =>
      alone.until(`${String(pattern)}.test(document.activeElement.innerText)`);
    const seen = `(() => { const { outlineStyle } = getComputedStyle(document.activeElement); return outlineStyle !== 'none' && document.activeElement.getBoundingClientRect().right > 0; })()`;
    /** As often as it takes, and no oftener than there are things to go to; each can be seen to have the focus. */
    const tabTo = async (pattern: RegExp): Promise<number> => {
      for (let tabs = 0; tabs < 60; tabs++) {
        const text = String(await alone.evaluate('document.activeElement.innerText'));
        if (pattern.test(text) && text.length < 30) return tabs;
        await alone.key('Tab');
        expect(await alone.evaluate(seen), `focus is seen after ${text}`).to.equal(true);
      }
      throw new Error(`Nothing that says ${String(pattern)} can be tabbed to.`);
    };
    await alone.until(says(new RegExp(id.slice(-8))));
    await alone.evaluate(`document.activeElement.blur()`); // as one who comes to a page that is there
    expect(await tabTo(/Skip to the content/)).to.equal(1);
    await alone.key('Enter');
    await alone.until(`document.activeElement.id === 'main'`);
    const row = new RegExp(id.slice(-8));
    for (const down of ['j', 'j']) {
      await alone.key(down);
      await alone.until(`document.activeElement.closest('tr') !== null`);
    }
    await alone.key('Enter');
    await alone.until(`document.activeElement.tagName === 'H2'`); // of the task beside the list
    await on(row);
    await alone.until(says(/Why does it wait/));
    await alone.key('k');
    await on(new RegExp(newest.slice(-8)));
    await alone.key('j');
    await on(row);
    await alone.until(says(/Cancel this task/));
    await tabTo(/Cancel this task/);
    await alone.key('Enter');
    await alone.until(`document.querySelector('dialog[open]') !== null`);
    await tabTo(/Cancel the task/);
    await alone.key('Enter');
    await alone.until(`/cancelled/.test(document.querySelector('.peek').innerText)`);
    await on(row); // its button has gone
    await alone.until(`/cancelled/.test(document.querySelector('tr.selected').innerText)`);
    await alone.key('Escape');
    await alone.until(`document.querySelector('.peek') === null`);
    expect(await alone.evaluate(`document.activeElement.closest('tr')?.innerText`)).to.match(row);
    expect(alone.faults.filter((fault) => !/401/.test(fault))).to.deep.equal([]);
    await alone.shut();
    await page.front();
  });

  it(`holds ${ROWS} tasks: few of them in the document, both ends within 100 ms, its heap bounded${isLong ? `, ${String(rounds)} s of 50 a second` : ' (for long, with MCPCTL_ROUNDS)'}, and what is new moves nothing`, async function () {
    if (isLong) this.timeout(60_000 + rounds * 5_000);
    const { t, page } = world();
    const one = await made('two');
    await ended(one, { head: '00000000', count: ROWS + 100 - RUNNING });
    await ended(one, { head: '00000001', count: RUNNING, status: 'running' });
    await go('/tasks?llm=two', /Tasks/);
    await page.front();
    await page.until(`document.querySelector('.windowed tbody th') !== null`);
    const asked = (): number => page.asked.filter((url) => url.includes('/tasks?')).length;
    const before = asked();
    const drawn = `document.querySelectorAll('main tbody tr').length`;
    const last = `Number([...document.querySelectorAll('main tbody tr[aria-rowindex]')].at(-1).getAttribute('aria-rowindex'))`;
    const toEnd = `((box) => { box.scrollTop = box.scrollHeight; })(document.querySelector('.windowed'))`;
    for (let end = 0; end < ROWS + 1;) {
      await page.evaluate(toEnd);
      await page.until(`${last} > ${String(end)}`);
      end = Number(await page.evaluate(last));
      expect(await page.evaluate(drawn)).to.be.at.most(120);
    }
    const all = ROWS + 102; // with the one that waits, and its heading
    await page.until(`document.querySelector('[aria-rowcount]').ariaRowCount === '${String(all)}'`);
    expect(await page.text()).to.include(
      `${String(RUNNING + 1)} open · ${(ROWS + 100 - RUNNING).toLocaleString('en')} completed`,
    );
    expect(asked() - before).to.be.at.most(24); // 250 a call, and the looks in between
    expect(await page.heap()).to.be.below(80e6);
    const shown = `document.querySelector('.windowed').innerText`;
    const scrolled = `new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(${drawn}))))`;
    await page.evaluate(`document.querySelector('.windowed').focus()`);
    // From the key to the frame that has the rows; the quickest of several, as other processes run beside this one.
    await page.evaluate(`(window.took = { Home: Infinity, End: Infinity }, addEventListener('keydown', ({ key, timeStamp }) => {
      if (!(key in took)) return;
      const there = () => key === 'End' ? ${last} > ${String(ROWS)}
        : document.querySelector('main tbody tr[aria-rowindex]').ariaRowIndex === '2';
      requestAnimationFrame(function look() {
        if (there()) took[key] = Math.min(took[key], performance.now() - timeStamp); else requestAnimationFrame(look); });
    }, true))`);
    for (const way of ['Home', 'End', 'Home', 'End', 'Home']) {
      await page.key(way);
      await page.until(way === 'Home' ? `${shown}.includes('pending')` : `${last} > ${String(ROWS)}`);
      expect(await page.evaluate(scrolled)).to.be.within(10, 120);
    }
    expect(await page.evaluate('Math.max(took.Home, took.End)')).to.be.below(100);
    const heap = await page.heap();
    const ids = `[...document.querySelectorAll('main tbody th')].map((th) => th.innerText).join()`;
    const rows = await page.evaluate(ids);
    let fresh = '';
    await page.evaluate(`(window.longest = 0, new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) longest = Math.max(longest, duration); }).observe({ type: 'longtask' }))`);
    const began = performance.now();
    for (let round = 0; round < rounds; round++) {
      const looks = asked();
      if (isLong) await updated(one, round);
      fresh = await made('two');
      await until(
        () => Promise.resolve(asked()),
        (now) => now > looks,
        30_000,
      );
      await page.until(says(isLong ? /\d\+? new/ : /1 new/));
      if (isLong && round < rounds / 2)
        await page.until(
          `[...document.querySelectorAll('main tbody tr')].some((tr) => tr.lastElementChild.innerText === '${String(round)}')`,
        );
      expect(await page.evaluate(ids)).to.equal(rows);
      expect(await page.evaluate(drawn)).to.be.at.most(120);
      if (isLong && round % 60 === 0) {
        const [atMb, afterS] = [(await page.heap()) / 1e6, (performance.now() - began) / 1_000];
        const updates = String((round + 1) * RUNNING);
        process.stderr.write(
          `      ${atMb.toFixed(2)} MB after ${afterS.toFixed(0)} s, ${updates} updates\n`,
        );
      }
    }
    const grown = (await page.heap()) - heap;
    if (isLong && this.test)
      this.test.title += ` (grew by ${(grown / 1e6).toFixed(2)} MB in ${((performance.now() - began) / 1_000).toFixed(0)} s)`;
    expect(grown).to.be.below(10e6);
    if (isLong) {
      expect(await page.evaluate('longest')).to.be.below(200);
      await t.connection.db.raw(`delete from tasks where id > 'f0000000-0000-7000-8000-000000000000'`);
      const looks = asked();
      fresh = await made('two');
      await until(
        () => Promise.resolve(asked()),
        (now) => now > looks,
        30_000,
      );
    }
    await key('n', {}, 'document.body');
    await page.until(`${shown}.includes('${fresh.slice(-8)}')`);
    expect(await page.evaluate(`document.querySelector('th[aria-sort]').innerText`)).to.equal('Made');
    const top = `document.querySelector('.windowed')?.scrollTop`;
    // 800 rows down: they come as one scrolls.
    await page.until(`(document.querySelector('.windowed').scrollTop = 30_000, ${top} === 30_000)`);
    await page.until(`history.state?.scrolled?.list === 30_000`);
    await go('/usage', /Of the last/);
    expect(await page.evaluate('history.state?.scrolled?.list ?? 0')).to.equal(0);
    await page.evaluate('history.back()');
    await page.until(`${top} === 30_000`);
    await go('/tasks?llm=two&status=error', /No task fits/);
  });

  it('tells of what fits only later than newer ones do, and is not left with nothing when all that it showed has gone', async () => {
    const { t, page } = world();
    const [older, newer] = [await made('three'), await made('three')];
    const cancel = async (id: string): Promise<unknown> =>
      await t.call(`DELETE /api/v1/tasks/${id}`, token());
    await go('/tasks?llm=three&status=cancelled', /No task fits/);
    await page.front();
    await cancel(newer);
    await page.until(says(new RegExp(newer.slice(-8))));
    await cancel(older);
    await page.until(says(/1 new/));
    await key('n', {}, 'document.body');
    await page.until(says(new RegExp(older.slice(-8))));
    await go('/tasks?llm=three&status=pending', /No task fits/);
    const waits = [await made('three')];
    await page.until(says(new RegExp(waits[0]?.slice(-8) ?? '')));
    waits.push(await made('three'));
    await page.until(says(/1 new/));
    await cancel(waits[0] ?? '');
    await page.until(says(new RegExp(waits[1]?.slice(-8) ?? '')));
    await cancel(waits[1] ?? '');
    await go('/tasks?llm=three&status=error', /No task fits/);
  });

  it('keeps the rows right that what is new has pushed out of the newest', async () => {
    const { t, page } = world();
    const id = await made('three');
    await go('/tasks?llm=three', /Tasks/);
    await page.front();
    const row = `[...document.querySelectorAll('main tbody tr')].find((tr) => tr.innerText.includes('${id.slice(-8)}'))?.innerText`;
    await page.until(`/pending/.test(${row})`);
    await ended(id, { head: 'ffffffff', count: 120 });
    await page.until(says(/100\+ new/));
    // One that was made for another page since will do.
    expect(page.sent.findLast(({ url }) => url.includes('/tasks?llm=three&limit=100'))?.text).to.match(
      /max-age-ms":"\d+"/,
    );
    await t.call(`DELETE /api/v1/tasks/${id}`, token());
    await page.until(`/cancelled/.test(${row})`);
    await t.connection.db.raw(`delete from tasks where id > 'ffffffff-0000-7000-8000-000000000000'`);
    await go('/tasks?llm=three&status=error', /No task fits/);
  });

  it('keeps the events that are shown, however many new ones wait', async () => {
    const { t, page } = world();
    const body = { name: 'seen', description: '' };
    expect((await t.call('POST /api/v1/projects', { ...token(), body })).status).to.equal(201);
    await go('/audit?resource=project', /project\/seen/);
    await page.front();
    const columns = 'actor_id, actor_name, verb, resource, outcome';
    await t.connection.db.raw(
      `insert into audit (object_name, ${columns})
       select 'later', ${columns} from audit, generate_series(1, 60) where object_name = 'seen'`,
    );
    await page.until(says(/50\+ new/)); // as many as a page has, and none of those before
    expect(await page.text())
      .to.include('project/seen')
      .and.not.include('project/later');
    await key('n', {}, 'document.body');
    await page.until(says(/project\/later/));
    expect(await page.text()).not.to.include('project/seen');
    expect((await t.call('DELETE /api/v1/projects/seen', token())).status).to.equal(204);
  });

  it('has its screens behind a button where they would be half of it', async () => {
    const { page } = world();
    await go('/llms', /three/);
    await page.size(sizes.narrow);
    const shown = `document.querySelector('nav ul').getBoundingClientRect().height`;
    expect(await page.evaluate(shown)).to.equal(0);
    await press('Screens');
    expect(await page.evaluate(shown)).to.be.greaterThan(100);
    await sound('menu-360');
    await page.evaluate(`document.querySelector('nav a[href="/ui/pools"]').click()`);
    await page.until(`document.title === 'Pools · mcpctl' && ${shown} === 0`);
    await page.size(sizes.wide);
  });

  it('opens nothing but a task beside the list, whatever its address says', async () => {
    const { page } = world();
    const before = page.asked.length;
    await go(`/tasks?llm=three&peek=${encodeURIComponent('../llms/one')}`, /Open it whole/);
    await page.until(`document.querySelector('.peek [role=alert], .peek .fault') !== null`);
    expect(page.asked.slice(before).filter((asked) => asked.endsWith('/llms/one'))).to.deep.equal([]);
    // Why it is where it is was asked for, too, and is refused in its own time.
    await until(
      () => Promise.resolve(page.faults),
      (faults) => faults.some((fault) => fault.includes('/explain')),
      30_000,
    );
    await go('/tasks?llm=three&status=error', /No task fits/);
    forgive(/404|400/); // of both, however often they were asked for meanwhile
  });

  it('shows a user no button of an administrator, and answers none of their calls', async () => {
    const { t, page } = world();
    expect(
      (await t.call('POST /api/v1/secrets', { ...token(), body: { name: 'theirs', data: { key: 'x' } } }))
        .status,
    ).to.equal(201);
    const alone = await signedIn(t.tokens.ada, '/');
    await alone.until(says(/● live/));
    await alone.until(says(/Tokens/));
    const all = (selector: string): Promise<unknown> =>
      alone.evaluate(
        `[...new Set([...document.querySelectorAll('${selector}')].map((one) => one.innerText.trim()))]`,
      );
    for (const kind of ['Users', 'Groups', 'Rights', 'Secrets'])
      expect(await all('nav a')).not.to.include(kind);
    const visit = inPage(() => ({ page: alone, url: t.url }));
    const seen: Record<string, unknown> = {};
    for (const [path, pattern] of offered) {
      await visit.go(path, pattern);
      await alone.until(`!${says(/Loading …/)}`);
      seen[path] = await all('main button, main a.button');
    }
    expect(seen).to.deep.equal(Object.fromEntries(offered.map(([path, , buttons]) => [path, buttons])));
    for (const [method, path, body] of adminCalls) {
      const how = {
        method,
        headers: { 'content-type': 'application/json' },
        ...(body && { body: JSON.stringify(body) }),
      };
      const status = await alone.evaluate(
        `fetch('/ui/api/v1${path}', ${JSON.stringify(how)}).then(({ status }) => status)`,
      );
      expect(status, `${method} ${path}`).to.be.oneOf([403, 404]);
    }
    await alone.shut();
    await page.front();
  });
}
