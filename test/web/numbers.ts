import { expect } from 'chai';
import { type inPage, says } from '../support/browsed.ts';
import type { Page } from '../support/chromium-page.ts';
import type { System } from '../support/system.ts';

/** Of numbers on the page, in a system in which tasks have ended. */
export function numberTests(
  { go, sound }: ReturnType<typeof inPage>,
  world: () => { t: System; page: Page },
): void {
  it('adds up what was used by hour, and gives it as a file of the same numbers', async () => {
    const { t, page } = world();
    await go('/usage?by=llm&hours=24', /Tokens in each hour/);
    await page.until(says(/house/));
    await sound('usage-1280');
    const asked = (await (await t.call('GET', '/api/v1/usage?by=llm&hours=24')).json()) as {
      items: { name: string; tasks: number }[];
    };
    const cells = `[...document.querySelectorAll('main table')[0].querySelectorAll('tbody tr')].map((row) => [...row.children].slice(0, 2).map((cell) => cell.innerText))`;
    expect(await page.evaluate(cells)).to.deep.equal(
      asked.items.map(({ name, tasks }) => [name, String(tasks)]),
    );
    const file = String(
      await page.evaluate(
        `fetch(document.querySelector('a[download]').href).then((answer) => answer.text())`,
      ),
    );
    const [head, ...lines] = file.trimEnd().split('\n');
    expect(head).to.equal('at,name,tasks,completed,failed,tokensIn,tokensOut,minutes');
    const sum = lines.reduce((all, line) => all + Number(line.split(',')[2]), 0);
    expect(sum)
      .to.equal(asked.items.reduce((all, { tasks }) => all + tasks, 0))
      .and.to.be.greaterThan(0);
  });
}
