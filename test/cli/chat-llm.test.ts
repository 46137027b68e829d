import { expect } from 'chai';
import { llm, members, pool, task, taskId } from './fixtures.ts';
import { answers, delta, fails, page, startPeer, streams, until, within, type Peer } from './peer.ts';
import { startSession, type Session, type SessionOptions } from './session.ts';

const infer = 'POST /api/v1/llms/tiny-chat/infer';
const usage = { choices: [], usage: { prompt_tokens: 3, completion_tokens: 7, total_tokens: 10 } };
const hello = [
  delta({ role: 'assistant', content: '' }),
  delta({ content: 'Hel' }),
  delta({ content: 'lo' }),
  delta({}, 'stop'),
  usage,
  '[DONE]',
];

describe('cli: chat-llm, one message', () => {
  let peer: Peer;
  let s: Session;
  const fresh = async (options?: SessionOptions): Promise<void> => {
    await s.close();
    s = await startSession(peer.url, options);
  };
  const say = (...more: string[]): Promise<number> =>
    s.run('chat-llm', 'tiny-chat', '--message', 'hi', ...more);
  beforeEach(async () => {
    peer = await startPeer();
    peer.on(infer, streams(hello));
    s = await startSession(peer.url);
  });
  afterEach(async () => {
    await peer.close();
    await s.close();
  });

  it('streams the answer to stdout and nothing else', async () => {
    expect(await say()).to.equal(0);
    expect(s.out()).to.equal('Hello\n');
    expect(s.err()).to.equal('');
    expect(peer.requests[0]?.body).to.deep.equal({
      model: 'tiny-chat',
      messages: [{ role: 'user', content: 'hi' }],
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  it('hands on how to answer', async () => {
    expect(
      await say('--system', 'Be brief.', '--temperature', '0', '--max-tokens', '9', '--pin', 'tiny-2'),
    ).to.equal(0);
    expect(peer.requests[0]?.body).to.deep.include({
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'hi' },
      ],
      temperature: 0,
      max_tokens: 9,
    });
    expect(peer.requests[0]?.headers['x-mcpctl-pin']).to.equal('tiny-2');
  });

  it('writes each piece before the next has come', async () => {
    peer.on(infer, streams([delta({ content: 'Hel' })], { open: true }));
    const code = say();
    await until(() => s.out() === 'Hel', 'the first piece');
    s.interrupts.fire();
    expect(await code).to.equal(2);
  });

  it('takes the message from a pipe', async () => {
    s.stdin.end('from a\npipe\n');
    expect(await s.run('chat-llm', 'tiny-chat')).to.equal(0);
    expect(peer.requests[0]?.body?.['messages']).to.deep.equal([{ role: 'user', content: 'from a\npipe' }]);
    await fresh();
    s.stdin.end(' \n');
    expect(await s.run('chat-llm', 'tiny-chat')).to.equal(2);
    expect(s.err()).to.include('The message is empty');
  });

  it('prints an answer in one piece with --no-stream', async () => {
    const message = { role: 'assistant', content: 'Hello\n', reasoning_content: 'Hm.' };
    peer.on(infer, answers(200, { choices: [{ message, finish_reason: 'stop' }], usage: usage.usage }));
    expect(await say('--no-stream')).to.equal(0);
    expect(s.out()).to.equal('Hello\n');
    expect(s.err()).to.equal('Hm.\n');
    expect(peer.requests[0]?.body?.['stream']).to.equal(false);
  });

  it('prints the id of the task alone with --async', async () => {
    peer.on(infer, answers(202, task, { location: `/api/v1/tasks/${taskId}` }));
    expect(await say('--async')).to.equal(0);
    expect(s.out()).to.equal(`${taskId}\n`);
    expect(peer.requests[0]?.headers['prefer']).to.equal('respond-async');
  });

  it('shows the place in the queue on stderr, each once', async () => {
    const waiting = (mcpctl: object): unknown => ({ ...(delta({}) as object), mcpctl });
    const states = [
      { state: 'queued', position: 3 },
      { state: 'queued', position: 3 },
      { state: 'waking', seconds: 12 },
    ];
    peer.on(infer, streams([...states.map(waiting), ...hello]));
    expect(await say()).to.equal(0);
    expect(s.err()).to.equal('queued 3\nwaking 12 s\n');
    expect(s.out()).to.equal('Hello\n');
  });

  it('shows reasoning on stderr, dim where there is colour', async () => {
    const thinks = [delta({ reasoning_content: 'Well' }), delta({ reasoning: ', hm' })];
    peer.on(infer, streams([...thinks, ...hello]));
    await fresh({ colour: true });
    await say();
    expect(s.err()).to.equal('\u001b[2mWell\u001b[22m\u001b[2m, hm\u001b[22m\u001b[2m\n\u001b[22m');
    expect(s.out()).to.equal('Hello\n');
  });

  it('tells tokens per second on a terminal, and keeps the model’s control characters away from it', async () => {
    peer.on(
      infer,
      streams([
        delta({ content: 'a\u001b]0;title\u0007' }),
        delta({ content: 'b\u009b31m\r\n' }),
        usage,
        '[DONE]',
      ]),
    );
    await fresh({ tty: { stdout: true, stderr: true } });
    await say();
    expect(s.out()).to.equal('a]0;titleb31m\n');
    expect(s.err()).to.match(/^7 tokens, [\d.]+ per second, first after \d\.\d\d s\n$/);
    await fresh();
    await say();
    expect(s.out()).to.equal('a\u001b]0;title\u0007b\u009b31m\r\n');
  });

  it('keeps the bottom line of a terminal while it answers, and gives it back', async () => {
    await fresh({ tty: { stdout: true, stderr: true }, rows: 24 });
    await say();
    expect(s.err()).to.include('\u001b[1;23r').and.to.include('\u001b[24;1H\u001b[2K1 token');
    expect(s.err().lastIndexOf('\u001b[r')).to.be.greaterThan(s.err().lastIndexOf('\u001b[1;23r'));
    expect(s.terminal.leaving.size).to.equal(0);
    expect(s.out()).to.equal('Hello\n');
  });

  it('fails with what an error frame says, and names the task', async () => {
    peer.on(
      infer,
      streams([
        delta({ content: 'Hel' }),
        { error: { message: 'The worker was lost.', type: 'server_error', code: 'worker_lost' } },
      ]),
    );
    expect(await say()).to.equal(1);
    expect(s.out()).to.equal('Hel\n');
    expect(s.err()).to.equal('Error: The worker was lost. (worker_lost)\nIts task: task-1\n');
  });

  it('does not take a stream that just ends for an answer', async () => {
    peer.on(infer, streams([delta({ content: 'Hel' })]));
    expect(await say()).to.equal(1);
    expect(s.err()).to.include('ended before the answer was complete');
    peer.on(infer, streams(['{broken']));
    expect(await say()).to.equal(1);
    peer.on(infer, (response) => {
      response.write('data: ');
      setImmediate(() => response.destroy());
    });
    expect(await say()).to.equal(1);
  });

  it('fails with what the server says before the stream', async () => {
    peer.on(infer, fails(503, 'no_active_llm', 'No active Llm in pool.'));
    expect(await say()).to.equal(1);
    expect(s.err()).to.include('No active Llm in pool.');
  });

  it('says what the backend itself refused, in its own words', async () => {
    const tooLong = { error: { message: 'The prompt is too long.', type: 'invalid_request_error' } };
    for (const body of [tooLong, { error: 'The prompt is too long.' }]) {
      peer.on(infer, answers(400, body, { 'x-mcpctl-task-id': 'task-1' }));
      await fresh();
      expect(await say()).to.equal(1);
      expect(s.err()).to.include(
        'refused the request: The prompt is too long. (backend_rejected)\nIts task: task-1',
      );
    }
  });

  it('says that it is queued, not that it runs, and keeps signs of life out of an answer that has begun', async () => {
    const alive = { ...(delta({}) as object), mcpctl: { state: 'running' } };
    peer.on(
      infer,
      streams([
        { ...alive, mcpctl: { state: 'queued' } },
        alive,
        delta({ content: 'Hel' }),
        { ...alive, mcpctl: { state: 'still' } },
        ...hello.slice(2),
      ]),
    );
    expect(await say()).to.equal(0);
    expect(s.err()).to.equal('queued\n');
  });

  it('says when the answer was cut', async () => {
    peer.on(infer, streams([delta({ content: 'Hel' }, 'length'), '[DONE]']));
    expect(await say()).to.equal(0);
    expect(s.err()).to.include('cut');
  });

  it('closes the connection at Ctrl-C, before the first event and in the middle', async () => {
    for (const events of [[], [delta({ content: 'Hel' })]]) {
      const each = await startPeer();
      await s.close();
      s = await startSession(each.url);
      each.on(infer, events.length > 0 ? streams(events, { open: true }) : () => undefined);
      const code = say();
      await until(() => each.requests.length === 1 && (events.length === 0 || s.out() !== ''), 'the call');
      s.interrupts.fire();
      await within(each.left, 'the close');
      expect(await code).to.equal(2);
      await each.close();
    }
  });
});

describe('cli: chat-llm, a conversation', () => {
  let peer: Peer;
  let s: Session;
  let code: Promise<number>;
  const talk = async (line = ['tiny-chat']): Promise<void> => {
    s = await startSession(peer.url, { tty: { stdin: true, stdout: true, stderr: true } });
    code = s.run('chat-llm', ...line);
  };
  const prompts = (): number => s.err().split('> ').length - 1;
  const messagesOf = (n: number): unknown => inferences()[n]?.body?.['messages'];
  const inferences = (): Peer['requests'] => peer.requests.filter(({ method }) => method === 'POST');
  beforeEach(async () => {
    peer = await startPeer();
    peer.on('GET /api/v1/llms/tiny-chat', answers(200, llm));
    peer.on(infer, streams(hello));
  });
  afterEach(async () => {
    await peer.close();
    await s.close();
  });
  const q = (content: string) => ({ role: 'user', content });
  const a = (content: string) => ({ role: 'assistant', content });

  it('begins with a banner, remembers what was said, and ends at Ctrl-D', async () => {
    await talk();
    await until(() => s.err().includes('> '), 'the prompt');
    expect(s.err()).to.match(
      /^─+\nLLM: tiny-chat {2}openai → tiny-chat:0.1b\nKind: virtual\nStatus: active\n─+\n/,
    );
    s.stdin.write('one\r');
    await until(() => s.out() === 'Hello\n', 'the answer');
    await until(() => prompts() >= 2, 'the next prompt');
    s.stdin.write('two\r');
    await until(() => s.out() === 'Hello\nHello\n', 'the second answer');
    s.stdin.write('\u0004');
    expect(await within(code, 'the end')).to.equal(0);
    expect(messagesOf(1)).to.deep.equal([q('one'), a('Hello'), q('two')]);
  });

  it('takes lines that were pasted together as one message, and no empty one', async () => {
    await talk();
    await until(() => s.err().includes('> '), 'the prompt');
    s.stdin.write('\r');
    s.stdin.write('one\rtwo\r');
    await until(() => inferences().length === 1, 'the call');
    s.stdin.write('\u0004');
    expect(await within(code, 'the end')).to.equal(0);
    expect(messagesOf(0)).to.deep.equal([q('\none\ntwo')]);
  });

  it('stops the answer at Ctrl-C, keeps what came, and leaves at the next one', async () => {
    await talk();
    await until(() => s.err().includes('> '), 'the prompt');
    peer.on(infer, streams([delta({ content: 'Hel' })], { open: true }));
    s.stdin.write('one\r');
    await until(() => s.out() === 'Hel', 'the first piece');
    expect(s.interrupts.fire()).to.equal('taken');
    await within(peer.left, 'the close');
    await until(() => s.err().includes('Stopped') && prompts() >= 2, 'the next prompt');
    peer.on(infer, streams(hello));
    s.stdin.write('two\r');
    await until(() => s.out() === 'Hel\nHello\n', 'the second answer');
    expect(messagesOf(1)).to.deep.equal([q('one'), a('Hel'), q('two')]);
    await until(() => prompts() >= 3, 'the third prompt');
    s.stdin.write('\u0003');
    await until(() => s.err().includes('again'), 'the hint');
    s.stdin.write('\u0003');
    expect(await within(code, 'the end')).to.equal(2);
  });

  it('leaves at the Ctrl-C after the one that stopped an answer', async () => {
    await talk();
    await until(() => s.err().includes('> '), 'the prompt');
    peer.on(infer, streams([delta({ content: 'Hel' })], { open: true }));
    s.stdin.write('one\r');
    await until(() => s.out() === 'Hel', 'the first piece');
    s.interrupts.fire();
    await until(() => prompts() >= 2, 'the next prompt');
    s.stdin.write('\u0003');
    expect(await within(code, 'the end')).to.equal(2);
  });

  it('clears a half-typed line at Ctrl-C', async () => {
    await talk();
    await until(() => s.err().includes('> '), 'the prompt');
    s.stdin.write('never mind\u0003');
    s.stdin.write('one\r');
    await until(() => inferences().length === 1, 'the call');
    expect(messagesOf(0)).to.deep.equal([q('one')]);
    s.stdin.write('\u0004');
    expect(await within(code, 'the end')).to.equal(0);
  });

  it('says an error, forgets the question, and goes on', async () => {
    await talk();
    await until(() => s.err().includes('> '), 'the prompt');
    peer.on(infer, fails(503, 'no_active_llm', 'No active Llm.'));
    s.stdin.write('one\r');
    await until(() => s.err().includes('No active Llm. ') && prompts() >= 2, 'the error');
    peer.on(infer, streams(hello));
    s.stdin.write('two\r');
    await until(() => s.out() === 'Hello\n', 'the answer');
    expect(messagesOf(1)).to.deep.equal([q('two')]);
    s.stdin.write('\u0004');
    expect(await within(code, 'the end')).to.equal(0);
  });

  it('introduces a pool or an alias that is no llm’s name, and refuses an unknown name', async () => {
    peer.on('GET /api/v1/llms/big', fails(404, 'llm_not_found', 'There is no llm "big".'));
    peer.on('GET /api/v1/pools/big', answers(200, { ...pool, ...members, poolKey: 'big' }));
    await talk(['big']);
    await until(() => s.err().includes('> '), 'the prompt');
    expect(s.err()).to.include('LLM: big  pool → tiny-chat:0.1b').and.to.include('1 of 1 members active');
    s.stdin.write('\u0004');
    expect(await code).to.equal(0);
    peer.on('GET /api/v1/pools/big', fails(404, 'pool_not_found'));
    peer.on('GET /api/v1/llms', page([{ ...llm, aliases: ['large', 'big'] }]));
    await s.close();
    await talk(['big']);
    await until(() => s.err().includes('> '), 'the prompt');
    expect(s.err()).to.include('LLM: tiny-chat  openai');
    s.stdin.write('\u0004');
    expect(await code).to.equal(0);
    peer.on('GET /api/v1/llms', page([llm]));
    await s.close();
    await talk(['big']);
    expect(await code).to.equal(1);
    expect(s.err()).to.include('There is no llm "big". (llm_not_found)');
  });

  it('needs a message for --async', async () => {
    await talk(['tiny-chat', '--async']);
    expect(await code).to.equal(2);
    expect(peer.requests).to.have.length(0);
  });
});
