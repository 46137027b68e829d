import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { startSession, type Session } from '../cli/session.ts';
import { chromiumFor, type Browser } from '../support/chromium.ts';
import type { Page } from '../support/chromium-page.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';

describe('mcpctl login --web, and a person in a browser', function () {
  this.timeout(60_000);
  let t: EdgeFixture;
  let browser: Browser;
  let page: Page;
  const sessions: Session[] = [];
  before(async function () {
    browser = await chromiumFor(this);
    t = await edgeFixture();
    page = await browser.page({ width: 1280, height: 800 });
  });
  after(async () => {
    for (const session of sessions) await session.close();
    await browser?.close();
    await t?.close();
  });

  const type = (selector: string, text: string): Promise<unknown> =>
    page.evaluate(`document.querySelector(${JSON.stringify(selector)}).value = ${JSON.stringify(text)}`);
  const press = (text: string): Promise<unknown> =>
    page.evaluate(
      `[...document.querySelectorAll('button')].find((b) => b.innerText.trim() === '${text}').click()`,
    );
  const says = (text: string): Promise<void> =>
    page.until(`document.body.innerText.includes(${JSON.stringify(text)})`);
  const begin = async (): Promise<{ session: Session; code: string; ended: Promise<number> }> => {
    const session = await startSession(null);
    sessions.push(session);
    const ended = session.run('login', '--server', t.url, '--web');
    const code = /[B-Z]{4}-[B-Z]{4}/;
    const err = await until(
      () => Promise.resolve(session.err()),
      (text) => code.test(text),
    );
    expect(err).to.include(`${t.url}/admin/device`);
    return { session, code: code.exec(err)?.[0] ?? '', ended };
  };

  it('signs in, types the code, sees who asks, approves; the program has a token of theirs', async () => {
    const { session, code, ended } = await begin();
    await page.goto(`${t.url}/admin/device`);
    await says('Sign in');
    expect(await page.evaluate('location.pathname')).to.equal('/admin/login');
    await type('input[name=token]', t.tokens.ada);
    await page.evaluate('document.querySelector("form").requestSubmit()');
    await says('Code that the program shows');
    await page.screenshot('device');
    await type('#code', 'BBBB-BBBB');
    await press('Go on');
    await page.until('document.querySelector("[role=alert]") !== null');
    // In small letters and with blanks, as people type.
    await type('#code', ` ${code.toLowerCase().replace('-', ' ')} `);
    await press('Go on');
    await says('Log this program in?');
    const shown = await page.text();
    for (const fact of ['ada', 'manage', '30 days', '127.0.0.1']) expect(shown).to.include(fact);
    expect(await page.evaluate('location.href'), 'no code in an address').to.not.include(code.slice(0, 4));
    await page.screenshot('device-approve');
    await press('Approve');
    await says('Approved');
    expect(await ended, session.err()).to.equal(0);
    expect(await session.run('whoami')).to.equal(0);
    expect(session.out()).to.include('ada');
    const { contexts } = JSON.parse(await readFile(join(session.home, 'cli.json'), 'utf8')) as {
      contexts: Record<string, { token: string }>;
    };
    const [{ token = '' } = {}] = Object.values(contexts);
    expect((await t.call('GET /api/v1/whoami', { token })).json).to.deep.include({ user: 'ada' });
    expect((await t.call('GET /api/v1/users', { token })).status, 'no more than she').to.equal(403);
    // A wrong code is a 410, which the console notes; nothing else went wrong, and nothing foreign was asked for.
    expect(page.faults.filter((fault) => !/410/.test(fault))).to.deep.equal([]);
    expect(page.asked.filter((url) => !url.startsWith(t.url))).to.deep.equal([]);
  });

  it('denies, and the program has nothing', async () => {
    const { session, code, ended } = await begin();
    await page.goto(`${t.url}/admin/device`);
    await type('#code', code);
    await press('Go on');
    await says('Log this program in?');
    await press('Deny');
    await says('gets nothing');
    expect(await ended).to.not.equal(0);
    expect(session.err()).to.include('denied');
    const kept = await readFile(join(session.home, 'cli.json'), 'utf8').catch(() => 'none');
    expect(kept).to.not.include('mcpctl_');
  });
});
