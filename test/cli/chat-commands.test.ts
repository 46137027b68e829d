import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { llm, publicLlm } from './fixtures.ts';
import { answers, delta, fails, startPeer, streams, until, within, type Peer } from './peer.ts';
import { startSession, type Session } from './session.ts';

describe('cli: chat-llm, what begins with a slash', () => {
  let peer: Peer;
  let s: Session;
  let code: Promise<number>;
  const prompts = (): number => s.err().split('> ').length - 1;
  const posts = (): Peer['requests'] => peer.requests.filter(({ method }) => method === 'POST');
  /** Types a line and waits for the next prompt; @returns what was said to the person meanwhile. */
  const type = async (line: string): Promise<string> => {
    const [from, before] = [prompts(), s.err().length];
    s.stdin.write(`${line}\r`);
    await until(() => prompts() > from, `a prompt after ${line}`);
    return s.err().slice(before);
  };
  beforeEach(async () => {
    peer = await startPeer();
    peer.on('GET /api/v1/llms/tiny-chat', answers(200, llm));
    peer.on('GET /api/v1/llms/gpt', answers(200, publicLlm));
    const usage = { choices: [], usage: { prompt_tokens: 3, completion_tokens: 7, total_tokens: 10 } };
    for (const name of ['tiny-chat', 'gpt'])
      peer.on(
        `POST /api/v1/llms/${name}/infer`,
        streams([delta({ content: name }, 'stop'), usage, '[DONE]']),
      );
    s = await startSession(peer.url, { tty: { stdin: true, stdout: true, stderr: true } });
    code = s.run('chat-llm', 'tiny-chat', '--pin', 'tiny-chat');
    await until(() => s.err().includes('> '), 'the prompt');
  });
  afterEach(async () => {
    s.stdin.write('\u0004');
    await within(code, 'the end');
    await peer.close();
    await s.close();
  });

  it('goes on with another llm, without the pin, and keeps the conversation', async () => {
    await type('one');
    expect(await type('/model gpt')).to.include('LLM: gpt  openai → gpt-5');
    await type('two');
    expect(s.out()).to.equal('tiny-chat\ngpt\n');
    expect(posts()[1]?.headers['x-mcpctl-pin']).to.equal(undefined);
    expect(posts()[1]?.body).to.deep.include({
      model: 'gpt',
      messages: [
        { role: 'user', content: 'one' },
        { role: 'assistant', content: 'tiny-chat' },
        { role: 'user', content: 'two' },
      ],
    });
    peer.on('GET /api/v1/llms/none', fails(404, 'llm_not_found', 'There is none.'));
    peer.on('GET /api/v1/pools/none', fails(404, 'pool_not_found'));
    peer.on('GET /api/v1/llms', answers(200, { items: [], next: null }));
    expect(await type('/model none')).to.include('There is none. (llm_not_found)');
    expect(await type('/model')).to.include('You talk to gpt.');
  });

  it('sets a system prompt, forgets, counts and saves', async () => {
    expect(await type('/system Be brief.')).to.include('The system prompt: Be brief.');
    await type('one');
    expect(await type('/usage')).to.include('1 answer: 3 tokens in, 7 out');
    const file = join(s.home, 'talk.json');
    expect(await type(`/save ${file}`)).to.include(`3 messages are in ${file}.`);
    expect((await stat(file)).mode & 0o777).to.equal(0o600);
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'tiny-chat' },
    ];
    expect(JSON.parse(await readFile(file, 'utf8'))).to.deep.equal({ model: 'tiny-chat', messages });
    expect(await type(`/save ${file}`)).to.include('was not saved');
    await type('/clear');
    expect(await type('/system none')).to.include('There is no system prompt.');
    await type('two');
    expect(posts()[1]?.body?.['messages']).to.deep.equal([{ role: 'user', content: 'two' }]);
  });

  it('takes a message of several lines, and a slash as text', async () => {
    await type('"""one');
    await type('/clear');
    await type('two"""');
    await type(' /etc/hosts is what?');
    await type('"""/clear"""');
    const messages = posts().map(({ body }) => (body?.['messages'] as { content: string }[]).at(-1)?.content);
    expect(messages).to.deep.equal(['one\n/clear\ntwo', ' /etc/hosts is what?', ' /clear']);
  });

  it('says what is there, and what was meant', async () => {
    expect(await type('/help')).to.match(/\/model NAME.*\n\/system TEXT/);
    expect(await type('/modle gpt')).to.include('Did you mean /model?');
    expect(posts()).to.have.length(0);
    s.stdin.write('/bye\r');
    expect(await within(code, 'the end')).to.equal(0);
  });
});
