import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { chats, startBackend, type Backend } from '../support/backend.ts';
import { sseData } from '../support/sse.ts';
import { startSystem, until, type System } from '../support/system.ts';
import { programOf } from '../support/program.ts';

const ask = (content: string) => ({ messages: [{ role: 'user', content }], stream: true });

interface Chunk {
  choices: { delta: { content?: string | null } }[];
  mcpctl?: { state: string; position?: number };
}

describe('a caller who waits in the queue', function () {
  this.timeout(60_000);
  let t: System;
  let backend: Backend;
  before(async () => {
    t = await startSystem();
    backend = await startBackend();
    backend.reply(chats(['done'], { paced: true }));
    await t.startWorker([{ name: 'desk', maxConcurrency: 1, backend }]);
  });
  after(async () => {
    await t.close();
    await backend.close();
  });

  /** Calls, and collects what the stream says: states with their place, then the text. */
  async function call(content: string, path = '/api/v1/llms/desk/infer'): Promise<string[]> {
    const states: string[] = [];
    const body = { model: 'desk', ...ask(content) };
    const answer = await t.call('POST', path, { body });
    void (async () => {
      for await (const data of sseData(answer)) {
        if (data === '[DONE]') continue;
        const { mcpctl, choices } = JSON.parse(data) as Chunk;
        if (mcpctl) states.push([mcpctl.state, mcpctl.position].join(' ').trimEnd());
        const text = choices[0]?.delta.content;
        if (text) states.push(text);
      }
      states.push('end');
    })();
    return states;
  }
  const untilSaid = (states: () => string[], fits: (last: string | undefined) => boolean): Promise<unknown> =>
    until(async () => states().at(-1), fits, 6_000);
  /** Everybody before this one is in the queue. */
  const queued = (count: number): Promise<unknown> =>
    until(
      () => t.openTasks(),
      (open) => open === count,
    );

  it('hears its place after two seconds, and each time it has moved up: 3, 2, 1', async () => {
    const running = call('first');
    await backend.next('request');
    const others: Promise<string[]>[] = [];
    for (const name of ['second', 'third', 'fourth']) {
      others.push(call(name));
      await queued(others.length + 1);
    }
    const started = performance.now();
    const fourth = (await Promise.all(others))[2] ?? []; // their status is committed with the first place
    await untilSaid(
      () => fourth,
      (last) => last === 'queued 3',
    );
    expect(performance.now() - started).to.be.lessThan(3_500);
    for (const place of ['queued 2', 'queued 1']) {
      backend.release();
      await backend.next('request');
      await untilSaid(
        () => fourth,
        (last) => last === place,
      );
    }
    backend.release(2);
    await untilSaid(
      () => fourth,
      (last) => last === 'end',
    );
    const places = fourth.filter((word) => word !== 'running');
    expect(places).to.deep.equal(['queued 3', 'queued 2', 'queued 1', 'done', 'end']);
    await running;
    await queued(0);
  });

  it('is told by chat-llm on stderr, and nothing more once it runs', async () => {
    const home = await mkdtemp(join(tmpdir(), 'mcpctl-cli-'));
    const running = call('first');
    await backend.next('request');
    const second = call('second');
    await queued(2);
    const env = {
      PATH: process.env['PATH'] ?? '',
      MCPCTL_HOME: home,
      MCPCTL_SERVER: t.url,
      MCPCTL_TOKEN: t.token,
    };
    const cli = spawn(process.execPath, [programOf('cli'), 'chat-llm', 'desk', '--message', 'hi'], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    cli.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
    cli.stderr.on('data', (piece: Buffer) => (err += piece.toString()));
    const closed = once(cli, 'close');
    for (const place of ['queued 2\n', 'queued 2\nqueued 1\n']) {
      await until(
        async () => err,
        (state) => state === place,
      );
      backend.release();
      await backend.next('request');
    }
    // It runs now; what it is told of that changes nothing on stderr.
    backend.release();
    expect(await closed).to.deep.equal([0, null]);
    expect({ out, err }).to.deep.equal({ out: 'done\n', err: 'queued 2\nqueued 1\n' });
    await Promise.all([running, second]);
    await rm(home, { recursive: true });
  });

  it('keeps the chance of a real status at the other door', async () => {
    const running = call('first');
    await backend.next('request');
    let answered = false;
    const calling = call('second', '/v1/chat/completions');
    void calling.then(() => (answered = true));
    await queued(2);
    // Who came later, at the first door, has heard of its place by now.
    const third = await call('third');
    await untilSaid(
      () => third,
      (last) => last === 'queued 2',
    );
    expect(answered).to.equal(false);
    backend.release(3);
    const states = await calling;
    for (const all of [states, third])
      await untilSaid(
        () => all,
        (last) => last === 'end',
      );
    expect(states).to.deep.equal(['done', 'end']);
    await running;
  });
});
