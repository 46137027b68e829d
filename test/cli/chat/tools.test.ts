import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { answers, delta, page, startPeer, streams, until, within, type Peer } from '../peer.ts';
import { startSession, type Session } from '../session.ts';

const threadId = '019a6f3e-0000-7000-8000-000000000001';
const turns = `/api/v1/threads/${threadId}/turns/1`;
const place = { threadId, turn: 1, taskId: 'task-1' };
const weather = { id: 'c0', name: 'weather', arguments: '{"city":"Zürich","n":12345678901234567890}' };
const clock = { id: 'c1', name: 'clock', arguments: '{}' };
const calling = [
  { ...(delta({ tool_calls: [{ index: 0, id: 'c0' }] }) as object), mcpctl: place },
  delta({}, 'tool_calls'),
  '[DONE]',
];
const answer = [delta({ content: 'Rain.' }), delta({}, 'stop'), '[DONE]'];
const turn = { threadId, turn: 1, status: 'waiting', taskId: 'task-1' };
const agent = { name: 'reviewer', description: '', llm: 'tiny-chat', pool: 'tiny-chat', status: 'active' };
const seen = { id: threadId, title: 'One', turns: 1, openTurn: null, lastTurnAt: '2026-11-29T08:00:00.000Z' };
const asked = { turn: 1, role: 'user', content: 'weather?', status: 'complete' };
const called = { turn: 1, role: 'assistant', content: '', status: 'complete' };

