import { expect } from 'chai';
import type { OverviewView } from '../../core/operator/overview.ts';
import { type inPage, says } from '../support/browsed.ts';
import type { Page } from '../support/chromium-page.ts';
import type { System } from '../support/system.ts';

/** Of numbers on the page, in a system in which tasks have ended. */
export function numberTests(
  { go, sound }: ReturnType<typeof inPage>,
  world: () => { t: System; page: Page },
): void {
  it('shows on the overview the numbers that the API says', async () => {
    const { t, page } = world();
    const { sums, workers, lately } = (await (
      await t.call('GET', '/api/v1/overview')
    ).json()) as OverviewView;
    expect(lately.ended).to.be.greaterThan(0);
    const of = (a: number, b: number): string => `${String(a)} of ${String(b)}`;
    const wanted = [
      ...[of(workers.there, workers.total), of(sums.serving, sums.members), sums.running, sums.waiting],
      ...[
        lately.tokensPerS,
        lately.firstTokenMs && `${String(Math.round(lately.firstTokenMs / 100) / 10)} s`,
      ],
      of(lately.failed, lately.ended),
    ];
    await go('/', /Tokens a second/);
    const figures = `[...document.querySelectorAll('.figures dd')].map((each) => each.innerText)`;
    expect(await page.evaluate(figures)).to.deep.equal(wanted.map(String));
  });

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
