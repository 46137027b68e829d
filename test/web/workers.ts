import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { hostile, says, type inPage } from '../support/browsed.ts';
import type { Page } from '../support/chromium-page.ts';
import { mcplocal } from '../support/mcplocal.ts';
import type { System } from '../support/system.ts';

/** Of workers and those who let them in, in a system that has one which serves `desk`. */
export function workerTests(
  { go, type, press, key, forgive, sound }: ReturnType<typeof inPage>,
  world: () => { t: System; page: Page; secrets: string[] },
): void {
  it('shows workers, adds one by commands, and drains and resumes one where all see it', async () => {
    const { t, page, secrets } = world();
    await go('/workers', /Heard/);
    await sound('workers-1280');
    await press('Add a worker');
    await page.until(says(/mcplocal run/));
    await sound('add-worker-1280');
    await type('dialog input', 'desk-two');
    await press('Make its code');
    await page.until(says(/shown this once/));
    const command = String(await page.evaluate(`document.querySelector('dialog code').innerText`));
    const [, code = ''] = /^mcplocal join (?:\S+) --code (\S+)$/.exec(command) ?? [];
    expect(command).to.equal(`mcplocal join ${t.url} --code ${code}`);
    await press('Close');
    expect(await page.evaluate('document.documentElement.outerHTML')).not.to.include(code);
    const home = await mkdtemp(join(tmpdir(), 'second-home-'));
    await mcplocal({ PATH: process.env['PATH'], MCPCTL_HOME: home }, ...command.split(' ').slice(1));
    const kept = await readFile(join(home, 'credentials'), 'utf8');
    const { token: made } = JSON.parse(kept) as { token: string };
    const rows = `document.querySelectorAll('main tbody tr').length`;
    const alone = Number(await page.evaluate(rows));
    const offers = [{ name: 'second', poolName: 'desk-two', backend: t.backend }];
    const second = await t.startWorker(offers, { home, token: made });
    await page.until(`${rows} === ${String(alone + 1)}`, 3_000);
    await second.kill('SIGTERM');
    await rm(home, { recursive: true });
    const body = { protocol: 1, transports: ['sse'], host: hostile.slice(0, 60), providers: [] };
    const call = await t.call('POST', '/api/v1/llms/_provider-register', { token: made, body });
    expect(call.status).to.equal(201);
    secrets.push(code, made);
    await go('/join-codes?state=used', /desk-two/);
    await go('/join-codes?state=good', /No code is good now/);
    await sound('join-codes-none-1280');
    expect((await t.call('POST', '/api/v1/join-codes', { body: { pools: ['house'] } })).status).to.equal(201);
    await press('Look again');
    await page.until(says(/house/));
    await sound('join-codes-1280');
    await press('Withdraw');
    await page.until(says(/No code is good now/));
    await go('/workers', /Heard/);
    const one = (await (await t.call('GET', '/api/v1/sessions')).json()) as {
      items: { id: string; name: string; llms: { name: string }[] }[];
    };
    const strange = one.items.find(({ name }) => name.includes('<img'));
    await go(`/workers/${String(strange?.id)}`, /Heard/);
    const labels = `[...document.querySelectorAll('[aria-label]')].map((one) => one.ariaLabel).join()`;
    expect(await page.evaluate(labels)).to.include(`Drain ${String(strange?.name)}`);
    await page.until(`document.title === ${JSON.stringify(`Worker ${String(strange?.name)} · mcpctl`)}`);
    // One word to whoever pastes it.
    expect(await page.text()).to.include(`mcpctl describe worker '${String(strange?.name)}'`);
    const turned = encodeURIComponent(hostile.slice(-3_000 - 20).slice(0, 60));
    await go(`/llms/${turned}`, /WWWW/);
    await page.until(`document.querySelectorAll('main .fault').length === 2`);
    forgive(/404/);
    expect(await page.evaluate('document.title'))
      .to.match(/^Llm .*red W+ · mcpctl$/)
      .and.not.match(/[\u202a-\u202e\u200b\u001b]/);
    await go('/workers', /Heard/);
    await page.evaluate(`document.querySelector('tbody a').click()`);
    await page.until(says(/What it publishes|It publishes no llm/));
    const id = one.items.find(({ llms }) => llms.some(({ name }) => name === 'desk'))?.id ?? '';
    await go(`/workers/${id}`, /Heard/);
    await page.evaluate(`document.querySelector('[aria-label^="Revoke "]').click()`);
    await page.until(says(/Revoke it/));
    await sound('revoke-worker-1280');
    await press('Close');
    await press('Drain');
    await page.until(says(/drained/));
    await sound('worker-1280');
    await go('/llms/desk', /is drained here/);
    await go(`/workers/${id}`, /drained/);
    await press('Resume');
    await page.until(says(/live\nSlots|live/));
    await page.until(
      `![...document.querySelectorAll('button')].some((b) => b.innerText.trim() === 'Resume')`,
    );
    expect(((await (await t.call('GET', `/api/v1/sessions/${id}`)).json()) as { hold: null }).hold).to.equal(
      null,
    );
    await go('/audit?resource=session&verb=edit', /hold: /);
    await sound('audit-1280');
    const before = Number(await page.evaluate(rows));
    expect((await t.call('POST', `/api/v1/sessions/${id}/pause`)).status).to.equal(200);
    await page.until(says(/1 new/)); // and nothing moved
    expect(await page.evaluate(rows)).to.equal(before);
    await key('n', {}, 'document.body');
    await page.until(`${rows} === ${String(before + 1)}`);
    expect((await t.call('POST', `/api/v1/sessions/${id}/resume`)).status).to.equal(200);
    const fetched = `fetch(document.querySelector('a[download]').href).then((answer) => answer.text())`;
    const events = String(await page.evaluate(fetched))
      .trimEnd()
      .split('\n');
    expect(events.length).to.equal(before + 2);
    expect(JSON.parse(events[0] ?? '')).to.include({ resource: 'session', verb: 'edit' });
  });
}
