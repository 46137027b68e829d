import { expect } from 'chai';
import { answers, chats } from '../support/backend.ts';
import { type inPage, says } from '../support/browsed.ts';
import type { Page } from '../support/chromium-page.ts';
import { until, type System } from '../support/system.ts';

/** Of answers in the playground, in a system that serves `house`, and whose backend answers as it is told. */
export function answerTests(
  { go, type, press, forgive, sound }: ReturnType<typeof inPage>,
  world: () => { t: System; page: Page },
): void {
  it('lays out a part of a megabyte in one line, quotes none of ten thousand, and stays quick', async () => {
    const { t, page } = world();
    const line = 'x'.repeat(16_384);
    t.backend.reply(
      chats(['first ', ...Array<string>(64).fill(line), ' last', '\n' + '>'.repeat(10_000) + ' deep']),
    );
    await go('/playground?llm=house', /Message/);
    await press('New conversation');
    await page.evaluate(
      `(window.longest = 0, new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration); }).observe({ type: 'longtask' }))`,
    );
    await type('form textarea', 'Much');
    await press('Send');
    await page.until(says(/why this member/));
    const most = `[...document.querySelectorAll('main *')].reduce((most, { childNodes }) => Math.max(most, ...[...childNodes].map((node) => node.nodeType === 3 ? node.data.length : 0)), 0)`;
    expect(await page.evaluate(most)).to.equal(64_000);
    expect(await page.text()).to.match(/first x+[^]*The first 64,000 of 1,058,\d{3} characters/);
    await press('Show all');
    await page.until(`document.querySelector('.turn.assistant .words').innerText.endsWith('> deep')`);
    expect(await page.evaluate(`document.querySelectorAll('.turn.assistant blockquote').length`)).to.equal(0);
    await press('New conversation');
  });

  it('goes on with its answer when the page is loaded anew: no word lost, none twice, and nothing stored', async () => {
    const { t, page } = world();
    await go('/playground?llm=house', /Message/);
    await press('New conversation');
    t.backend.reply(chats(['un ', 'deux ', 'trois ', 'quatre'], { paced: true }));
    t.backend.forget();
    await type('form textarea', 'Count');
    await press('Send');
    await t.backend.next('request');
    t.backend.release(2);
    await page.until(says(/un deux/));
    await page.evaluate('location.reload()');
    await page.until(`performance.getEntriesByType('navigation')[0].type === 'reload' && ${says(/un deux/)}`);
    expect(await page.text()).to.match(/Count[^]*un deux/);
    t.backend.release(2);
    await page.until(says(/why this member/));
    expect(await page.evaluate(`document.querySelector('.turn.assistant .words').innerText`)).to.equal(
      'un deux trois quatre',
    );
    expect(await page.evaluate(`document.querySelectorAll('.turn').length`)).to.equal(2);
    expect(
      await page.evaluate('document.cookie + JSON.stringify({ ...localStorage, ...sessionStorage })'),
    ).to.equal('{}');
    await page.evaluate('location.reload()'); // it has ended by now
    await page.until(`document.querySelectorAll('.turn').length === 2 && ${says(/un deux trois quatre/)}`);
    const asked = page.asked.length;
    const user = await page.evaluate('history.state.user');
    await page.evaluate(
      `(window.isBefore = true, history.replaceState({ ...history.state, user: 'another' }, ''), location.reload())`,
    );
    await page.until(`window.isBefore === undefined && ${says(/Message/)}`);
    const frames = `new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(true))))`;
    await page.evaluate(frames); // whatever is asked for by then was
    expect(page.asked.slice(asked).filter((url) => url.includes('/tasks/'))).to.deep.equal([]);
    await page.evaluate(
      `(history.replaceState({ ...history.state, user: ${JSON.stringify(user)} }, ''), location.reload())`,
    );
    await page.until(`document.querySelectorAll('.turn').length === 2`);
    await press('New conversation');
    await page.evaluate('location.reload()');
    await page.until(says(/Message/));
    expect(await page.evaluate(`document.querySelectorAll('.turn').length`)).to.equal(0);
  });

  it('compares two models by one message, says where one failed, and asks that one again', async () => {
    const { t, page } = world();
    await go('/playground?llm=house&beside=desk', /Compare with/);
    await press('New conversation');
    t.backend.reply(chats(['one answer']));
    await type('form textarea', 'Both of you');
    await press('Send');
    await page.until(`document.body.innerText.split('why this member').length === 3`);
    expect(await page.evaluate(`[...document.querySelectorAll('.beside .chat')].map((c) => c.innerText)`))
      .to.have.length(2)
      .and.to.satisfy((both: string[]) => both.every((text) => text.includes('one answer')));
    await sound('compared-1280');
    // What has just ended is counted for a moment yet.
    await until(
      async () => (await t.call('GET', '/api/v1/llms/house/explain')).text(),
      (text) => !text.includes('run something'),
    );
    await press('Who would answer');
    await page.until(says(/If it were sent now[^]*would take a call at once[^]*Its place would be 1/));
    await sound('who-answers-1280');
    await press('Close');
    t.backend.reply(answers(400, { error: { message: 'no such thing' } }));
    await type('form textarea', 'Once more');
    await press('Send');
    await page.until(`document.body.innerText.split('Ask again').length === 3`);
    forgive(/400/);
    t.backend.reply(chats(['at last']));
    await press('Ask again');
    await page.until(says(/at last/));
    await page.until(`document.body.innerText.split('Ask again').length === 2`);
    await go('/playground?llm=house', /Message/);
    await press('New conversation');
  });

  it('says beginning and end of an answer to a screen reader, and nothing between, however long that is', async () => {
    const { t, page } = world();
    await go('/playground?llm=house', /Message/);
    await press('New conversation');
    const words = Array.from({ length: 300 }, (_, n) => `word${String(n)} `);
    t.backend.reply(chats(words, { intervalMs: 3 }));
    await page.evaluate(`(() => {
      window.said = [];
      const live = '[role=status], [role=alert], [role=log], [aria-live]';
      window.regions = document.querySelectorAll(live).length;
      new MutationObserver((all) => all.forEach(({ target }) => {
        const region = (target.nodeType === 1 ? target : target.parentElement).closest(live);
        if (region) said.push(region.textContent);
      })).observe(document.body, { subtree: true, childList: true, characterData: true });
    })()`);
    await type('form textarea', 'Many words');
    await press('Send');
    await page.until(says(/word299[^]*why this member/));
    const heard = (await page.evaluate('said')) as string[];
    // However long it takes: less than a word each seven seconds.
    expect(heard).to.deep.equal(['The answer begins.', words.join('')]);
    expect(await page.evaluate('regions')).to.be.at.most(2);
    await press('New conversation');
  });
}
