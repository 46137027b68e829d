import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { answers, delta, page, startPeer, streams, until, within, type Peer } from '../peer.ts';
import { startSession, type Session } from '../session.ts';

const threadId = '019a6f3e-0000-7000-8000-000000000001';
const other = '019a6f3e-0000-7000-8000-000000000002';
const place = { threadId, turn: 1, taskId: 'task-1' };
const usage = { prompt_tokens: 400, completion_tokens: 50, total_tokens: 450 };
const thinking = [
  { ...(delta({ reasoning_content: 'Hm.' }) as object), mcpctl: place },
  { ...(delta({ content: 'Hello' }, 'stop') as object), usage },
  '[DONE]',
];
const seen = { id: threadId, title: 'One', turns: 1, openTurn: null, lastTurnAt: '2026-11-29T08:00:00.000Z' };
const agent = {
  ...{ name: 'reviewer', description: 'reads', llm: 'desk', pool: 'qwen', status: 'active', project: 'core' },
  ...{
    defaultParams: { temperature: 0.2 },
    systemPrompt: 'You review.',
    pinMode: 'pool',
    visibility: 'shared',
  },
  ...{ defaultPersonality: null, revision: 3 },
};
const composed = {
  ...{ agent: 'reviewer', llm: 'desk', pool: 'qwen', pinMode: 'pool', personality: null, bytes: 2100 },
  pieces: [{ source: 'agent', id: 'a', name: 'reviewer', revision: 3, priority: null, bytes: 2048 }],
};

