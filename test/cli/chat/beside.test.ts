import { Writable } from 'node:stream';
import type { ServerResponse } from 'node:http';
import { expect } from 'chai';
import { answers, delta, page, startPeer, streams, until, within, type Peer } from '../peer.ts';
import { Screen } from '../screen.ts';
import { startSession, type Session, type SessionOptions } from '../session.ts';

const send = 'POST /api/v1/agents/reviewer/chat';
const threadId = '019a6f3e-0000-7000-8000-000000000001';
const place = { threadId, turn: 1, taskId: 'task-1' };
const agent = { name: 'reviewer', description: '', llm: 'tiny-chat', pool: 'tiny-chat', status: 'active' };
const cutWords = '(The backend cut the prompt silently; its answer knows only the end of this thread.)\n';
const placed = (says: Record<string, unknown>, more: object = {}): object => ({
  ...(delta(says) as object),
  mcpctl: { ...place, ...more },
});
const hello = (more: object = {}): unknown[] => [placed({ content: 'Hel' }, more), delta({ content: 'lo' })];
const whole = { ...place, assistant: 'Hello', turnIndex: 1, finishReason: 'stop', usage: null };
const ended = [delta({}, 'stop'), '[DONE]'];
/** As of a backend that counts with every chunk. */
const counted = {
  choices: [],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
  mcpctl: { backendTruncated: true },
};

