import { expect } from 'chai';
import { type inPage, says } from '../support/browsed.ts';
import type { Page } from '../support/chromium-page.ts';
import type { EdgeFixture } from '../support/edge.ts';
import { noneOf } from './screens.ts';

/** Of each key, in a world that has llms and pools, `one` among them. */
export function keyTests(
  { go, key }: ReturnType<typeof inPage>,
  world: () => { t: EdgeFixture; page: Page },
): void {
  it('does by each key what it promises, and nothing of it in a field, with a modifier or in a word that is composed', async () => {
    const { t, page } = world();
    const ask = async (): Promise<string> => {
      const body = { llm: 'one', request: { messages: [{ role: 'user', content: 'hi' }] } };
      return ((await t.call('POST /api/v1/tasks', { token: t.tokens.root, body })).json as { id: string }).id;
    };
    const [older, newer] = [(await ask()).slice(-8), (await ask()).slice(-8)];
    await page.front();
    await go('/tasks?llm=one', new RegExp(`${newer}[^]*${older}`));
    await page.until(`document.activeElement.tagName === 'H1'`); // where a screen reader begins to read
    expect(await page.evaluate('document.title')).to.equal('Tasks · mcpctl');
    const on = (what: string): Promise<void> =>
      page.until(
        `document.activeElement.matches('tr a, h2') && document.activeElement.innerText.includes('${what}')`,
      );
    await page.key('j');
    await on(newer);
    await page.key('Enter');
    await page.until(`document.activeElement.matches('.peek h2')`);
    const fresh = (await ask()).slice(-8);
    await page.until(says(/1 new/));
    /** Whatever a key might change. */
    const state = `[location.href, document.title, document.body.innerText.match(/1 new|paused/g),
      document.querySelector('dialog[open]'), document.querySelector('.peek')?.querySelector('h2').innerText]`;
    const before = await page.evaluate(state);
    const all = ['/', 'j', 'k', 'Enter', 'Escape', 'n', '.', '?', 'g', 't'];
    for (const how of [{ ctrlKey: true }, { metaKey: true }, { altKey: true }, { isComposing: true }])
      for (const one of all) {
        await key(one, how);
        expect(await page.evaluate(state), `${one} ${JSON.stringify(how)}`).to.deep.equal(before);
        await on(newer);
      }
    await page.key('/');
    await page.until(`document.activeElement.matches('[data-filter]')`);
    // What the keyboard writes there is what a key does; the address is another only when the field is left.
    const typed = all.filter((one) => one.length === 1);
    for (const one of [...typed, 'Escape']) await page.key(one);
    expect(await page.evaluate(state)).to.deep.equal(before);
    expect(await page.evaluate(`document.activeElement.matches('[data-filter]')`)).to.equal(true);
    await page.evaluate(`(document.activeElement.value = '', document.activeElement.blur())`);
    await page.key('j');
    await page.until(`document.querySelector('.peek h2').innerText.includes('${older}')`);
    await page.key('k');
    await page.until(`document.querySelector('.peek h2').innerText.includes('${newer}')`);
    await page.key('n');
    await page.until(`document.querySelector('main tbody').innerText.includes('${fresh}')`);
    await page.key('Escape');
    await page.until(`document.querySelector('.peek') === null`);
    await on(newer);
    await page.key('.');
    await page.until(says(/‖ paused/));
    await page.key('.');
    await page.until(`!${says(/‖ paused/)}`);
    await page.key('?');
    await page.until(`document.querySelector('dialog[open]') !== null`);
    await page.key('Escape');
    await page.until(`document.querySelector('dialog[open]') === null`);
    for (const [letter, title] of [
      ['o', 'Overview'],
      ['p', 'Pools'],
      ['l', 'Llms'],
      ['t', 'Tasks'],
      ['a', 'Playground'],
      ['u', 'Usage'],
    ] as const) {
      await page.evaluate('document.activeElement.blur()');
      await page.key('g');
      await page.key(letter);
      await page.until(`document.title === '${title} · mcpctl'`);
    }
    // To the rows and the filter, wherever there are such.
    for (const path of [...noneOf.map(([one]) => one), '/audit', '/access']) {
      await go(path, /In a terminal|May/);
      await page.until(`!${says(/Loading …/)}`);
      for (const [pressed, selector] of [
        ['/', 'main [data-filter]'],
        ['j', 'main tbody th a'],
      ] as const) {
        await page.evaluate('document.activeElement.blur()');
        await page.key(pressed);
        const isThere = `document.querySelector('${selector}') === null || document.activeElement.matches('${selector}')`;
        expect(await page.evaluate(isThere), `${pressed} on ${path}`).to.equal(true);
      }
    }
  });
}
