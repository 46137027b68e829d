import { expect } from 'chai';
import { task, taskId } from './fixtures.ts';
import { answers, delta, fails, startPeer, until, within, type Peer, type Reply } from './peer.ts';
import { startSession, type Session } from './session.ts';

const one = `GET /api/v1/tasks/${taskId}`;
const stream = `${one}/stream`;

/** Events with ids, as the edge writes a task's stream; then the connection stays, ends or breaks. */
function events(
  all: readonly [id: string, data: unknown][],
  then: 'ends' | 'stays' | 'breaks' = 'ends',
): Reply {
  return (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const [id, data] of all)
      response.write(
        `${id === '' ? '' : `id: ${id}\n`}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`,
      );
    if (then === 'ends') response.end();
    if (then === 'breaks') setTimeout(() => response.destroy(), 20);
  };
}

describe('cli: task logs, task retry', () => {
  let peer: Peer;
  let s: Session;
  const running = {
    ...task,
    status: 'running',
    streaming: true,
    streamStartedAt: '2026-11-21T07:00:01.000Z',
  };
  const streamed = (): (string | undefined)[] =>
    peer.requests.filter(({ url }) => url.includes('/stream')).map(({ url }) => url.split('?')[1]);
  beforeEach(async () => {
    peer = await startPeer();
    s = await startSession(peer.url);
  });
  afterEach(async () => {
    await peer.close();
    await s.close();
  });

  it('shows the whole answer of a task that has ended', async () => {
    peer.on(one, answers(200, { ...task, status: 'completed' }));
    const whole = {
      choices: [{ message: { content: 'Hello', reasoning_content: 'Hm' }, finish_reason: 'stop' }],
    };
    peer.on(
      stream,
      events([
        ['', whole],
        ['', '[DONE]'],
      ]),
    );
    expect(await s.run('task', 'logs', taskId)).to.equal(0);
    expect(s.out()).to.equal('Hello\n');
    expect(s.err()).to.equal('Hm\n');
  });

  it('takes the answer from the task where its events are no longer kept, and says when neither is', async () => {
    peer.on(stream, fails(410, 'gone', 'Gone.'));
    peer.on(
      one,
      answers(200, { ...task, status: 'completed', response: { choices: [{ message: { content: 'Hi' } }] } }),
    );
    expect(await s.run('task', 'logs', taskId)).to.equal(0);
    expect(s.out()).to.equal('Hi\n');
    peer.on(one, answers(200, { ...task, status: 'completed', response: null }));
    expect(await s.run('task', 'logs', taskId)).to.equal(1);
    expect(s.err()).to.include('no longer kept').and.to.include('(gone)');
  });

  it('shows the error of a task that failed, and leaves with 1', async () => {
    peer.on(one, answers(200, { ...task, status: 'error' }));
    peer.on(stream, events([['', { error: { message: 'The worker was lost.', code: 'worker_lost' } }]]));
    expect(await s.run('task', 'logs', taskId)).to.equal(1);
    expect(s.err()).to.equal(`Error: The worker was lost. (worker_lost)\nIts task: ${taskId}\n`);
  });

  it('shows what has come of a running answer, and leaves it running', async () => {
    peer.on(one, answers(200, running));
    peer.on(
      stream,
      events(
        [
          ['0-1', delta({ content: 'Hel' })],
          ['0-2', delta({ content: 'lo' })],
        ],
        'stays',
      ),
    );
    expect(await within(s.run('task', 'logs', taskId), 'the end')).to.equal(0);
    await within(peer.left, 'the close');
    expect(s.out()).to.equal('Hello\n');
    expect(s.err()).to.include(`Task ${taskId} is running; --follow waits for the rest.`);
  });

  it('does not ask for the stream of a task of which nothing can be there', async () => {
    peer.on(one, answers(200, { ...task, status: 'pending' }));
    expect(await s.run('task', 'logs', taskId)).to.equal(0);
    peer.on(one, answers(200, { ...task, status: 'running', streaming: false }));
    expect(await s.run('task', 'logs', taskId)).to.equal(0);
    expect(s.err()).to.include('is pending; --follow').and.to.include('comes in one piece, at the end');
    expect(streamed()).to.deep.equal([]);
  });

  it('follows to the end, and goes on exactly where a connection broke off', async () => {
    peer.on(one, answers(200, running));
    const script = [
      events(
        [
          ['', { ...(delta({}) as object), mcpctl: { state: 'queued', position: 2 } }],
          ['0-1', delta({ content: 'a' })],
        ],
        'breaks',
      ),
      fails(503, 'unavailable'),
      events([
        ['0-2', delta({ content: 'b' })],
        ['', { error: { message: 'It leaves.', code: 'shutting_down' } }],
      ]),
      events(
        [
          ['0-3', delta({ content: 'c' }, 'stop')],
          ['', '[DONE]'],
        ],
        'stays',
      ),
    ];
    peer.on(stream, (response, request) => script.shift()?.(response, request));
    expect(await within(s.run('task', 'logs', '-f', taskId), 'the end')).to.equal(0);
    expect(s.out()).to.equal('abc\n');
    expect(streamed()).to.deep.equal([undefined, 'after=0-1', 'after=0-1', 'after=0-2']);
    expect(s.err())
      .to.include('queued 2')
      .and.to.match(/Going on where it broke off/);
  });

  it('does not follow what never was there, and gives up what is gone', async () => {
    peer.on(one, answers(200, running));
    peer.on(stream, fails(503, 'unavailable'));
    expect(await s.run('task', 'logs', '-f', taskId)).to.equal(1);
    const script = [events([['0-1', delta({ content: 'a' })]], 'breaks'), fails(410, 'gone', 'Gone.')];
    peer.on(stream, (response, request) => script.shift()?.(response, request));
    expect(await within(s.run('task', 'logs', '-f', taskId), 'the end')).to.equal(1);
    expect(s.err()).to.include('Gone. (gone)');
  });

  it('stops following at Ctrl-C, with 2, and shows other operations as they are', async () => {
    peer.on(one, answers(200, { ...running, operation: 'responses' }));
    peer.on(stream, events([['0-1', { type: 'response.created' }]], 'stays'));
    const code = s.run('task', 'logs', '--follow', taskId);
    await until(() => s.out() === '{"type":"response.created"}\n', 'the first event');
    s.interrupts.fire();
    expect(await within(code, 'the end')).to.equal(2);
    await within(peer.left, 'the close');
  });

  it('has the same asked again by one call, under a key', async () => {
    peer.on(`POST /api/v1/tasks/${taskId}/retry`, answers(202, { ...task, id: 'new-id' }));
    expect(await s.run('task', 'retry', taskId)).to.equal(0);
    expect(s.out()).to.equal('new-id\n');
    expect(peer.requests.at(-1)?.headers['idempotency-key']).to.be.a('string');
    expect(peer.requests).to.have.length(1);
  });
});