describe("cli: what is told beside an agent's answer", () => {
  let peer: Peer;
  let s: Session;
  const fresh = async (options?: SessionOptions): Promise<void> => {
    await s.close();
    s = await startSession(peer.url, options);
  };
  beforeEach(async () => {
    peer = await startPeer();
    peer.on('GET /api/v1/agents/reviewer', answers(200, agent));
    peer.on(`GET /api/v1/threads/${threadId}/messages`, page([]));
    s = await startSession(peer.url);
  });
  afterEach(async () => {
    await peer.close();
    await s.close();
  });

  /** A conversation, of which all that is shown is in one text, in its order. */
  async function conversation(...more: string[]): Promise<(line: string, shows: string) => Promise<string>> {
    await fresh({ tty: { stdin: true, stdout: true, stderr: true } });
    let text = '';
    const screen = new Writable({
      write: (bytes: Buffer, _encoding, done) => ((text += bytes.toString()), done()),
    });
    [s.terminal.stdout, s.terminal.stderr] = [screen, screen];
    const code = s.run('chat', 'reviewer', ...more);
    await until(() => text.includes('> '), 'the prompt');
    return async (line, shows) => {
      const from = text.length;
      s.stdin.write(line);
      if (line === '\u0004') expect(await within(code, 'the end')).to.equal(0);
      else await until(() => text.slice(from).includes(shows), shows);
      return text.slice(from);
    };
  }

  it('says in a conversation how many older turns are left out, before the answer, and again once that is another number', async () => {
    for (const how of [[], ['--no-stream']]) {
      const leaves = (leftOut: number): void => {
        const limit = { leftOut, contextLength: 4096 };
        const reply = [...hello(limit), ...ended];
        peer.on(send, how.length > 0 ? answers(200, { ...whole, ...limit }) : streams(reply));
      };
      leaves(4);
      const says = await conversation(...how);
      expect(await says('one\r', 'Hello')).to.include(
        '(4 older turns are left out: 4096 tokens is the limit.)\nHello',
      );
      expect(await says('two\r', 'Hello')).to.not.include('left out');
      leaves(1);
      expect(await says('three\r', 'Hello')).to.include(
        '(An older turn is left out: 4096 tokens is the limit.)\nHello',
      );
      await says('\u0004', '');
    }
  });

  it('says once, on a line of its own, that a backend has cut the prompt: in a conversation and of one message', async () => {
    for (const how of [[], ['--no-stream']]) {
      const reply = streams([...hello(), counted, counted, ...ended]);
      peer.on(send, how.length > 0 ? answers(200, { ...whole, backendTruncated: true }) : reply);
      const says = await conversation(...how);
      const shown = await says('one\r', 'of this thread.)\n');
      expect(shown).to.include(`Hello\n${cutWords}`);
      expect(await says('\u0004', '')).to.not.include('silently');
      await fresh();
      expect(await s.run('chat', 'reviewer', '-m', 'hi', ...how)).to.equal(0);
      expect([s.out(), s.err()]).to.deep.equal(['Hello\n', `${cutWords}thread: ${threadId}\n`]);
    }
    await fresh();
    expect(await s.run('chat', 'reviewer', '-m', 'hi', '-o', 'json')).to.equal(0);
    expect(JSON.parse(s.out())).to.include({ backendTruncated: true });
    expect(s.err()).to.equal(`${cutWords}thread: ${threadId}\n`);
  });

  /** An agent that answers at a terminal of that size; what it says is said by the test. */
  async function answering(rows: number, columns = 20) {
    await fresh({ tty: { stdout: true, stderr: true }, rows });
    const screen = new Screen(rows, columns);
    [s.terminal.stdout, s.terminal.stderr] = [screen.stream(), screen.stream()];
    s.terminal.size = () => ({ columns, rows: screen.rows });
    const response = new Promise<ServerResponse>((resolve) =>
      peer.on(send, (its) => {
        its.writeHead(200, { 'content-type': 'text/event-stream', 'x-mcpctl-task-id': 'task-1' });
        resolve(its);
      }),
    );
    const code = s.run('chat', 'reviewer', '-m', 'hi');
    const its = await within(response, 'the call');
    const tell = (chunk: unknown): void =>
      void its.write(`data: ${typeof chunk === 'string' ? chunk : JSON.stringify(chunk)}\n\n`);
    return {
      screen,
      says: async (content: string) => {
        tell(placed({ content }));
        const last = content.trimEnd().split('\n').at(-1) ?? '';
        await until(() => screen.seen().some((line) => line.endsWith(last)), content);
      },
      waits: async (state: string, shows: string) => {
        tell({ ...(delta({}) as object), mcpctl: { state } });
        await until(() => screen.seen().includes(shows), state);
      },
      ends: async () => {
        for (const chunk of ended) tell(chunk);
        its.end();
        expect(await within(code, 'the end')).to.equal(0);
        expect(s.terminal.leaving.size).to.equal(0);
        return screen.seen();
      },
    };
  }
  const lines = Array.from({ length: 16 }, (_, n) => `line ${n + 1}`);
  const closing = [/^\d+ tokens?, /, /^thread: /];

  it('keeps the bottom line below the answer, and loses nothing of it, whatever becomes of the size of the terminal', async () => {
    const { screen, says, waits, ends } = await answering(14, 60);
    await waits('queued', 'queued');
    expect(screen.bottom()).to.equal('queued');
    await says(`${lines.join('\n')}\nmid`);
    // The last line is now the answer's.
    screen.resize(8);
    await waits('slow', 'slow');
    expect(screen.bottom()).to.equal('slow');
    await says('dle\n你好，世界\ntail');
    screen.resize(12);
    await waits('slower', 'slower');
    expect(screen.bottom()).to.equal('slower');
    await says(' of it\nand');
    // Nothing is drawn anew in this one.
    screen.resize(6);
    await says(' more');
    const shown = await ends();
    const answer = [...lines, 'middle', '你好，世界', 'tail of it', 'and more'];
    expect(shown.slice(0, answer.length)).to.deep.equal(answer);
    expect(shown).to.have.length(answer.length + closing.length);
    closing.forEach((pattern, at) => expect(shown[answer.length + at]).to.match(pattern));
  });

  it('cuts the bottom line by what characters take, has it in five rows, and gives it back where there are fewer', async () => {
    const { screen, says, waits, ends } = await answering(5);
    await waits('你好'.repeat(10), `${'你好'.repeat(4)}你…`);
    expect(screen.bottom()).to.equal(`${'你好'.repeat(4)}你…`);
    await says('one\ntwo\nthree\nfour\nfive\nsix');
    screen.resize(4);
    await says(' and');
    await waits('slow', 'six and');
    await says(' on\nseven\neight');
    const shown = await ends();
    const answer = ['one', 'two', 'three', 'four', 'five', 'six and on', 'seven', 'eight'];
    expect(shown.slice(0, answer.length)).to.deep.equal(answer);
    const small = await answering(4);
    await small.waits('queued', 'queued');
    await small.says('Hello');
    expect((await small.ends()).slice(0, 2)).to.deep.equal(['queued', 'Hello']);
  });

  it('writes no escape into a pipe, be it of stdout or of stderr, and no colour where none is wanted', async () => {
    const waiting = { ...(delta({}) as object), mcpctl: { state: 'queued', position: 3 } };
    const thinks = placed({ reasoning_content: 'Hm.' });
    peer.on(send, streams([waiting, thinks, delta({ content: '**Hello**' }), ...ended]));
    const at = async (stdout: boolean, stderr: boolean, colour: boolean): Promise<[string, string]> => {
      await fresh({ tty: { stdout, stderr }, rows: 24 });
      s.terminal.colour = { stdout: stdout && colour, stderr: stderr && colour };
      expect(await s.run('chat', 'reviewer', '-m', 'hi', '--markdown')).to.equal(0);
      return [s.out(), s.err()];
    };
    const piped = ['**Hello**\n', `queued 3\nHm.\nthread: ${threadId}\n`];
    expect(await at(false, false, true)).to.deep.equal(piped);
    const [, toOne] = await at(false, true, true);
    expect(s.out()).to.equal(piped[0]);
    expect(toOne)
      .to.include('\u001b[2mHm.')
      .and.to.not.match(/\u001b[78]/);
    const [, other] = await at(true, false, true);
    expect(other).to.equal(piped[1]);
    expect(s.out()).to.equal('\u001b[1mHello\u001b[22m\n');
    const [out, err] = await at(true, true, false);
    expect(out).to.equal(piped[0]);
    expect(err)
      .to.include('\u001b[1;23r')
      .and.to.not.match(/\u001b\[[\d;]*m/);
  });
});
