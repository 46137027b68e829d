import { expect } from 'chai';
import { cookieFor, ownPage } from '../support/admin.ts';
import { answers, chats } from '../support/backend.ts';
import { says } from '../support/browsed.ts';
import { chromiumFor, type Browser } from '../support/chromium.ts';
import type { Page } from '../support/chromium-page.ts';
import { startSystem, until, type System } from '../support/system.ts';

const canary = {
  prompt: 'CANARY-prompt',
  key: 'CANARY-key',
  answer: 'CANARY-answer',
  refusal: 'CANARY-refusal',
};
const ended = ['completed', 'error', 'cancelled'];

describe('the board over real tasks', function () {
  this.timeout(180_000);
  let t: System;
  before(async () => {
    t = await startSystem();
    const offer = { name: 'desk', poolName: 'house', maxConcurrency: 1, apiKey: canary.key };
    await t.startWorker([{ ...offer, backend: t.backend }]);
  });
  after(() => t?.close());

  const request = { messages: [{ role: 'user', content: canary.prompt }] };
  const submit = async (): Promise<string> => {
    const made = await t.call('POST', '/api/v1/tasks', { body: { llm: 'house', request } });
    return ((await made.json()) as { id: string }).id;
  };
  /** As somebody who waits: it goes before those that nobody waits for. */
  const infer = (): Promise<Response> => t.call('POST', '/api/v1/llms/house/infer', { body: request });
  const isEnded = (id: string): Promise<unknown> =>
    until(
      () => t.task(id),
      ({ status }) => ended.includes(status),
      60_000,
    );
  const isTaken = (id: string): Promise<unknown> =>
    until(
      () => t.task(id),
      ({ claimedAt }) => claimedAt !== null,
      60_000,
    );

  it('loses no task, whatever an admin does to its job', async () => {
    const headers = { cookie: await cookieFor(t.url, t.token), ...ownPage };
    const write = async (what: string): Promise<number> =>
      (await t.call('PUT', `/admin/queues/api/queues/house/${what}`, { token: null, headers })).status;
    t.backend.reply(chats(['Hi'], { paced: true }));
    const running = await submit();
    await isTaken(running);
    expect(await write(`${running}-1/clean`)).to.equal(409);
    expect(await write('clean/active')).to.equal(200);
    expect(await write('pause')).to.equal(200);
    const tasks = await Promise.all([submit(), submit(), submit()]);
    expect(await write(`${tasks[0]}-1/clean`)).to.equal(204);
    expect(await write('clean/wait')).to.equal(200);
    expect(await write('empty')).to.equal(200);
    expect(await write('resume')).to.equal(200);
    t.backend.reply(chats(['Hi']));
    t.backend.release(1);
    await Promise.all([running, ...tasks].map(isEnded));
    for (const id of [running, ...tasks]) expect((await t.task(id)).status).to.equal('completed');
    expect(await write('clean/completed')).to.equal(200);
  });

  describe('in a browser', () => {
    let browser: Browser;
    before(async function () {
      browser = await chromiumFor(this);
    });
    after(() => browser?.close());

    const signIn = async (page: Page, path: string): Promise<void> => {
      await page.goto(`${t.url}${path}`);
      await page.until(`location.pathname === '/admin/login'`);
      await page.screenshot('login');
      await page.evaluate(`document.querySelector('#token').value = '${t.token}'`);
      await page.evaluate(`document.querySelector('button').click()`);
      await page.until(`location.pathname === '${path}'`);
    };
    /** Looked at, and nothing wrong, foreign or secret in it. */
    const sound = async (page: Page, name: string): Promise<void> => {
      await page.screenshot(name);
      expect(await page.text()).not.to.include('CANARY');
      expect(
        await page.evaluate(`document.documentElement.scrollWidth <= innerWidth`),
        `${name} fits`,
      ).to.equal(true);
      expect(page.faults, name).to.deep.equal([]);
      expect(page.asked.filter((url) => !url.startsWith(t.url) && !url.startsWith('data:'))).to.deep.equal(
        [],
      );
    };

    it('shows a job from waiting to completed, without another load', async () => {
      const page = await browser.page({ width: 1280, height: 800 });
      await signIn(page, '/admin/queues');
      t.backend.reply(chats([canary.answer], { paced: true }));
      await isTaken(await submit());
      await page.until(says(/house/));
      await sound(page, 'overview-1280');
      const answer = infer();
      await page.goto(`${t.url}/admin/queues/queue/house`);
      await page.until(says(/ACTIVE\s+1\s+WAITING\s+1\s/));
      await sound(page, 'waiting-1280');
      await page.evaluate('window.stillHere = true');
      t.backend.release(2);
      const job = `${(await answer).headers.get('x-mcpctl-task-id') ?? ''}-1`;
      const card = `document.body.innerText.split('${job}')[1].split(/-1\\n/)[0]`;
      await page.until(`${card}.includes('Finished at')`);
      await page.until(says(/ACTIVE\s+WAITING[^]*COMPLETED\s+\d/));
      await sound(page, 'completed-1280');
      expect(await page.evaluate('window.stillHere')).to.equal(true);
    });

    it('says why a job failed, and leads to its task, at 360 px', async () => {
      t.backend.reply(answers(422, { error: { message: canary.refusal } }));
      const id = await submit();
      const page = await browser.page({ width: 360, height: 740 });
      await page.goto(`${t.url}/admin/queues/`);
      await page.until(says(/house/));
      await sound(page, 'overview-360');
      await isEnded(id);
      await page.goto(`${t.url}/admin/queues/queue/house?status=failed`);
      await page.until(says(/backend_rejected/));
      await sound(page, 'failed-360');
      const link = `document.querySelector('a[href="/admin/tasks/${id}"]')`;
      await page.goto(`${t.url}${String(await page.evaluate(`${link}.getAttribute('href')`))}`);
      await page.until(says(/status\s+error\s+error\s+backend_rejected/));
      await sound(page, 'task-360');
      await page.goto(`${t.url}/admin/api`);
      await page.until(says(/POST \/tasks/));
      await page.evaluate(`for (const folded of document.querySelectorAll('details')) folded.open = true`);
      await sound(page, 'api-360');
    });

    it('hears of what the policy refuses', async () => {
      const page = await browser.page({ width: 360, height: 740 });
      await page.goto(`${t.url}/admin/queues/`);
      await page.evaluate(`document.body.insertAdjacentHTML('beforeend',
        '<p style="color: red"><img src="http://127.0.0.1:1/outside.png">')`);
      await page.until('true');
      expect(page.faults.join('\n'))
        .to.match(/policy: style-src/)
        .and.match(/policy: img-src/);
    });
  });
});
