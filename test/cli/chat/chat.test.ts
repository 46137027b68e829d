import { expect } from 'chai';
import { answers, delta, page, startPeer, streams, until, within, type Peer } from '../peer.ts';
import { startSession, type Session } from '../session.ts';

const send = 'POST /api/v1/agents/reviewer/chat';
const threadId = '019a6f3e-0000-7000-8000-000000000001';
const place = { threadId, turn: 1, taskId: 'task-1' };
const first = { ...(delta({ content: 'Hel' }) as object), mcpctl: place };
const hello = [first, delta({ content: 'lo' }), delta({}, 'stop'), '[DONE]'];
const seen = { id: threadId, title: 'One', turns: 1, openTurn: null, lastTurnAt: '2026-11-29T08:00:00.000Z' };
const agent = { name: 'reviewer', description: '', llm: 'tiny-chat', pool: 'tiny-chat', status: 'active' };
const turn = {
  ...{ threadId, turn: 1, status: 'running', taskId: 'task-1', inContext: false, error: null },
  ...{ createdAt: seen.lastTurnAt, endedAt: null },
};

describe('cli: chat', () => {
  let peer: Peer;
  let s: Session;
  let code: Promise<number>;
  const sent = (): Peer['requests'] =>
    peer.requests.filter(({ method, url }) => method === 'POST' && url.endsWith('/chat'));
  const talk = async (...line: string[]): Promise<void> => {
    await s.close();
    s = await startSession(peer.url, { tty: { stdin: true, stdout: true, stderr: true } });
    code = s.run('chat', 'reviewer', ...line);
    await until(() => s.err().includes('> '), 'the prompt');
  };
  const prompts = (): number => s.err().split('\u001b[1G> ').length + s.err().split('\n> ').length;
  const ends = async (): Promise<void> => {
    s.stdin.write('\u0004');
    expect(await within(code, 'the end')).to.equal(0);
  };
  beforeEach(async () => {
    peer = await startPeer();
    peer.on(send, streams(hello));
    peer.on('GET /api/v1/agents/reviewer', answers(200, agent));
    peer.on('GET /api/v1/agents/reviewer/threads', page([seen]));
    peer.on(`GET /api/v1/threads/${threadId}`, answers(200, seen));
    peer.on(`GET /api/v1/threads/${threadId}/messages`, page([]));
    peer.on(`DELETE /api/v1/threads/${threadId}/turns/1`, answers(200, { ...turn, status: 'cancelled' }));
    s = await startSession(peer.url);
  });
  afterEach(async () => {
    await peer.close();
    await s.close();
  });

  it('sends parameters, a personality and what to do where it is busy, and prints one object', async () => {
    const whole = { ...place, assistant: 'Hello', turnIndex: 1, finishReason: 'stop', usage: null };
    peer.on(send, answers(200, whole));
    const params = ['--param', 'top_p=0.9', '--param', 'user_tag=x'];
    const how = ['--personality', 'none', '--on-busy', 'reject', '-o', 'json'];
    expect(await s.run('chat', 'reviewer', '-m', 'hi', ...params, ...how)).to.equal(0);
    expect(JSON.parse(s.out())).to.include({ assistant: 'Hello', threadId });
    expect(sent()[0]?.body).to.deep.equal({
      ...{ message: 'hi', personality: '', onBusy: 'reject', stream: false },
      params: { top_p: 0.9, user_tag: 'x' },
    });
    expect(await s.run('chat', 'reviewer', '-m', 'hi', '--param', 'nonsense')).to.equal(2);
  });

  it('says a system prompt of its own, and that nothing may be left out; an ephemeral thread is made to end, and deleted', async () => {
    peer.on('POST /api/v1/agents/reviewer/threads', answers(201, seen));
    peer.on(`DELETE /api/v1/threads/${threadId}`, answers(204, null));
    const about = {
      agent: 'reviewer',
      llm: 'desk',
      pool: 'qwen',
      pinMode: 'pool',
      personality: null,
      bytes: 9,
    };
    peer.on('POST /api/v1/agents/reviewer/compose', answers(200, { ...about, pieces: [] }));
    const how = ['--system', 'You sing.', '--truncation', 'disabled', '--ephemeral'];
    expect(await s.run('chat', 'reviewer', '-m', 'hi', ...how)).to.equal(0);
    expect(sent()[0]?.body).to.deep.include({ system: 'You sing.', truncation: 'disabled', threadId });
    const made = peer.requests.find(({ url }) => url.endsWith('/agents/reviewer/threads'));
    const { expiresAt } = made?.body as { expiresAt: string };
    expect(Date.parse(expiresAt) - Date.now()).to.be.within(23 * 3_600_000, 25 * 3_600_000);
    expect(peer.requests.at(-1)).to.include({ method: 'DELETE', url: `/api/v1/threads/${threadId}` });
    expect(s.err()).to.not.include('thread:');
    for (const other of [['--thread', threadId], ['--continue'], ['--async']])
      expect(await s.run('chat', 'reviewer', '-m', 'hi', '--ephemeral', ...other), other[0]).to.equal(2);
    const before = peer.requests.length;
    await talk('--ephemeral', '--system', 'none');
    s.stdin.write('hi\r');
    await until(() => s.out().includes('Hello\n'), 'the answer');
    s.stdin.write('/system You hum.\r');
    await until(
      () => s.err().includes('System message') || s.err().includes('system message'),
      'what it is made of',
    );
    await ends();
    const asked = peer.requests.slice(before);
    expect(asked.find(({ url }) => url.endsWith('/chat'))?.body).to.deep.include({ system: '' });
    expect(asked.find(({ url }) => url.endsWith('/compose'))?.body).to.deep.include({ system: '' });
    expect(asked.findLast(({ url }) => url.endsWith('/compose'))?.body).to.deep.include({
      system: 'You hum.',
    });
    expect(asked.at(-1)).to.include({ method: 'DELETE' });
    expect(s.err()).to.not.include('resume:');
  });

  const called = { id: 'a', name: 'files__read', server: 'files', taskId: 'task-7', code: null };

  it('tells of each call that the server runs when it begins and when it has ended, once', async () => {
    const tells = (...calls: object[]): object => ({
      ...(delta({}) as object),
      mcpctl: { state: 'waiting', calls },
    });
    const runs = { ...called, status: 'running', ms: null };
    const ended = { ...called, status: 'ended', ms: 12 };
    const other = { ...ended, taskId: 'task-8', code: 'outcome_unknown' };
    const pieces = [tells(runs), tells(runs), tells(ended, other), delta({ content: 'Done.' })];
    peer.on(
      send,
      streams([{ ...(delta({}) as object), mcpctl: place }, ...pieces, delta({}, 'stop'), '[DONE]']),
    );
    expect(await s.run('chat', 'reviewer', '-m', 'hi')).to.equal(0);
    expect(s.out()).to.equal('Done.\n');
    const lines = s
      .err()
      .split('\n')
      .filter((line) => /^[→←]/.test(line));
    expect(lines).to.deep.equal([
      '→ files__read',
      '← files__read: 12 ms',
      '→ files__read',
      '← files__read: outcome_unknown, 12 ms',
    ]);
  });

  it('shows Markdown on a terminal, a line once it is whole, and into a pipe as it came', async () => {
    const said = '# Plan\n- **do** `x`\n```sh\nls **a**\n```\nplain 2*3*4';
    const pieces = [...said].map((piece) => delta({ content: piece }));
    peer.on(
      send,
      streams([{ ...(pieces[0] as object), mcpctl: place }, ...pieces.slice(1), delta({}, 'stop'), '[DONE]']),
    );
    expect(await s.run('chat', 'reviewer', '-m', 'hi', '--markdown')).to.equal(0);
    expect(s.out()).to.equal(`${said}\n`);
    await s.close();
    s = await startSession(peer.url, {
      tty: { stdin: false, stdout: true, stderr: true },
      colour: true,
    });
    expect(await s.run('chat', 'reviewer', '-m', 'hi', '--markdown')).to.equal(0);
    const [bold, yellow, dim] = [
      (t: string) => `\u001b[1m${t}\u001b[22m`,
      (t: string) => `\u001b[33m${t}\u001b[39m`,
      (t: string) => `\u001b[2m${t}\u001b[22m`,
    ];
    expect(s.out().split('\n')).to.deep.equal([
      bold('Plan'),
      `• ${bold('do')} ${yellow('x')}`,
      dim('```sh'),
      yellow('ls **a**'),
      dim('```'),
      'plain 2*3*4',
      '',
    ]);
  });

  it('makes and changes threads, and tells of what a turn was made', async () => {
    peer.on('POST /api/v1/agents/reviewer/threads', answers(201, seen));
    const messages = [
      { role: 'system', content: 'S' },
      { role: 'user', content: 'a' },
    ];
    s.stdin.end(JSON.stringify({ title: 'Told', messages }));
    expect(await s.run('create', 'thread', '--agent', 'reviewer', '--from', '-')).to.equal(0);
    expect(s.out()).to.equal(`thread/${threadId} created\n`);
    expect(peer.requests.find(({ method }) => method === 'POST')?.body).to.deep.equal({
      title: 'Told',
      messages: [{ role: 'user', content: 'a' }],
    });
    const made = {
      ...{
        revision: 3,
        llm: 'desk',
        pool: 'qwen',
        personality: null,
        toolsLeft: ['write'],
        bytes: 10,
        turns: 4,
      },
      ...{ leftOut: 2, contextLength: 4096, expected: 900, isShorter: true, params: ['seed'] },
      pieces: [{ source: 'agent prompt', id: 'p', name: 'style', revision: 7, priority: 700, bytes: 6 }],
    };
    const answer = {
      taskId: 'task-1',
      turnIndex: 1,
      status: 'complete',
      servedBy: 'rack',
      usage: null,
      finishReason: 'stop',
    };
    const detail = {
      ...{ ...turn, status: 'completed', supersedes: null, triesAgain: 1, triedAgainBy: null },
      answers: [
        {
          ...answer,
          attempts: [{ llm: 'desk', reason: 'worker_lost' }],
          made,
          serverCalls: [{ ...called, status: 'ended', ms: 12 }],
        },
      ],
    };
    peer.on(`GET /api/v1/threads/${threadId}/turns/2`, answers(200, detail));
    expect(await s.run('describe', 'thread', threadId, '--turn', '2')).to.equal(0);
    for (const words of [
      'turn 1',
      'rack',
      'desk: worker_lost',
      'style, priority 700, revision 7',
      '4 told of, 2 left out',
      'write',
      'called files__read: ok, 12 ms, server files, task task-7',
    ])
      expect(s.out()).to.include(words);
  });

  it('tries again, takes back, copies and names what was said', async () => {
    peer.on(`POST /api/v1/threads/${threadId}/turns/1/retry`, streams(hello));
    peer.on(`POST /api/v1/threads/${threadId}/turns/1/continue`, streams(hello));
    peer.on(`POST /api/v1/threads/${threadId}/fork`, answers(201, seen));
    peer.on(`PATCH /api/v1/threads/${threadId}`, answers(200, seen));
    const message = { role: 'assistant', content: 'x', status: 'complete', turn: 1 };
    peer.on(`GET /api/v1/threads/${threadId}/messages`, page([message]));
    await talk('--thread', threadId);
    const steps: [string, () => boolean][] = [
      ['/retry rack', () => s.out() === 'Hello\n'],
      ['/continue', () => s.out() === 'Hello\nHello\n'],
      ['/undo', () => s.err().includes('Turn 1 is told of no more')],
      ['/fork', () => s.err().includes(`thread: ${threadId}`)],
      ['/title Better', () => peer.requests.some(({ method }) => method === 'PATCH')],
    ];
    for (const [line, isDone] of steps) {
      s.stdin.write(`${line}\r`);
      await until(isDone, line);
    }
    await ends();
    const calls = peer.requests.map(({ method, url, body }) => `${method} ${url} ${JSON.stringify(body)}`);
    expect(calls.join('\n'))
      .to.include('/turns/1/retry {"stream":true,"pin":"rack"}')
      .and.to.include('/turns/1/continue {"stream":true}')
      .and.to.include('/turns/1?drop=true')
      .and.to.include('/fork {}')
      .and.to.include('{"title":"Better"}');
  });

  it('sends one message under a key, prints the answer alone on stdout, and says the thread, in one spelling', async () => {
    expect(
      await s.run('chat', 'reviewer', '-m', 'hi', '--temperature', '0', '--system-append', 'Brief.'),
    ).to.equal(0);
    expect(s.out()).to.equal('Hello\n');
    expect(s.err()).to.equal(`thread: ${threadId}\n`);
    const [streamed] = sent();
    expect(streamed?.headers['idempotency-key']).to.match(/^[\da-f-]{36}$/);
    expect(streamed?.body).to.deep.equal({
      message: 'hi',
      systemAppend: 'Brief.',
      params: { temperature: 0, stream_options: { include_usage: true } },
      stream: true,
    });
    const whole = { ...place, assistant: 'Hello', turnIndex: 1, finishReason: 'stop', usage: null };
    peer.on(send, answers(200, whole));
    expect(await s.run('chat', 'reviewer', '-m', 'hi', '--no-stream', '--continue')).to.equal(0);
    expect(sent()[1]?.body).to.include({ threadId, stream: false });
    peer.on(send, answers(202, turn));
    expect(await s.run('chat', 'reviewer', '-m', 'hi', '--async', '--thread', '019a6f')).to.equal(0);
    expect(sent()[2]?.headers).to.include({ prefer: 'respond-async' });
    expect(s.out()).to.equal('Hello\nHello\ntask-1\n');
    expect(s.err()).to.equal(`thread: ${threadId}\n`.repeat(3));
    expect(await s.run('chat', 'reviewer', '-m', 'hi', '--thread', 'ffff')).to.equal(1);
    expect(s.err()).to.include('begins with "ffff"');
  });

  it('takes a broken answer up where it broke off, without a doubled word', async () => {
    peer.on(send, (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'x-mcpctl-task-id': 'task-1' });
      response.write(`id: 1-1\ndata: ${JSON.stringify(first)}\n\n`, () => response.destroy());
    });
    peer.on('GET /api/v1/tasks/task-1/stream', (response, { url }) => {
      expect(url).to.include('after=1-1');
      return streams(hello.slice(1))(response, peer.requests[0] ?? expect.fail('no request'));
    });
    expect(await s.run('chat', 'reviewer', '-m', 'hi')).to.equal(0);
    expect(s.out()).to.equal('Hello\n');
    expect(s.err()).to.equal(`thread: ${threadId}\n`);
  });

  it('goes on in one thread, and says how to come back', async () => {
    await talk();
    expect(s.err()).to.include(
      'Agent: reviewer\nLLM: tiny-chat → pool tiny-chat (active)\nThread: a new one; ',
    );
    s.stdin.write('one\r');
    await until(() => s.out() === 'Hello\n', 'the answer');
    const before = prompts();
    s.stdin.write('two\r');
    await until(() => s.out() === 'Hello\nHello\n' && prompts() >= before, 'the second answer');
    expect(sent().map(({ body }) => [body?.['message'], body?.['threadId']])).to.deep.equal([
      ['one', undefined],
      ['two', threadId],
    ]);
    s.stdin.write('/threads\r');
    await until(() => s.err().includes(`* 1  ${threadId}  1 turn  One`), 'the list');
    s.stdin.write('/new\r');
    await until(() => s.err().includes('A new thread begins'), 'the word');
    s.stdin.write(`/resume ${threadId}\r`);
    await ends();
    expect(s.err()).to.include(`resume: mcpctl chat reviewer --thread ${threadId}`);
  });

  it('shows who comes back what was said, and the answer that is under way', async () => {
    const message = { status: 'complete', turn: 1, role: 'user', content: 'and then?' };
    peer.on(`GET /api/v1/threads/${threadId}/messages`, page([message]));
    const open = { ...seen, openTurn: { n: 1, status: 'running', taskId: 'task-1' } };
    peer.on(`GET /api/v1/threads/${threadId}`, answers(200, open));
    peer.on('GET /api/v1/tasks/task-1/stream', streams(hello));
    await talk('--continue');
    await until(() => s.out() === 'Hello\n', 'the rest of the answer');
    expect(s.err()).to.include(`Thread: ${threadId}`).and.to.include('> and then?');
    await ends();
  });

  it('stops the answer to one message on the server at Ctrl-C too, streamed and whole, and leaves with 2', async () => {
    const cancels = (): number => peer.requests.filter(({ method }) => method === 'DELETE').length;
    peer.on(send, streams([first], { open: true }));
    const streaming = s.run('chat', 'reviewer', '-m', 'hi');
    await until(() => s.out() === 'Hel', 'the first piece');
    expect(s.interrupts.fire()).to.equal('taken');
    expect(await within(streaming, 'the end')).to.equal(2);
    expect([cancels(), s.err()]).to.deep.equal([1, `thread: ${threadId}\nCancelled.\n`]);
    // Of one that is not streamed nothing is known yet but the key.
    peer.on(send, (response, request) => {
      if (request.headers['prefer']) return answers(202, turn)(response, request);
    });
    const whole = s.run('chat', 'reviewer', '-m', 'hi', '--no-stream');
    await until(() => sent().length === 2, 'the call');
    s.interrupts.fire();
    expect(await within(whole, 'the end')).to.equal(2);
    const [, asked, again] = sent();
    expect(again?.headers['idempotency-key']).to.equal(asked?.headers['idempotency-key']);
    expect(cancels()).to.equal(2);
  });

  it('stops an answer on the server at Ctrl-C, also one of which nothing has come yet', async () => {
    await talk();
    peer.on(send, streams([first], { open: true }));
    s.stdin.write('one\r');
    await until(() => s.out() === 'Hel', 'the first piece');
    expect(s.interrupts.fire()).to.equal('taken');
    await until(() => s.err().includes('Stopped'), 'the word');
    const cancels = (): number => peer.requests.filter(({ method }) => method === 'DELETE').length;
    expect(cancels()).to.equal(1);
    peer.on(send, (response, request) => {
      if (request.headers['prefer']) return answers(202, turn)(response, request);
    });
    s.stdin.write('two\r');
    await until(() => sent().length === 2, 'the call');
    s.interrupts.fire();
    await until(() => cancels() === 2, 'the cancel');
    const [, asked, again] = sent();
    expect(again?.body).to.deep.equal(asked?.body);
    expect(again?.headers['idempotency-key']).to.equal(asked?.headers['idempotency-key']);
    await until(() => s.err().split('Stopped').length === 3, 'the word');
    await ends();
  });
});
