import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { chats } from '../support/backend.ts';
import { hostile, inPage, says, sizes } from '../support/browsed.ts';
import { chromiumFor, type Browser } from '../support/chromium.ts';
import type { Page } from '../support/chromium-page.ts';
import { startSystem, until, type System } from '../support/system.ts';
import { answerTests } from './answers.ts';
import { atLast } from './at-last.ts';
import { numberTests, screens } from './screens.ts';
import { workerTests } from './workers.ts';

const CLIENT = 'io.modelcontextprotocol/clientInfo';

describe('the page in a browser', function () {
  this.timeout(120_000);
  let t: System;
  let browser: Browser;
  let page: Page;
  before(async function () {
    browser = await chromiumFor(this);
    t = await startSystem();
    await t.startWorker([{ name: 'desk', poolName: 'house', maxConcurrency: 2, backend: t.backend }]);
    await t.call('POST', '/api/v1/agents', {
      body: { name: 'helper', llm: 'desk', systemPrompt: 'You are <b>kind</b>.' },
    });
    page = await browser.page(sizes.wide);
  });
  after(async () => {
    await browser?.close();
    await t?.close();
  });

  /** Whatever nobody may find in a log or in a request that is not about it. */
  const secrets: string[] = [];
  const once = async (): Promise<string> => {
    const { once: code } = (await (await t.call('POST', '/ui/once')).json()) as { once: string };
    secrets.push(code);
    return code;
  };
  const visit = inPage(() => ({ page, url: t.url }));
  const { go, type, press, key, forgive, sound, zoom } = visit;

  it('begins with a link: signed in, the code gone from the address, at most eight requests', async () => {
    const code = await once();
    await page.goto(`${t.url}/ui/#once=${code}`);
    await page.until(says(/house/));
    await page.until(says(/● live/));
    expect(await page.evaluate('location.href')).to.equal(`${t.url}/ui/`);
    expect(page.asked.filter((url) => !url.startsWith('data:')).length, page.asked.join('\n')).to.be.at.most(
      8,
    );
    expect(
      await page.evaluate('document.cookie + JSON.stringify({ ...localStorage, ...sessionStorage })'),
    ).to.equal('{}');
    await sound('overview-1280');
  });

  it('takes no string for markup', async () => {
    const other = await browser.page(sizes.narrow); // its faults are what is wanted
    await other.goto(`${t.url}/ui/`);
    const tried = `(() => { try { document.body.innerHTML = 'x'; return 'taken'; } catch (e) { return e.name; } })()`;
    expect(await other.evaluate(tried)).to.equal('TypeError');
    await page.front();
  });

  it('asks a model, shows its words as words, stops it, and says why this member', async () => {
    t.backend.reply(chats([hostile.slice(0, 50), hostile.slice(50)]));
    await go('/playground?llm=house', /Message/);
    await type('form textarea', 'Hello');
    await press('Send');
    await page.until(says(/why this member/));
    expect(await page.text())
      .to.include('<img src=x onerror=')
      .and.include('javascript:alert(1)');
    await sound('playground-1280');
    t.backend.reply(chats(['alpha ', 'beta ', 'gamma'], { paced: true }));
    t.backend.forget();
    await type('form textarea', 'Again');
    await press('Send');
    t.backend.release(1);
    await page.until(says(/alpha/));
    await press('Stop');
    await t.backend.next('closed'); // its backend is free
    await page.until(says(/stopped/));
    t.backend.forget();
    await type('form textarea', 'Before its first word');
    await press('Send');
    await t.backend.next('request');
    await press('Stop');
    await t.backend.next('closed');
    await page.until(`document.body.innerText.split('stopped').length === 3`);
    await press('View code');
    await page.until(`document.querySelector('dialog[open]') !== null`);
    await sound('code-1280');
    expect(await page.text())
      .to.include('/v1/chat/completions')
      .and.not.include(t.token);
    await press('Close');
  });

  answerTests(visit, () => ({ t, page }));

  it('says who may what, and by which document', async () => {
    const made = [
      await t.call('POST', '/api/v1/users', { body: { name: 'ada' } }),
      await t.call('POST', '/api/v1/groups', { body: { name: 'gpu' } }),
      await t.call('PUT', '/api/v1/groups/gpu/members/ada'),
      await t.call('POST', '/api/v1/rbac', {
        body: {
          name: 'keep-house',
          subjects: [{ kind: 'group', name: 'gpu' }],
          bindings: [{ role: 'edit', resource: 'pool', name: 'house' }],
        },
      }),
    ];
    expect(made.map(({ status }) => status)).to.satisfy((all: number[]) => all.every((one) => one < 300));
    await go('/r/users/ada', /May they do that/);
    await page.evaluate(`[...document.querySelectorAll('a.button')].at(-1).click()`);
    await page.until(says(/Yes: ada may/));
    await go('/access?as=ada&verb=edit&resource=secret', /No: nothing that is granted to ada/);
    await go('/access?as=ada&verb=edit&resource=pool&name=house', /Yes: ada may\./);
    await page.until(says(/Everybody who may/));
    await page.until(says(/group:gpu/));
    expect(
      await page.evaluate(`document.querySelector('a[href="/ui/r/rbac/keep-house"]') !== null`),
    ).to.equal(true);
    await sound('access-1280');
    await go('/access?as=nobody-here&name=desk', /There is no user/);
    forgive(/404/);
  });

  it('shows tasks, one task with its reasons, and cancels a live one', async () => {
    t.backend.reply(chats(['first words ', 'more ', 'and more'], { paced: true }));
    const asked = t.call('POST', '/api/v1/llms/house/infer', {
      body: { messages: [{ role: 'user', content: 'x' }], stream: true },
    });
    t.backend.release(2); // one may go to what was stopped above
    const id = (await asked).headers.get('x-mcpctl-task-id') ?? '';
    await go('/tasks', /Llm/);
    await page.until(says(new RegExp(`…${id.slice(-8)}`)));
    await sound('tasks-1280');
    await go(`/tasks?peek=${id}`, /first words[^]*Why desk/);
    await sound('peek-1280');
    await go(`/tasks/${id}`, /Why desk/);
    await page.until(says(/first words/));
    await sound('task-1280');
    await press('Cancel this task');
    await page.until(`document.querySelector('dialog[open]') !== null`);
    await sound('cancel-1280');
    await press('Cancel the task');
    await page.until(says(/cancelled/));
    await until(
      () => t.task(id),
      ({ status }) => status === 'cancelled',
    );
    await page.until(says(/Ask the same again/));
    await press('Ask the same again');
    await page.until(
      `!location.pathname.endsWith('${id}') && document.querySelector('button.danger') !== null`,
    );
    const again = String(await page.evaluate('location.pathname.slice(-36)'));
    await t.call('DELETE', `/api/v1/tasks/${again}`);
    await page.until(says(/cancelled/));
  });

  it('fits 360 px in light and in dark, 200 %, and 1280 px in dark, on every screen, each of few calls', async () => {
    const wide = page;
    page = await browser.page(sizes.narrow);
    await page.goto(`${t.url}/ui/`);
    await page.until(says(/house/));
    await sound('overview-360');
    await key('.', {}, 'document.body'); // so that each call is of a screen
    const tooMany: string[] = [];
    const calls = (): string[] => page.asked.filter((url) => url.includes('/ui/api/'));
    for (const [theme, size] of [
      ['dark', sizes.wide],
      ['light', sizes.narrow],
    ] as const) {
      await page.size(size);
      await page.evaluate(`document.documentElement.dataset.theme = '${theme}'`);
      for (const [name, pattern, most = 1] of screens) {
        const before = calls().length;
        await go(`/${name}`, pattern);
        await page.until(`!${says(/Loading …/)}`); // what it says may be a heading
        await sound(`${name.replaceAll('/', '-')}-${String(size.width)}-${theme}`);
        const asked = calls().slice(before);
        if (asked.length > most) tooMany.push(`${name}: ${asked.join(' ')}`);
        if (theme === 'light') await zoom(name, size);
      }
    }
    expect(tooMany).to.deep.equal([]);
    page = wide;
    await page.front();
  });

  workerTests(visit, () => ({ t, page, secrets }));

  numberTests(visit, () => ({ t, page }));

  it('makes a token that is shown once, and revokes it', async () => {
    await go('/r/tokens', /New token/);
    await press('New token');
    await page.until(`document.querySelector('dialog[open] input') !== null`);
    await sound('new-token-1280');
    await type('dialog input', 'from-the-page');
    await press('Make it');
    await page.until(says(/shown this once/));
    const made = String(await page.evaluate(`document.querySelector('dialog code').innerText`));
    expect((await t.call('GET', '/api/v1/whoami', { token: made })).status).to.equal(200);
    // Where no page may copy, as without TLS, it is selected as a whole.
    await page.evaluate(
      `Object.defineProperty(navigator, 'clipboard', { configurable: true, value: undefined })`,
    );
    await page.evaluate(`document.querySelector('dialog .copy button').click()`);
    await page.until(
      `/may not copy.*selected/.test(document.querySelector('dialog .copy [role=status]').innerText)`,
    );
    expect(await page.evaluate('getSelection().toString()')).to.equal(made);
    expect(
      await page.evaluate(`getComputedStyle(document.querySelector('dialog code')).userSelect`),
    ).to.equal('all');
    await page.evaluate('delete navigator.clipboard');
    // A page that a browser keeps for who comes back has it no more than one that is closed.
    await page.evaluate(`dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))`);
    await page.until(`!document.documentElement.outerHTML.includes('${made}')`);
    await type('dialog input', 'from-the-page-too');
    await press('Make it');
    await page.until(says(/shown this once/));
    const other = String(await page.evaluate(`document.querySelector('dialog code').innerText`));
    await page.evaluate(`location.assign('/ui/status')`);
    await page.until(`location.pathname === '/ui/status' && document.readyState === 'complete'`);
    await page.evaluate('history.back()');
    await page.until(says(/New token/));
    expect(await page.evaluate('document.documentElement.outerHTML')).not.to.include(other);
    secrets.push(made, other);
    await page.until(says(/from-the-page/));
    expect(await page.evaluate('document.documentElement.outerHTML')).not.to.include(made);
    await page.evaluate(`document.querySelector('[aria-label="Revoke from-the-page"]').click()`);
    await page.until(`document.querySelector('dialog[open]') !== null`);
    await sound('revoke-token-1280');
    await page.evaluate(`document.querySelector('dialog .main').click()`);
    await page.until(`document.querySelector('dialog[open]') === null`);
    await page.until(`document.querySelector('[aria-label="Revoke from-the-page"]') === null`);
    expect((await t.call('GET', '/api/v1/whoami', { token: made })).status).to.equal(401);
  });

  it('shows what tools of a server a project has not approved, and approves them as shown', async () => {
    const post = async (path: string, body: object): Promise<void> => {
      expect((await t.call('POST', `/api/v1/${path}`, { body })).status).to.be.within(200, 201);
    };
    const id = randomUUID();
    const session = { providerSessionId: id, instanceId: id, transports: ['sse'] };
    const providers = [{ name: 'mcp.files', type: 'mcp', model: 'mcp' }];
    await post('llms/_provider-register', { ...session, providers });
    const report = (description: string): Promise<void> =>
      post('llms/_provider-tools', {
        ...{ ...session, server: 'files', journal: id, info: { name: 'f', version: '1' } },
        tools: [{ name: 'read', description, inputSchema: { type: 'object' } }],
      });
    await report('as it was');
    await post('projects', { name: 'pinned', servers: [{ server: 'files' }] });
    await report(hostile);
    await go('/r/servers/files', /0 of its tools are as they were approved/);
    await page.until(says(/- description: "as it was"/));
    await sound('server-1280');
    await press('Approve as shown');
    await page.until(says(/1 of its tools are as they were approved/));
    expect(await page.evaluate(says(/Approve as shown/))).to.equal(false);
    await go('/mcp', /what clients ask/);
    await sound('mcp-1280');
    await go('/pools/mcp.files', /mcp\.files/);
    await go('/mcp/pinned', /Nothing is captured while nobody watches/);
    await sound('traffic-none-1280');
    const asks = async (name: string): Promise<void> => {
      const clientInfo = { name: hostile.slice(0, 100), version: '1' };
      const body = {
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/list',
        params: { _meta: { [CLIENT]: clientInfo } },
      };
      const call = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name, arguments: {} } };
      for (const one of [body, call])
        expect((await t.call('POST', '/mcp/projects/pinned', { body: one })).status).to.equal(200);
    };
    await press('Watch');
    await page.until(says(/Watching what clients ask/));
    await asks(hostile.slice(0, 64));
    await page.until(`document.querySelectorAll('main tbody tr').length === 2`);
    expect(await page.text()).to.include('→ <img src=x');
    await page.evaluate(`document.querySelector('main tbody button').click()`);
    await page.until(says(/bytes|Bytes/));
    await sound('traffic-1280');
    const audited = (await (await t.call('GET', '/api/v1/audit?resource=project&verb=view')).json()) as {
      items: object[];
    };
    expect(audited.items).to.have.length(1);
    await page.evaluate(`document.querySelector('main input[type=checkbox]').click()`);
    await asks('files__read_not');
    await page.until(says(/2 new/)); // held: nothing moved
    expect(await page.evaluate(`document.querySelectorAll('main tbody tr').length`)).to.equal(2);
    await press('2 new');
    await page.until(`document.querySelectorAll('main tbody tr').length === 4`);
    await press('Stop watching');
    await page.until(says(/Nothing is captured/));
    expect((await t.call('DELETE', `/api/v1/sessions/${id}`)).status).to.equal(204);
  });

  it('asks to sign in again, over what was there, when its token is revoked', async () => {
    const made = (await (await t.call('POST', '/api/v1/tokens', { body: { name: 'browser' } })).json()) as {
      id: string;
      token: string;
    };
    await page.evaluate(`fetch('/ui/session', { method: 'DELETE' })`);
    await page.goto(`${t.url}/ui/playground`);
    await page.until(`document.querySelector('input[name=token]') !== null`);
    forgive(/401/); // that is how it hears that nobody is signed in
    await sound('sign-in-1280');
    await type('input[name=token]', made.token);
    await press('Sign in');
    await page.until(says(/Message/));
    await type('form textarea', 'half a thought');
    await t.call('DELETE', `/api/v1/tokens/${made.id}`);
    await page.until(`document.querySelector('dialog[open] input[name=token]') !== null`);
    forgive(/401/);
    await sound('sign-in-again-1280');
    secrets.push(made.token, t.token);
    const before = page.asked.length;
    await type('dialog input[name=token]', t.token);
    await press('Sign in');
    await page.until(`document.querySelector('dialog[open]') === null`);
    expect(page.asked.length - before).to.be.at.most(8);
    expect(await page.evaluate(`document.querySelector('form textarea').value`)).to.equal('half a thought');
  });

  atLast(() => ({ t, browser, page, secrets, once }));
});
