import { expect } from 'chai';
import type { OverviewView } from '../../core/operator/overview.ts';
import { type inPage, says } from '../support/browsed.ts';
import type { Page } from '../support/chromium-page.ts';
import type { System } from '../support/system.ts';

/** Each screen, by its address, what it says in a system where somebody serves and little was done, and how many calls show it; 1 unless told. */
export const screens: readonly [string, RegExp, number?][] = [
  ['pools', /house/],
  ['pools/house', /desk/],
  ['llms', /desk/],
  ['llms/desk', /slots are free/, 2],
  ['tasks', /Tokens|Llm/, 2],
  ['tasks?llm=nobody', /No task fits/, 2],
  ['playground?llm=house', /Message/],
  ['workers', /Heard/],
  ['workers?state=gone', /None of the workers/],
  ['join-codes', /No code that you may see/],
  ['mcp', /No MCP server that you may see/, 2],
  ['mcp/nobody', /Press Watch/],
  ['audit', /Outcome/],
  ['audit?name=nobody', /No event is like that/],
  ['usage', /Tokens out|No task/, 2],
  ['access', /Everybody who may/, 2],
  ['system', /one leads[^]*this one[^]*settle/],
  ['r/tokens', /bootstrap/],
  ['r/agents', /helper/],
  ['r/agents/helper', /You are <b>kind/],
  ['r/users/admin', /admin/],
  ['r/rbac', /Rights\s+New rbac/],
  ['no-such', /no such screen/],
];

/** Screens that ask for something. */
export const failing = [
  ...[
    '/',
    '/pools',
    '/llms',
    '/tasks',
    '/playground',
    '/workers',
    '/join-codes',
    '/mcp',
    '/audit',
    '/usage',
    '/access',
  ],
  ...['/r/tokens', '/r/users/root', '/pools/one', '/llms/one', '/tasks/nobody', '/system'],
];

/** What they say where there is nothing. */
export const noneOf: readonly (readonly [string, RegExp])[] = [
  ['/pools', /No pool that you may see/],
  ['/llms', /No llm that you may see/],
  ['/tasks', /No task yet that you may see/],
  ['/playground', /There is no model that you may ask/],
  ['/workers', /No worker that you may see/],
  ['/join-codes', /No code that you may see/],
  ['/mcp', /No MCP server that you may see/],
  ['/usage', /No task that you may see has ended/],
  ['/r/agents', /There are no agents/],
];
/** And where a filter hides what there is. */
export const filteredOf: readonly (readonly [string, RegExp])[] = [
  ['/llms?status=active', /No llm has this status/],
  ['/tasks?llm=nobody', /No task fits these filters/],
  ['/audit?name=nobody', /No event is like that/],
];

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