describe('cli: tools in a conversation', () => {
  let peer: Peer;
  let s: Session;
  let folder: string;
  const posts = (path: string): unknown[] =>
    peer.requests
      .filter(({ method, url }) => method === 'POST' && url.startsWith(path))
      .map(({ body }) => body);
  const results = (): unknown[] => posts(`${turns}/tool-results`);
  const waitsFor = (...toolCalls: (typeof weather)[]): void => {
    peer.on(`GET /api/v1/threads/${threadId}/messages`, page([asked, { ...called, toolCalls }]));
  };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mcpctl-tools-'));
    peer = await startPeer();
    peer.on('POST /api/v1/agents/reviewer/chat', streams(calling));
    peer.on(`POST ${turns}/tool-results`, streams(answer));
    peer.on('GET /api/v1/agents/reviewer', answers(200, agent));
    peer.on(`GET /api/v1/threads/${threadId}`, answers(200, seen));
    peer.on(`GET ${turns}`, answers(200, turn));
    waitsFor(weather);
    s = await startSession(peer.url);
  });
  afterEach(async () => {
    await s.close();
    await peer.close();
    await rm(folder, { recursive: true, force: true });
  });
  const once = (...line: string[]): Promise<number> => s.run('chat', 'reviewer', '-m', 'weather?', ...line);

  it('are run here, their arguments as the model wrote them on stdin, and the answer goes on with what they say', async () => {
    const given = join(folder, 'given');
    const code = await once('--tool', `weather=cat > '${given}'; echo 12 degrees`, '--yes-tools');
    expect(code, s.err()).to.equal(0);
    expect(await readFile(given, 'utf8')).to.equal(weather.arguments);
    expect(results()).to.deep.equal([[{ tool_call_id: 'c0', content: '12 degrees\n' }]]);
    expect(s.out()).to.equal('Rain.\n');
    expect(s.err()).to.include(`→ weather ${weather.arguments}\n`).and.to.include(`thread: ${threadId}`);
    const [sent] = posts('/api/v1/agents/reviewer/chat') as { tools: { function: { name: string } }[] }[];
    expect(sent?.tools.map(({ function: { name } }) => name)).to.deep.equal(['weather']);
  });

  it('are described by a file, run whole as well, and what fails is told to the model', async () => {
    const file = join(folder, 'tools.json');
    const described = { type: 'function', function: { name: 'weather', parameters: { type: 'object' } } };
    await writeFile(file, JSON.stringify([described]));
    const whole = { ...place, assistant: '', turnIndex: 1, finishReason: 'stop', usage: null };
    peer.on('POST /api/v1/agents/reviewer/chat', answers(200, { ...whole, toolCalls: [weather] }));
    peer.on(`POST ${turns}/tool-results`, answers(200, { ...whole, assistant: 'Rain.' }));
    const how = ['--tools', file, '--tool', 'weather=echo no; exit 3', '--yes-tools', '-o', 'json'];
    expect(await once(...how), s.err()).to.equal(0);
    expect(JSON.parse(s.out())).to.include({ assistant: 'Rain.', threadId });
    expect(results()).to.deep.equal([
      [{ tool_call_id: 'c0', content: 'The tool failed (exit code 3).\nno\n' }],
    ]);
    expect(posts('/api/v1/agents/reviewer/chat')[0]).to.deep.include({ tools: [described] });
  });

  it('are refused where they could not be asked for, or are no tools, before anything is sent', async () => {
    expect(await once('--tool', 'weather=echo')).to.equal(2);
    expect(s.err()).to.include('--yes-tools');
    expect(await once('--tool', 'nonsense', '--yes-tools')).to.equal(2);
    const file = join(folder, 'tools.json');
    await writeFile(file, '{"a":1}');
    expect(await once('--tools', file)).to.equal(2);
    expect(s.err()).to.include('must be a JSON list like');
    expect(peer.requests).to.deep.equal([]);
  });

  it('that nobody runs leave the turn waiting, and say so', async () => {
    expect(await once(), s.err()).to.equal(0);
    expect(s.err()).to.include('→ weather').and.to.include('waits for a result');
    expect(results()).to.deep.equal([]);
  });

  describe('with a person', () => {
    let code: Promise<number>;
    const talk = async (...line: string[]): Promise<void> => {
      await s.close();
      s = await startSession(peer.url, { tty: { stdin: true, stdout: true, stderr: true } });
      code = s.run('chat', 'reviewer', ...line);
    };
    const ends = async (): Promise<void> => {
      s.stdin.write('\u0004');
      expect(await within(code, 'the end')).to.equal(0);
    };
    const untilShown = (words: string): Promise<void> => until(() => s.err().includes(words), words);

    it('are asked for before they run; for others the person says the result', async () => {
      waitsFor(weather, clock);
      await talk('--tool', 'weather=echo sun');
      await untilShown('> ');
      s.stdin.write('weather?\r');
      await untilShown('run echo sun? [y/N] ');
      s.stdin.write('y\r');
      await untilShown('result of clock, or skip: ');
      s.stdin.write('noon\r');
      await until(() => s.out() === 'Rain.\n', 'the answer');
      expect(results()).to.deep.equal([
        [
          { tool_call_id: 'c0', content: 'sun\n' },
          { tool_call_id: 'c1', content: 'noon' },
        ],
      ]);
      await ends();
    });

    it('that are skipped are done without: what is given is kept, and what is said next ends the turn', async () => {
      waitsFor(weather, clock);
      const still = { ...turn, missing: ['c1'], inContext: true, error: null };
      peer.on(`POST ${turns}/tool-results`, answers(200, still));
      await talk('--tool', 'weather=echo sun', '--yes-tools');
      await untilShown('> ');
      s.stdin.write('weather?\r');
      await untilShown('result of clock, or skip: ');
      s.stdin.write('skip\r');
      await untilShown('waits for a result');
      expect(results()).to.deep.equal([[{ tool_call_id: 'c0', content: 'sun\n' }]]);
      peer.on('POST /api/v1/agents/reviewer/chat', streams(answer));
      s.stdin.write('never mind\r');
      await until(() => s.out() === 'Rain.\n', 'the answer');
      expect(posts('/api/v1/agents/reviewer/chat')[1]).to.include({ onPending: 'abandon', threadId });
      await ends();
    });

    it('that a turn waits for are run for who comes back to it, whoever began it', async () => {
      const openTurn = { n: 1, status: 'waiting', taskId: 'task-1' };
      peer.on(`GET /api/v1/threads/${threadId}`, answers(200, { ...seen, openTurn }));
      await talk('--thread', threadId, '--tool', 'weather=echo sun', '--yes-tools');
      await until(() => s.out() === 'Rain.\n', 'the answer');
      expect(results()).to.have.length(1);
      await ends();
    });

    it('end with all that they have begun at Ctrl-C, which leaves the turn waiting', async () => {
      const pid = join(folder, 'pid');
      await talk(
        '--tool',
        `weather=sh -c 'echo $$ > ${pid}; cat /dev/zero > /dev/null'; true`,
        '--yes-tools',
      );
      await untilShown('> ');
      s.stdin.write('weather?\r');
      const started = async (): Promise<number> => Number(await readFile(pid, 'utf8').catch(() => '0'));
      while ((await started()) === 0) await new Promise((resolve) => setImmediate(resolve));
      const runs = await started();
      expect(s.interrupts.fire()).to.equal('taken');
      await untilShown('waits for a result');
      await until(() => !isThere(runs), 'the end of what ran');
      expect(results()).to.deep.equal([]);
      await ends();
    });
  });
});

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
