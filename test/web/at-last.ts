import { expect } from 'chai';
import { startBalancer } from '../support/balancer.ts';
import { says, sizes } from '../support/browsed.ts';
import type { Browser } from '../support/chromium.ts';
import type { Page } from '../support/chromium-page.ts';
import type { System } from '../support/system.ts';

/** Three where nothing is timed. */
const rounds = Number(process.env['MCPCTL_ROUNDS'] ?? 3);
const isLong = rounds > 3;

interface World {
  t: System;
  browser: Browser;
  /** In which everything before was done. */
  page: Page;
  /** Tokens and codes that were made meanwhile. */
  secrets: readonly string[];
  /** A code that signs in once. */
  once: () => Promise<string>;
}

/** What is asked of the whole system once everything else was done in its page. */
export function atLast(now: () => World): void {
  it('leaves no token, code or cookie in a request that is not about it, nor in a log', async () => {
    const { t, page, secrets } = now();
    const signsIn = {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin' },
    };
    const answer = await fetch(`${t.url}/ui/session`, {
      ...signsIn,
      body: JSON.stringify({ token: t.token }),
    });
    const cookies = answer.headers.getSetCookie().map((cookie) => /=([^;]+)/.exec(cookie)?.[1] ?? '');
    expect(cookies).to.have.length(2);
    expect(secrets.length).to.be.at.least(6);
    for (const secret of [...secrets, ...cookies]) {
      const withIt = page.sent.filter(({ text }) => text.includes(secret));
      const others = withIt.filter(({ method, url }) => method !== 'POST' || !url.endsWith('/ui/session'));
      expect(others.map(({ url }) => url)).to.deep.equal([]);
      const lines = [t.edge, t.scheduler].flatMap((one) => one.lines.map((line) => JSON.stringify(line)));
      expect(lines.length).to.be.greaterThan(10);
      expect(lines.filter((line) => line.includes(secret))).to.deep.equal([]);
    }
  });

  it(`shows what another edge changed within moments, and goes on where its own is killed${isLong ? '' : '; how soon, with MCPCTL_ROUNDS'}`, async () => {
    const { t, browser, once } = now();
    const first = t.edge;
    const second = await t.startEdge();
    const balancer = await startBalancer([first, second]);
    balancer.only(second);
    const tab = await browser.page(sizes.wide);
    try {
      const other = { at: first };
      const sessions = (await (await t.call('GET', '/api/v1/sessions', other)).json()) as {
        items: { id: string; llms: { name: string }[] }[];
      };
      const { id } =
        sessions.items.find(({ llms }) => llms.some(({ name }) => name === 'desk')) ??
        expect.fail('it is there');
      await tab.goto(`${balancer.url}/ui/#once=${await once()}`);
      await tab.until(says(/● live/));
      await tab.goto(`${balancer.url}/ui/workers/${id}`);
      await tab.until(says(/● live[^]*Heard/));
      expect(balancer.asked(second, '/events')).to.be.greaterThan(0);
      const [change, shows] = [
        (word: string) => t.call('POST', `/api/v1/sessions/${id}/${word}`, other),
        (word: string) => `document.querySelector('main .facts .status').innerText === '${word}'`,
      ];
      const tookMs: number[] = [];
      const seen = async (word: string, state: string): Promise<void> => {
        const from = performance.now();
        expect((await change(word)).status).to.equal(200);
        await tab.until(shows(state));
        tookMs.push(performance.now() - from);
      };
      for (let round = 0; round < rounds; round++) {
        await seen('pause', 'paused');
        await seen('resume', 'live');
      }
      if (isLong) {
        const p95 = tookMs.toSorted((a, b) => a - b)[Math.floor(tookMs.length * 0.95)] ?? 0;
        process.stderr.write(`      over two edges: p95 ${p95.toFixed(0)} ms of ${String(tookMs.length)}\n`);
        expect(p95).to.be.below(1_500);
      }
      const killedAt = performance.now();
      await second.kill('SIGKILL');
      balancer.only();
      await tab.until(says(/reconnecting/));
      const heardMs = performance.now() - killedAt;
      expect((await change('pause')).status).to.equal(200); // while nothing is heard
      await tab.until(says(/● live/));
      const liveMs = performance.now() - killedAt;
      if (isLong) {
        process.stderr.write(`      killed: heard ${heardMs.toFixed(0)}, live ${liveMs.toFixed(0)} ms\n`);
        expect(heardMs).to.be.below(3_000);
        expect(liveMs - heardMs).to.be.below(5_000);
      }
      await tab.until(shows('paused'));
      expect(balancer.asked(first, '/events')).to.be.greaterThan(0);
      expect((await change('resume')).status).to.equal(200);
    } finally {
      await tab.shut();
      await balancer.close();
      await second.kill('SIGKILL');
    }
  });
}
