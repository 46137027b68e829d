import { expect } from 'chai';
import { llm, publicLlm, task, taskId } from './fixtures.ts';
import { answers, fails, page, startPeer, until, within, type Peer, type Reply } from './peer.ts';
import { until as patiently } from '../support/system.ts';
import { startSession, type Session, type SessionOptions } from './session.ts';

describe('cli: --watch', () => {
  let peer: Peer;
  let s: Session;
  let code: Promise<number>;
  /** What the list is, one answer after the other; the last one stays. */
  const script = (route: string, replies: Reply[]): void =>
    peer.on(route, (response, request) =>
      (replies.length > 1 ? replies.shift() : replies[0])?.(response, request),
    );
  const watch = async (args: string[], options?: SessionOptions): Promise<void> => {
    s = await startSession(peer.url, options);
    code = s.run(...args, '--watch', '--interval', '5ms');
  };
  const stop = async (): Promise<void> => {
    s.interrupts.fire();
    expect(await within(code, 'the end')).to.equal(2);
  };
  beforeEach(async () => (peer = await startPeer()));
  afterEach(async () => {
    await peer.close();
    await s.close();
  });

  it('adds rows that are new or have changed to a pipe, under one heading, until Ctrl-C', async () => {
    const asleep = { ...llm, status: 'hibernating' };
    script('GET /api/v1/llms', [page([llm]), page([llm]), page([asleep]), page([asleep, publicLlm])]);
    await watch(['get', 'llm', '--no-color']);
    await until(() => s.out().includes('gpt'), 'the last change');
    await stop();
    const lines = s
      .out()
      .split('\n')
      .map((line) => line.split(/ {2,}/).slice(0, 4).join(' '));
    expect(lines).to.deep.equal([
      'NAME POOL KIND STATUS',
      'tiny-chat - virtual active',
      'tiny-chat - virtual hibernating',
      'gpt big public active',
      '',
    ]);
    expect(s.out().split('\n')[2]?.indexOf('virtual')).to.equal(s.out().indexOf('KIND'));
  });

  it('writes changes as a JSON object on a line, a YAML document, a name', async () => {
    const gone = page([]);
    for (const [format, first, second] of [
      ['json', `{"resource":"llm",${JSON.stringify(llm).slice(1)}\n`, '"status":"inactive"'],
      ['yaml', '---\nresource: llm\n', 'status: inactive\n'],
      ['name', 'llm/tiny-chat\n', 'llm/tiny-chat\n'],
    ] as const) {
      await s?.close();
      script('GET /api/v1/llms', [page([llm]), page([{ ...llm, status: 'inactive' }]), gone]);
      await watch(['get', 'llm', '-o', format]);
      await until(() => s.err().includes('llm/tiny-chat is no longer listed.'), 'the end of it');
      await stop();
      expect(s.out().startsWith(first), s.out()).to.equal(true);
      expect(s.out().slice(first.length)).to.include(second);
    }
  });

  it('draws the table anew in its place on a terminal, and no more of it than fits', async () => {
    const many = Array.from({ length: 9 }, (_, n) => ({ ...llm, name: `llm-${n}` }));
    script('GET /api/v1/llms', [page([llm]), page(many)]);
    await watch(['get', 'llm'], { tty: { stdout: true }, rows: 6, columns: 40 });
    await until(() => s.out().includes('and 6 more'), 'the second drawing');
    await stop();
    const [first = '', second = ''] = s.out().split('\u001b[J').slice(1);
    expect(
      first
        .split('\n')
        .slice(0, 2)
        .map((line) => line.split(/ +/)[0]),
    ).to.deep.equal(['NAME', 'tiny-chat']);
    expect(first.endsWith('\u001b[2A\r')).to.equal(true);
    expect(
      second
        .split('\n')
        .slice(0, 5)
        .map((line) => line.split(/ {2,}/)[0]),
    ).to.deep.equal(['NAME', 'llm-0', 'llm-1', 'llm-2', '… and 6 more']);
    expect(
      Math.max(
        ...s
          .out()
          .split('\n')
          .map((line) => line.replace(/\u001b\[\w+/g, '').length),
      ),
    ).to.be.below(41);
  });

  it('asks a server again that was there, says so once, and gives up what it is told', async () => {
    const away = fails(503, 'shutting_down', 'The edge leaves.');
    script('GET /api/v1/llms', [
      page([llm]),
      away,
      away,
      page([publicLlm]),
      fails(403, 'forbidden', 'No more.'),
    ]);
    await watch(['get', 'llm', '-o', 'name']);
    expect(await within(code, 'the end')).to.equal(1);
    expect(s.out()).to.equal('llm/tiny-chat\nllm/gpt\n');
    expect(s.err().match(/Asking again/g)).to.have.length(1);
    expect(s.err()).to.include('The server is back.').and.to.include('No more. (forbidden)');
  });

  it('does not wait for a server that never was there', async () => {
    peer.on('GET /api/v1/llms', fails(503, 'unavailable'));
    await watch(['get', 'llm']);
    expect(await within(code, 'the end')).to.equal(1);
    expect(peer.requests).to.have.length(1);
  });

  it('ends by itself when the tasks that were named have', async () => {
    const running = answers(200, { ...task, status: 'running' });
    for (const line of [
      ['task', 'get', taskId],
      ['get', `task/${taskId}`],
    ]) {
      await s?.close();
      script(`GET /api/v1/tasks/${taskId}`, [
        answers(200, task),
        running,
        answers(200, { ...task, status: 'error' }),
      ]);
      await watch([...line, '--no-headers']);
      expect(await within(code, 'the end')).to.equal(0);
      const statuses = s.out().match(/pending|running|error/g);
      expect(statuses).to.deep.equal(['pending', 'running', 'error']);
    }
  });

  it('says once that there are more tasks, and watches a list until it is told to stop', async () => {
    script('GET /api/v1/tasks', [page([task], 'more'), page([{ ...task, status: 'completed' }], 'more')]);
    await watch(['task', 'list', '--limit', '1', '--no-headers']);
    await until(() => s.out().includes('completed'), 'the change');
    await until(() => peer.requests.length > 4, 'further questions');
    await stop();
    expect(s.err().match(/more tasks than these 1/g)).to.have.length(1);
  });

  it('goes on with what an MCP server prints, over a worker that is away, until Ctrl-C', async () => {
    const says = (more: object): Reply =>
      answers(200, {
        server: 'files',
        state: 'ready',
        reason: null,
        printed: '',
        at: null,
        isMissed: false,
        ...more,
      });
    const route = 'GET /api/v1/servers/files/logs';
    script(route, [
      says({ printed: 'one\n\u001b[31mtwo\n', at: 'aaaaaaaa.8' }),
      fails(503, 'mcp_server_down', 'No machine runs it now.'),
      says({ printed: 'three\n', at: 'bbbbbbbb.6', isMissed: true }),
      says({ at: 'bbbbbbbb.6' }),
    ]);
    s = await startSession(peer.url);
    code = s.run('logs', 'server', 'files', '-f');
    const asked = () =>
      peer.requests.filter(({ url }) => url.includes('/logs')).map(({ url }) => url.split('after=')[1]);
    // It pauses for seconds meanwhile.
    await patiently(
      () => Promise.resolve(asked().length),
      (times) => times >= 4,
    );
    await stop();
    expect(
      s
        .out()
        .split('\n')
        .map((line) => line.replace('\u001b', '')),
    ).to.deep.equal(['one', '[31mtwo', 'three', '']);
    expect(s.err())
      .to.include('No machine runs it now')
      .and.include('Asking again …')
      .and.include('kept no more');
    expect(asked().slice(0, 4)).to.deep.equal(['start', 'aaaaaaaa.8', 'aaaaaaaa.8', 'bbbbbbbb.6']);
    script(route, [answers(200, { server: 'files', state: 'ready', reason: null, printed: 'all' })]);
    await s.close();
    s = await startSession(peer.url);
    expect(await s.run('logs', 'server', 'files', '-f'), 'of a release before').to.not.equal(0);
    expect(s.err()).to.include('leave out -f');
  });
});