describe('cli: how an agent is asked', () => {
  let peer: Peer;
  let s: Session;
  let code: Promise<number>;
  const bodies = (): Record<string, unknown>[] =>
    peer.requests
      .filter(({ method, url }) => method === 'POST' && url.endsWith('/chat'))
      .map(({ body }) => body ?? {});
  const talk = async (env: Record<string, string>, ...line: string[]): Promise<void> => {
    await s.close();
    s = await startSession(peer.url, { tty: { stdin: true, stdout: true, stderr: true }, env });
    code = s.run('chat', 'reviewer', ...line);
    await untilShown('> ');
  };
  const untilShown = (words: string): Promise<void> => until(() => s.err().includes(words), words);
  const type = async (line: string, words: string): Promise<void> => {
    s.stdin.write(`${line}\r`);
    await untilShown(words);
  };
  const ends = async (): Promise<void> => {
    s.stdin.write('\u0004');
    expect(await within(code, 'the end')).to.equal(0);
  };
  beforeEach(async () => {
    peer = await startPeer();
    peer.on('POST /api/v1/agents/reviewer/chat', streams(thinking));
    peer.on('POST /api/v1/agents/reviewer/compose', answers(200, composed));
    peer.on('GET /api/v1/agents/reviewer', answers(200, agent));
    peer.on('PUT /api/v1/agents/reviewer', answers(200, { ...agent, revision: 4 }));
    peer.on('GET /api/v1/agents/reviewer/threads', page([{ ...seen, id: other, title: 'Two' }, seen]));
    peer.on(`GET /api/v1/threads/${threadId}`, answers(200, seen));
    peer.on(`GET /api/v1/threads/${threadId}/messages`, page([]));
    peer.on(
      'GET /api/v1/llms/desk',
      answers(200, { name: 'desk', status: 'inactive', capabilities: { contextLength: 4096 } }),
    );
    peer.on(
      'GET /api/v1/llms/desk/members',
      answers(200, { poolKey: 'qwen', size: 3, activeCount: 2, members: [] }),
    );
    s = await startSession(peer.url);
  });
  afterEach(async () => {
    await s.close();
    await peer.close();
  });

  it('by flags: each becomes a parameter of the chat, and what is not shown is not asked for', async () => {
    const flags = ['--top-p', '0.9', '--top-k', '40', '--seed', '-1', '--stop', 'END', '--stop', 'STOP'];
    expect(await s.run('chat', 'reviewer', '-m', 'hi', ...flags, '--no-thinking'), s.err()).to.equal(0);
    expect(bodies()[0]?.['params']).to.deep.include({
      top_p: 0.9,
      top_k: 40,
      seed: -1,
      stop: ['END', 'STOP'],
    });
    expect(s.err()).not.to.include('Hm.');
    expect(await s.run('chat', 'reviewer', '-m', 'hi', '--top-p', '2')).to.equal(2);
  });

  it('as the banner says: pool, room, system message and parameters, before anything is said', async () => {
    await talk({});
    expect(s.err())
      .to.include('Agent: reviewer  reads  project: core\n')
      .and.to.include('LLM: desk → pool qwen (2 of 3 up, 4096 tokens)\n')
      .and.to.include('System: 1 piece, 2.0 KiB; /system shows them\n')
      .and.to.include('Params: temperature 0.2\n');
    await ends();
  });

  it('by words in a conversation, for what is said from then on', async () => {
    await talk({});
    await type('/set top_p 0.5', 'top_p: 0.5');
    await type('/set tag x y', 'tag: "x y"');
    await type('/set tag', 'tag: as the agent has it.');
    await type('/params', 'Of reviewer:\n  temperature 0.2');
    await type('/thinking off', 'Reasoning is not shown.');
    await type('/context', 'Nothing was said yet');
    await type('hello', ' · context 11 %');
    expect(s.err()).not.to.include('Hm.');
    expect(bodies()[0]?.['params']).to.deep.equal({ top_p: 0.5, stream_options: { include_usage: true } });
    await type('/context', '450 of 4096 tokens');
    await type('/threads', `  1  ${other}  1 turn  Two`);
    await type('/resume 7', 'There is no thread 7');
    await type('/resume 2', '/threads');
    await ends();
    expect(s.err()).to.include(`--thread ${threadId}`);
  });

  it('as is saved with the agent once that is said twice, and with nobody else’s change lost', async () => {
    await talk({}, '--param', 'temperature=null', '--max-tokens', '9');
    await type('/save', '+ max_tokens 9');
    expect(s.err()).to.include('- temperature 0.2');
    await type('no', 'Nothing was changed.');
    const puts = (): Peer['requests'] => peer.requests.filter(({ method }) => method === 'PUT');
    expect(puts()).to.deep.equal([]);
    s.stdin.write('/save\r');
    await until(() => s.err().split('save to reviewer?').length > 2, 'the question');
    await type('y', 'has them from now on');
    expect(puts()[0]?.headers['if-match']).to.equal('"3"');
    expect(puts()[0]?.body).to.deep.include({
      defaultParams: { max_tokens: 9 },
      systemPrompt: 'You review.',
    });
    await ends();
  });

  it('with a message from an editor', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mcpctl-editor-'));
    try {
      const editor = join(folder, 'editor');
      await writeFile(editor, '#!/bin/sh\nprintf "two\\nlines\\n" > "$1"\n');
      await chmod(editor, 0o700);
      await talk({ EDITOR: editor });
      await type('/edit', 'Hm.');
      expect(bodies()[0]).to.include({ message: 'two\nlines' });
      await ends();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('and says who has answered, where that is another than the pinned one', async () => {
    const message = { turn: 1, role: 'assistant', content: 'Hello', status: 'complete', servedBy: 'rack' };
    peer.on(`GET /api/v1/threads/${threadId}/messages`, page([message]));
    await talk({});
    await type('hello', '(Answered by rack: desk is inactive.)');
    await ends();
  });

  it('and says where only thinking came before the limit', async () => {
    peer.on('POST /api/v1/agents/reviewer/chat', streams([thinking[0], delta({}, 'length'), '[DONE]']));
    expect(await s.run('chat', 'reviewer', '-m', 'hi')).to.equal(0);
    expect(s.err()).to.include('Only thinking came before the limit of tokens');
  });
});
