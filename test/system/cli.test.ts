import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { chats, hangs, type Backend } from '../support/backend.ts';
import { startSystem, until, type System } from '../support/system.ts';
import { programOf } from '../support/program.ts';
import { atTerminal, hasPseudoTerminal } from '../support/pseudo-terminal.ts';

interface Run {
  child: ChildProcessByStdio<null, Readable, Readable>;
  out: () => string;
  err: () => string;
  ended: Promise<number | null>;
}

/** What is promised; a test on a busy machine allows so many times as much. */
const TIMES = 5;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

describe('mcpctl as it is built, against a running system', function () {
  this.timeout(60_000);
  let t: System;
  let backend: Backend;
  let home: string;

  before(async () => {
    t = await startSystem();
    backend = t.backend;
    home = await mkdtemp(join(tmpdir(), 'mcpctl-cli-'));
    await t.startWorker([
      { name: 'desk', poolName: 'house', backend },
      { name: 'solo', backend },
    ]);
  });
  after(async () => {
    await t.close();
    await rm(home, { recursive: true, force: true });
  });

  /** @param token undefined: the admin's; null: none. */
  function start(args: readonly string[], token?: string | null): Run {
    const tokenEnv = token === null ? {} : { MCPCTL_TOKEN: token ?? t.token };
    const env = { PATH: process.env['PATH'] ?? '', MCPCTL_HOME: home, MCPCTL_SERVER: t.url, ...tokenEnv };
    const child = spawn(process.execPath, [programOf('cli'), ...args], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
    child.stderr.on('data', (piece: Buffer) => (err += piece.toString()));
    const ended = once(child, 'close').then(([code]) => code as number | null);
    return { child, out: () => out, err: () => err, ended };
  }

  /** Runs a command that must work. @returns what it printed. */
  async function mcpctl(...args: string[]): Promise<string> {
    const run = start(args);
    expect(await run.ended, `mcpctl ${args.join(' ')}: ${run.err()}`).to.equal(0);
    return run.out();
  }
  const json = async (...args: string[]): Promise<unknown> => JSON.parse(await mcpctl(...args, '-o', 'json'));

  it('lists llms, as a table and as the API’s objects', async () => {
    const table = (await mcpctl('get', 'llm')).trimEnd().split('\n');
    expect(table[0]).to.match(/^NAME +POOL +KIND +STATUS +TYPE +MODEL +TIER +KEY +ID$/);
    expect(table[1]).to.match(/^desk +house +virtual +active +openai +tiny +- +- +[0-9a-f-]{36}$/);
    expect(table[2]).to.match(/^solo +- +virtual +active +openai +tiny /);
    expect(await mcpctl('get', 'llms', '--pool', 'house', '-o', 'name')).to.equal('llm/desk\n');
    const { pool, ...row } = (await t.llm('desk')) as object & { pool: unknown };
    expect(pool).to.deep.equal({ key: 'house', size: 1, activeCount: 1 });
    const [listed] = (await json('get', 'llms')) as Record<string, unknown>[];
    expect(Object.keys(listed ?? {})[0]).to.equal('resource');
    expect(listed).to.deep.include({ resource: 'llm', ...row, lastHeartbeatAt: listed?.['lastHeartbeatAt'] });
  });

  it('describes an llm with its pool and each member', async () => {
    const text = await mcpctl('describe', 'llm', 'desk');
    expect(text)
      .to.match(/^Name: +desk$/m)
      .and.to.match(/^Status: +active$/m);
    expect(text).to.match(/^Pool:\n {2}Key: +house\n {2}Size: +1\n/m);
    expect(text).to.match(/^ {2}desk +virtual +active/m);
    expect(await json('describe', 'llm', 'desk')).to.include({
      resource: 'llm',
      name: 'desk',
      poolName: 'house',
    });
  });

  it('tells who may how the server is: edges, stores, the scheduler and its duties', async () => {
    const text = await until(
      () => mcpctl('status', '--system'),
      (so) => /^settle +\d+ +0 +\d+ +2\d{3}-/m.test(so), // the scheduler tells of its duties now and then
    );
    expect(text)
      .to.match(/^Postgres: +ok$/m)
      .and.to.match(/^Redis: +ok$/m)
      .and.to.match(/^Scheduler: +one leads$/m)
      .and.to.match(/^[0-9a-f]{8} +\d+\.\d+\.\d+ +2\d{3}-/m);
  });

  it('prints an answer token by token', async () => {
    backend.once(chats(['one', ' two', ' three'], { paced: true }));
    const run = start(['chat-llm', 'desk', '--message', 'count', '--system', 'Be brief.']);
    for (const so of ['one', 'one two', 'one two three']) {
      backend.release();
      await until(
        async () => run.out(),
        (out) => out.trimEnd() === so,
      );
    }
    expect(await run.ended).to.equal(0);
    expect(run.out()).to.equal('one two three\n');
    // Its worker looks at it now and then, too.
    expect(backend.requests.findLast(({ json }) => json)?.json).to.deep.include({
      stream: true,
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'count' },
      ],
    });
    backend.once(chats(['whole']));
    expect(await mcpctl('chat-llm', 'house', '--message', 'hi', '--no-stream')).to.equal('whole\n');
  });

  it('stops the generation at Ctrl-C', async () => {
    backend.once(chats(['one', ' two'], { paced: true }));
    backend.release();
    const run = start(['chat-llm', 'desk', '--message', 'interrupt-me']);
    await until(
      async () => run.out(),
      (out) => out.startsWith('one'),
    );
    run.child.kill('SIGINT');
    expect(await run.ended).to.equal(2);
    while (!(await backend.next('closed')).body.includes('interrupt-me'));
  });

  it('stops a turn at Ctrl-C, down to its backend; one whose terminal is closed goes on, and is shown to who comes back', async function () {
    if (!hasPseudoTerminal()) this.skip();
    const critic = { name: 'critic', llm: 'solo' };
    expect((await t.call('POST', '/api/v1/agents', { body: critic })).status).to.equal(201);
    const answersIn = async (id: string): Promise<string[]> => {
      const kept = (await (await t.call('GET', `/api/v1/threads/${id}/messages`)).json()) as {
        items: { role: string; status: string; content: string }[];
      };
      return kept.items.flatMap(({ role, status, content }) =>
        role === 'assistant' ? [`${status}: ${content}`] : [],
      );
    };
    const begun = async (message: string): Promise<Run> => {
      backend.once(chats(['one', ' two', ' three'], { paced: true }));
      backend.release();
      const run = start(['chat', 'critic', '-m', message]);
      await until(
        async () => run.out(),
        (out) => out.startsWith('one'),
      );
      return run;
    };
    const stopped = await begun('stop-me');
    const from = performance.now();
    stopped.child.kill('SIGINT');
    while (!(await backend.next('closed')).body.includes('stop-me'));
    expect(performance.now() - from).to.be.below(1_000 * TIMES);
    expect(await stopped.ended).to.equal(2);
    expect(stopped.out() + stopped.err()).to.not.include('\u001b');
    const [, id = ''] = /^thread: (\S+)$/m.exec(stopped.err()) ?? [];
    expect(await answersIn(id)).to.deep.equal(['cancelled: one']);

    const left = await begun('leave-me');
    left.child.kill('SIGHUP');
    await left.ended;
    const account = { MCPCTL_HOME: home, MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.token };
    const inFiveRows = ['/bin/sh', '-c', 'stty rows 5 && exec "$@"', 'sh'];
    const { status, text } = await atTerminal(
      [...inFiveRows, process.execPath, programOf('cli'), 'chat', 'critic', '--continue'],
      { PATH: process.env['PATH'], ...account, NO_COLOR: '1' },
      [
        ['> leave-me', () => undefined],
        ['one', () => backend.release(2)],
        [' three', () => undefined],
        ['> ', '\u0004'],
      ],
    );
    expect(status, text).to.equal(0);
    // The line below the answer is kept without colours too.
    expect(text)
      .to.include('\u001b[1;4r')
      .and.to.not.match(/\u001b\[[\d;]*m/);
    const [, resumed = ''] = /resume: mcpctl chat critic --thread (\S+)/.exec(text) ?? [];
    expect(await answersIn(resumed)).to.deep.equal(['complete: one two three']);
  });

  it('leaves a message as a task: its id alone, then wait, get, list', async () => {
    backend.reply(chats(['later']));
    const printed = await mcpctl('chat-llm', 'desk', '--async', '--message', 'take your time');
    const id = printed.trimEnd();
    expect(id).to.match(uuid);
    expect(printed).to.equal(`${id}\n`);
    await mcpctl('task', 'wait', id, '--timeout', '20s');
    const task = await json('task', 'get', id);
    expect(task).to.deep.include({ resource: 'task', id, status: 'completed', claimedLlm: 'desk' });
    expect(task).to.have.nested.property('response.choices[0].message.content', 'later');
    expect(await mcpctl('task', 'list', '--llm', 'desk', '--status', 'completed', '-o', 'name')).to.include(
      `task/${id}\n`,
    );
    expect(await mcpctl('describe', 'task', id))
      .to.match(/Status: +completed/)
      .and.to.include('later');
  });

  it('cancels a running task, down to its backend', async () => {
    backend.once(hangs());
    const id = (await mcpctl('chat-llm', 'solo', '--async', '--message', 'never-mind')).trimEnd();
    while (!(await backend.next('request')).body.includes('never-mind'));
    expect(await mcpctl('task', 'cancel', id)).to.include(`task/${id} cancelled`);
    while (!(await backend.next('closed')).body.includes('never-mind'));
    const waited = start(['task', 'wait', id]);
    expect(await waited.ended).to.equal(1);
    expect(waited.err()).to.include('(task_cancelled)');
    await mcpctl('task', 'cancel', id); // one that has ended stays as it is
    expect(await json('task', 'get', id)).to.include({ status: 'cancelled' });
  });

  it('makes a token that works until it is revoked, everywhere within five seconds', async () => {
    const token = (await mcpctl('token', 'create', 'laptop', '--user', 'ann', '--binding', 'user')).trim();
    backend.reply(chats(['hi ann']));
    const chat = start(['chat-llm', 'desk', '--message', 'hi'], token);
    expect(await chat.ended).to.equal(0);
    const list = await mcpctl('token', 'list');
    expect(list)
      .to.match(/^laptop +mcpctl_\S{4} +ann +user /m)
      .and.to.not.include(token);
    const denied = start(
      ['create', 'llm', 'x', '--type', 'openai', '--model', 'm', '--url', 'http://h:1'],
      token,
    );
    expect(await denied.ended).to.equal(1);
    expect(denied.err()).to.include('(forbidden)');
    await mcpctl('token', 'revoke', 'laptop');
    await until(
      async () => (await t.call('GET', '/api/v1/whoami', { token })).status,
      (status) => status === 401,
      5_000,
    );
    expect(await start(['get', 'llm'], token).ended).to.equal(4);
  });

  it('leaves with 4 when it is not authenticated, and says how to mend that', async () => {
    for (const token of [null, 'mcpctl_wrong']) {
      for (const args of [
        ['get', 'llm'],
        ['chat-llm', 'desk', '--message', 'hi'],
        ['task', 'list'],
      ]) {
        const run = start(args, token);
        expect(await run.ended, args.join(' ')).to.equal(4);
        expect(run.out()).to.equal('');
        expect(run.err()).to.include(token === null ? 'mcpctl login' : 'mcpctl token create');
      }
    }
  });

  it('says which llm was meant', async () => {
    const run = start(['chat-llm', 'dsek', '--message', 'hi']);
    expect(await run.ended).to.equal(1);
    expect(run.err())
      .to.include('(llm_not_found)')
      .and.to.match(/Did you mean .*desk/);
  });
});
