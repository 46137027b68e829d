import { expect } from 'chai';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { task, taskId, token } from './fixtures.ts';
import { answers, empty, fails, page, startPeer, until, type Peer } from './peer.ts';
import { startSession, type Session, type SessionOptions } from './session.ts';

describe('cli: task, token, pool', () => {
  let peer: Peer;
  let s: Session;
  const fresh = async (options?: SessionOptions): Promise<void> => {
    await s.close();
    s = await startSession(peer.url, options);
  };
  beforeEach(async () => {
    peer = await startPeer();
    s = await startSession(peer.url);
  });
  afterEach(async () => {
    await peer.close();
    await s.close();
  });
  const one = `GET /api/v1/tasks/${taskId}`;

  it('lists tasks with the filters given', async () => {
    peer.on('GET /api/v1/tasks', page([task]));
    expect(await s.run('task', 'list', '--llm', 'tiny-chat', '--status', 'pending')).to.equal(0);
    expect(peer.requests[0]?.url).to.equal('/api/v1/tasks?llm=tiny-chat&status=pending&limit=50');
    const [head, row] = s.out().split('\n');
    expect(head?.split(/ {2,}/)).to.deep.equal('ID STATUS LLM POOL SERVED-BY SOURCE CODE CREATED'.split(' '));
    expect(row).to.include(taskId).and.to.include(task.createdAt);
  });

  it('asks who would take a request, as it stands in a file', async () => {
    const view = { summary: 'All of it.', candidates: [], place: 3 };
    peer.on('POST /api/v1/llms/tiny-chat/explain', answers(200, view));
    const request = { messages: [{ role: 'user', content: 'hi' }] };
    const file = join(s.home, 'call.json');
    await writeFile(file, JSON.stringify(request));
    const ask = ['explain', 'llm', 'tiny-chat'];
    expect(await s.run(...ask, '--request', file, '--operation', 'messages')).to.equal(0);
    expect(s.out()).to.equal('All of it.\nIts place would be 3.\n');
    expect(peer.requests[0]?.body).to.deep.equal({ request, operation: 'messages' });
    expect(await s.run(...ask, '--operation', 'messages')).to.equal(2);
    expect(await s.run(...ask, '--request', file, '--operation', 'mcp')).to.equal(2);
    await writeFile(file, '[]');
    expect(await s.run(...ask, '--request', file)).to.equal(2);
    expect(peer.requests).to.have.length(1);
  });

  it('shows one task as an object and several as a list', async () => {
    peer.on(one, answers(200, task));
    expect(await s.run('task', 'get', taskId, '-o', 'json')).to.equal(0);
    expect(JSON.parse(s.out())).to.deep.equal({ resource: 'task', ...task });
    await fresh();
    await s.run('task', 'get', taskId, taskId, '-o', 'json');
    expect(JSON.parse(s.out())).to.have.length(2);
  });

  it('adds up usage page by page, and writes the file as it comes', async () => {
    const used = { tasks: 3, completed: 2, failed: 1, tokensIn: 10, tokensOut: 5, minutes: 1.25 };
    const at = '2026-11-29T00:00:00.000Z';
    peer.on('GET /api/v1/usage', (response, request) => {
      const query = new URLSearchParams(request.url.split('?')[1]);
      if (query.get('format') === 'csv')
        return void response.writeHead(200, { 'content-type': 'text/csv' }).end('at,name\nx,ada\n');
      const isLast = query.get('after') === 'next';
      return answers(200, {
        items: [{ at, name: isLast ? 'bob' : 'a\u001b[31mda', ...used }],
        next: isLast ? null : 'next',
      })(response, request);
    });
    expect(await s.run('usage', '--bucket', 'day', '--since', at)).to.equal(0);
    expect(peer.requests.map(({ url }) => decodeURIComponent(url))).to.deep.equal(
      ['', '&after=next'].map((after) => `/api/v1/usage?by=user&from=${at}&bucket=day${after}`),
    );
    const rows = s.out().trimEnd().split('\n');
    expect(rows.map((row) => row.split(/ {2,}/))).to.deep.equal([
      'DAY USER TASKS COMPLETED FAILED TOKENS-IN TOKENS-OUT MINUTES'.split(' '),
      ...['a[31mda', 'bob'].map((name) => ['2026-11-29', name, '3', '2', '1', '10', '5', '1.3']),
    ]);
    await fresh();
    expect(await s.run('usage', '--by', 'llm', '--hours', '48', '-o', 'csv')).to.equal(0);
    expect(s.out()).to.equal('at,name\nx,ada\n');
    expect(peer.requests.at(-1)?.url).to.equal('/api/v1/usage?by=llm&hours=48&format=csv');
    peer.on('GET /api/v1/usage', answers(200, { items: [], next: null }));
    await fresh();
    expect(await s.run('usage')).to.equal(0);
    expect([s.out(), s.err()]).to.deep.equal(['', 'No task that you may see ended in that time.\n']);
  });

  it('tells times as ages on a terminal', async () => {
    peer.on(
      'GET /api/v1/tasks',
      page([{ ...task, createdAt: new Date(Date.now() - 300_000).toISOString() }]),
    );
    await fresh({ tty: { stdout: true } });
    await s.run('task', 'list');
    expect(s.out()).to.include('5m ago');
  });

  it('counts tasks, and says where there may be more', async () => {
    const counts = { total: 10_000, open: 2, completed: 9_000, error: 998, cancelled: 0 };
    peer.on('GET /api/v1/tasks/counts', answers(200, counts));
    expect(await s.run('task', 'count', '--llm', 'tiny-chat')).to.equal(0);
    expect(peer.requests[0]?.url).to.equal('/api/v1/tasks/counts?llm=tiny-chat');
    expect(s.out()).to.match(/open +2\ncompleted +9000\n/);
    expect(s.err()).to.include('there may be more');
    peer.on('GET /api/v1/tasks/counts', answers(200, { total: 'many' }));
    await fresh();
    expect(await s.run('task', 'count')).not.to.equal(0);
    expect(s.err()).to.include('no counts that this release understands');
  });

  it('cancels tasks and says what they are then', async () => {
    peer.on(`DELETE /api/v1/tasks/${taskId}`, answers(200, { ...task, status: 'cancelled' }));
    expect(await s.run('task', 'cancel', taskId, 'other')).to.equal(1);
    expect(s.out()).to.equal(`task/${taskId} cancelled\n`);
    expect(s.err()).to.include('route_not_found');
  });

  it('waits until a task has completed, asking the server to hold the answer', async () => {
    let asked = 0;
    peer.on(one, (response, request) =>
      answers(200, { ...task, status: asked++ === 0 ? 'running' : 'completed' })(response, request),
    );
    expect(await s.run('task', 'wait', taskId, '--timeout', '1m')).to.equal(0);
    expect(s.out()).to.equal(`task/${taskId} completed\n`);
    expect(s.err()).to.include('(running)');
    expect(peer.requests.map(({ url }) => url)).to.deep.equal(
      Array(2).fill(`/api/v1/tasks/${taskId}?wait=30`),
    );
  });

  it('leaves a wait with 1 when the task failed or was cancelled', async () => {
    const error = { code: 'worker_lost', message: 'The worker was lost.' };
    peer.on(one, answers(200, { ...task, status: 'error', error }));
    expect(await s.run('task', 'wait', taskId)).to.equal(1);
    expect(s.err()).to.equal(`Error: Task ${taskId}: The worker was lost. (worker_lost)\n`);
    peer.on(one, answers(200, { ...task, status: 'cancelled' }));
    expect(await s.run('task', 'wait', taskId)).to.equal(1);
    expect(s.err()).to.include('(task_cancelled)');
  });

  it('leaves a wait with 1 and timed_out when the time is up', async () => {
    peer.on(one, answers(200, { ...task, status: 'running' }));
    expect(await s.run('task', 'wait', taskId, '--timeout', '50ms')).to.equal(1);
    expect(s.err()).to.include('(timed_out)');
    expect(peer.requests[0]?.url).to.include('?wait=1');
  });

  it('goes on waiting while a server that was there is away', async () => {
    const script = [
      answers(200, task),
      fails(503, 'shutting_down'),
      answers(200, { ...task, status: 'completed' }),
    ];
    peer.on(one, (response, request) => script.shift()?.(response, request));
    expect(await s.run('task', 'wait', taskId)).to.equal(0);
    expect(peer.requests).to.have.length(3);
  });

  it('gives a wait up at once when the task is no longer there', async () => {
    const script = [answers(200, task), fails(404, 'task_not_found')];
    peer.on(one, (response, request) => script.shift()?.(response, request));
    expect(await s.run('task', 'wait', taskId)).to.equal(1);
    expect(s.err()).to.include('(task_not_found)');
  });

  it('does not wait for a server that never was there', async () => {
    peer.on(one, fails(503, 'unavailable'));
    expect(await s.run('task', 'wait', taskId)).to.equal(1);
    expect(peer.requests).to.have.length(1);
    expect(s.err()).to.include('request r-1');
  });

  it('stops a wait at Ctrl-C with 2', async () => {
    peer.on(one, () => undefined);
    const code = s.run('task', 'wait', taskId);
    await until(() => peer.requests.length === 1, 'the call');
    expect(s.interrupts.fire()).to.equal('asked');
    expect(await code).to.equal(2);
    expect(s.err()).to.include('Cancelled.');
    await peer.left;
  });

  it('prints a new token alone on stdout', async () => {
    peer.on('POST /api/v1/tokens', answers(201, { ...token, name: 'ci', token: 'mcp_abc' }));
    expect(await s.run('token', 'create', 'ci', '--pool', 'a', '--expires-in-days', '7')).to.equal(0);
    expect(s.out()).to.equal('mcp_abc\n');
    expect(s.err()).to.include('not shown again');
    expect(peer.requests[0]?.body).to.deep.equal({ name: 'ci', pools: ['a'], expiresInDays: 7 });
  });

  it('lists tokens without secrets', async () => {
    peer.on('GET /api/v1/tokens', page([token, { ...token, name: 'ci', preset: 'call', pools: ['a', 'b'] }]));
    expect(await s.run('token', 'list', '--no-headers')).to.equal(0);
    expect(s.out()).to.match(
      /^laptop +mcpctl_aB3x +ada +admin +all +- +\S+ +\S+ +- +- +\S+\nci +mcpctl_aB3x +ada +admin +a,b +call /,
    );
  });

  it('shows tokens as any other resource, also by name', async () => {
    peer.on('GET /api/v1/tokens', page([token, { ...token, id: 'id-2', name: 'ci', pools: ['a', 'b'] }]));
    expect(await s.run('get', 'token', 'ci', '--no-headers')).to.equal(0);
    expect(s.out()).to.match(/^ci +mcpctl_aB3x +ada +admin +a,b +- +\S+ +\S+ +- +- +id-2\n$/);
    expect(await s.run('describe', 'tok/laptop')).to.equal(0);
    expect(s.out()).to.match(/\nName: +laptop\n.*\nPools: +all\n/s);
    expect(await s.run('get', 'token', 'cj')).to.equal(1);
    expect(s.err()).to.include('There is no token named "cj". Did you mean ci?');
  });

  it('revokes by name or id, and asks which where a name is not enough', async () => {
    const twin = { ...token, id: 'id-2', name: 'ci' };
    peer.on(
      'GET /api/v1/tokens',
      page([token, twin, { ...twin, id: 'id-3' }, { ...twin, id: 'id-4', name: 'old', revokedAt: 'x' }]),
    );
    peer.on(`DELETE /api/v1/tokens/${token.id}`, empty);
    peer.on('DELETE /api/v1/tokens/id-3', empty);
    expect(await s.run('token', 'revoke', 'laptop', 'id-3')).to.equal(0);
    expect(s.out()).to.equal('token/laptop revoked\ntoken/ci revoked\n');
    expect(await s.run('token', 'revoke', 'ci')).to.equal(2);
    expect(s.err()).to.include('id-2, id-3');
    expect(await s.run('token', 'revoke', 'laptp')).to.equal(1);
    expect(s.err()).to.include('Did you mean laptop?');
    expect(await s.run('token', 'revoke', 'old')).to.equal(1);
  });

  it('allows a user into a pool', async () => {
    peer.on('POST /api/v1/pools/my-pool/allow', answers(200, {}));
    expect(await s.run('pool', 'allow', 'my-pool', 'bob')).to.equal(0);
    expect(peer.requests[0]?.body).to.deep.equal({ user: 'bob' });
    expect(s.out()).to.equal('pool/my-pool allows bob\n');
  });

  it('lets a user into a pool no longer, and hands it over', async () => {
    peer.on('POST /api/v1/pools/my-pool/deny', answers(200, {}));
    peer.on('POST /api/v1/pools/my-pool/owner', answers(200, {}));
    expect(await s.run('pool', 'deny', 'my-pool', 'bob')).to.equal(0);
    expect(await s.run('pool', 'owner', 'my-pool', 'bob')).to.equal(0);
    expect(peer.requests.map(({ body }) => body)).to.deep.equal([{ user: 'bob' }, { user: 'bob' }]);
    expect(s.out()).to.equal('pool/my-pool denies bob\npool/my-pool belongs to bob\n');
  });
});
