import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Page } from './chromium-page.ts';

/** What models and strangers write: each would be heard of, by a fault of the page or a request, if it became more than text. */
export const hostile = [
  '<img src=x onerror="document.title=`owned`"><script>document.title=`owned`</script><svg onload=alert(1)>',
  '[x](javascript:alert(1)) ![](https://evil.test/?q=1) <style>*{display:none}</style>',
  '\u202Eback\u202C \u200B\u001b[31mred ' + 'W'.repeat(3_000),
].join('\n');

const axe = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8');
const rules = `{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }`;

export const sizes = { wide: { width: 1280, height: 800 }, narrow: { width: 360, height: 740 } };
/** As `wide` is at 200 %. */
const zoomed = { width: 640, height: 400, scale: 2 };

/** That the page shows it, as an expression in it. */
export const says = (pattern: RegExp): string => `${String(pattern)}.test(document.body.innerText)`;

/** All of it stands where it stood, and has other colours; where it is dark, it was looked at already. */
async function inDark(page: Page, name: string): Promise<void> {
  const root = 'document.documentElement.dataset.theme';
  const theme = await page.evaluate(root);
  if (theme === 'dark') return;
  await page.evaluate(`${root} = 'dark'`);
  await page.screenshot(`${name}-dark`);
  const colours = `{ runOnly: { type: 'rule', values: ['color-contrast', 'link-in-text-block'] } }`;
  const seen = `axe.run(document, ${colours}).then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html.slice(0, 120)).join(' | ')))`;
  expect(await page.evaluate(seen), `${name}, dark`).to.deep.equal([]);
  await page.evaluate(theme === undefined ? `delete ${root}` : `${root} = ${JSON.stringify(theme)}`);
}

/** What a person does in the page that is in front by then, and what is asked of every screen. */
export function inPage(now: () => { page: Page; url: string }) {
  let forgiven: { page: Page | null; faults: number } = { page: null, faults: 0 };
  const faultsOf = (page: Page): readonly string[] =>
    page.faults.slice(page === forgiven.page ? forgiven.faults : 0);
  return {
    go: async (path: string, pattern: RegExp): Promise<void> => {
      const { page } = now();
      await page.evaluate(
        `(history.pushState(null, '', '/ui${path}'), dispatchEvent(new PopStateEvent('popstate')))`,
      );
      await page.until(says(pattern));
    },
    type: (selector: string, text: string): Promise<unknown> =>
      now().page.evaluate(`(() => { const field = document.querySelector(${JSON.stringify(selector)});
      field.value = ${JSON.stringify(text)}; field.dispatchEvent(new Event('input', { bubbles: true })); })()`),
    press: (text: string): Promise<unknown> =>
      now().page.evaluate(
        `[...document.querySelectorAll('button')].find((b) => b.innerText.trim() === '${text}').click()`,
      ),
    /** A key as a script of the page hears it, whether the page is in front or not; `from` is an expression. */
    key: (name: string, how: object = {}, from = 'document.activeElement'): Promise<unknown> =>
      now().page.evaluate(
        `${from}.dispatchEvent(new KeyboardEvent('keydown', { bubbles: true, key: '${name}', ...${JSON.stringify(how)} }))`,
      ),
    /** What a test has brought about itself. */
    forgive: (pattern: RegExp): void => {
      const { page } = now();
      expect(faultsOf(page).filter((fault) => !pattern.test(fault))).to.deep.equal([]);
      forgiven = { page, faults: page.faults.length };
    },
    /** Twice as large, all of it is within the width, and each action where it can be reached. */
    zoom: async (name: string, back: { width: number; height: number }): Promise<void> => {
      const { page } = now();
      await page.size(zoomed);
      expect(await page.evaluate(`document.documentElement.scrollWidth - innerWidth`), name).to.equal(0);
      const outside = `[...document.querySelectorAll('a, button, input, select, textarea, summary')].filter((one) => {
        const { left, right, width } = one.getBoundingClientRect();
        return width > 1 && !one.closest('.scroller, .skip') && (left < 0 || right > innerWidth);
      }).map(({ outerHTML }) => outerHTML.slice(0, 120))`;
      expect(await page.evaluate(outside), `${name} at 200 %`).to.deep.equal([]);
      await page.size(back);
    },
    /** Looked at, accessible, within its width, and nothing wrong or foreign in it. @param but what a test brings about all the while. */
    sound: async (name: string, but = /^$/): Promise<void> => {
      const { page, url } = now();
      await page.screenshot(name);
      const width = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
      expect(width, `${name} is as wide as its window`).to.equal(0);
      if ((await page.evaluate('typeof window.axe')) !== 'object') await page.evaluate(axe);
      const violations = await page.evaluate(
        `axe.run(document, ${rules}).then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html, failureSummary }) => html.slice(0, 120) + failureSummary).join(' | ')))`,
      );
      expect(violations, name).to.deep.equal([]);
      await inDark(page, name);
      expect(
        faultsOf(page).filter((fault) => !but.test(fault)),
        name,
      ).to.deep.equal([]);
      const foreign = page.asked.filter((asked) => !asked.startsWith(url) && !/^(data|blob):/.test(asked));
      expect(foreign).to.deep.equal([]);
      expect(await page.evaluate('document.title'), name).to.match(/ · mcpctl$|^mcpctl$/);
    },
  };
}
