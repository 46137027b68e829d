import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { PoolView } from '../../core/pool.ts';
import { announce } from '../../core/queue/live/presence.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { until } from './peer.ts';
import { startSession, type Session } from './session.ts';

/** The same commands as elsewhere in this folder, against the edge itself instead of a scripted one. */
describe('cli: with a real edge', () => {
  let edge: EdgeFixture;
  let s: Session;
  const as = async (token: string): Promise<void> => {
    await s.close();
    s = await startSession(null, { env: { MCPCTL_SERVER: edge.url, MCPCTL_TOKEN: token } });
  };
  const create = ['create', 'llm', 'gpt', '--type', 'openai', '--model', 'gpt-5', '--url', 'http://h:1/v1'];
  before(async () => (edge = await edgeFixture({ MCPCTL_ADMISSION_MS: '100', MCPCTL_KEEPALIVE_MS: '200' })));
  after(() => edge.close());
  beforeEach(async () => {
    s = await startSession(null);
    await as(edge.tokens.root);
  });
  afterEach(() => s.close());

  it('logs in, and knows itself from then on', async () => {
    await s.close();
    s = await startSession(null);
    s.stdin.end(edge.tokens.root);
    expect(await s.run('login', '--server', edge.url, '--with-token')).to.equal(0);
    expect(await s.run('status')).to.equal(0);
    expect(s.out())
      .to.match(/User: +root \(admin\), token test/)
      .and.to.match(/Workers: +0 of 0 there\nLately: +0 tokens a second, 0 of 0 failed \(300 s\)\n/);
    expect(await s.run('version')).to.equal(0);
    expect(s.out()).to.match(/Client: +0\.1\.0\nServer: +\d/);
  });

  it('creates, shows, describes and deletes an llm', async () => {
    expect(await s.run(...create, '--api-key-env', 'KEY', '--pool-name', 'big', '--alias', 'GPT')).to.equal(
      0,
    );
    expect(await s.run('get', 'llm', '--no-headers')).to.equal(0);
    expect(s.out()).to.match(
      /^llm\/gpt created\ngpt +big +public +active +openai +gpt-5 +- +KEY +[\w-]{36}\n$/,
    );
    await as(edge.tokens.root);
    expect(await s.run('get', 'llm/gpt', '-o', 'json')).to.equal(0);
    const shown = JSON.parse(s.out()) as Record<string, unknown>;
    const { json } = await edge.call('GET /api/v1/llms/gpt', { token: edge.tokens.root });
    expect(shown).to.deep.equal({ resource: 'llm', ...(json as object) });
    await as(edge.tokens.root);
    expect(await s.run('describe', 'llm', 'gpt')).to.equal(0);
    expect(s.out())
      .to.match(/Pool:\n {2}Key: +big\n {2}Size: +1\n/)
      .and.to.match(/\n {2}gpt +public +active/);
    expect(await s.run('get', 'pool/big', '--no-headers')).to.equal(0);
    expect(await s.run('describe', 'pool', 'big')).to.equal(0);
    expect(await s.run('delete', 'llm', 'gpt', '--yes')).to.equal(0);
    expect(await s.run('get', 'llm', 'gpt')).to.equal(1);
    expect(s.err()).to.include('(llm_not_found)');
  });

  it('shows the edge’s faults by path, and its refusals', async () => {
    expect(await s.run(...create.slice(0, 2), 'Bad Name', ...create.slice(3))).to.equal(1);
    expect(s.err()).to.match(/\(invalid_request\)\n {2}name: /);
    await as(edge.tokens.ada);
    expect(await s.run(...create)).to.equal(1);
    expect(s.err()).to.include('(forbidden)');
    await as('not-a-token');
    expect(await s.run('get', 'llm')).to.equal(4);
  });

  it('filters as the edge does', async () => {
    await s.run(...create);
    for (const filter of [
      ['--status', 'active'],
      ['--kind', 'public'],
      ['--type', 'openai'],
      ['--pool', 'gpt'],
    ])
      expect(await s.run('get', 'llm', '-o', 'name', ...filter)).to.equal(0);
    expect(s.out().match(/^llm\/gpt$/gm)).to.have.length(4);
    expect(await s.run('get', 'llm', '-o', 'name', '--kind', 'virtual')).to.equal(0);
    expect(s.err()).to.equal('');
    await s.run('delete', 'llm', 'gpt', '--yes');
  });

  it('makes a token that works until it is revoked', async () => {
    expect(await s.run('token', 'create', 'ci', '--user', 'robot', '--binding', 'user')).to.equal(0);
    const made = s.out().trim();
    await as(made);
    expect(await s.run('status', '-o', 'json')).to.equal(0);
    expect(JSON.parse(s.out())).to.deep.include({ user: 'robot', binding: 'user', token: 'ci' });
    await as(edge.tokens.root);
    expect(await s.run('token', 'list')).to.equal(0);
    expect(s.out())
      .to.match(/\nci +mcpctl_\S{4} +robot +user +all /)
      .and.to.not.include(made);
    expect(await s.run('token', 'revoke', 'ci')).to.equal(0);
    await as(made);
    expect(await s.run('status')).to.equal(4);
  });

  it('lets a user into a pool', async () => {
    await s.run(...create);
    expect(await s.run('pool', 'allow', 'gpt', 'bob')).to.equal(0);
    expect(await s.run('pool', 'allow', 'gpt', 'nobody')).to.equal(1);
    expect(s.err()).to.include("there is no user named 'nobody'");
    await s.run('delete', 'llm', 'gpt', '--yes');
  });

  /** A member that is there and takes nothing: its tasks stay pending. */
  const announced = async (name: string, more: { restsMs?: number } = {}): Promise<void> => {
    const row = await edge.registry.llms.byName(name);
    const { redis, keys } = edge.deps.queue;
    const sessionId = randomUUID();
    const announcement = { sessionId, boot: sessionId, slots: 1, running: 1, state: 'serving' as const };
    const at = { poolKey: name, llmId: row?.id ?? '', announcement: { ...announcement, ...more } };
    await announce({ redis, keys, leaseMs: 90_000 }, at);
  };

  it('says until when a member of a pool rests, where one does', async () => {
    await s.run(...create);
    await announced('gpt', { restsMs: 60_000 });
    expect(await s.run('describe', 'pool', 'gpt')).to.equal(0);
    const { json } = await edge.call('GET /api/v1/pools/gpt', { token: edge.tokens.root });
    const [{ restingUntil = '' } = expect.fail()] = (json as PoolView).members;
    expect(Date.parse(restingUntil) - Date.now()).to.be.within(1, 60_000);
    expect(s.out()).to.match(/ RESTS-UNTIL *\n.* \d{4}-\d\d-\d\dT[\d:.]+Z *\n/);
    await s.run('delete', 'llm', 'gpt', '--yes');
  });

  it('leaves a message as a task, waits for it, cancels it', async () => {
    await s.run(...create);
    await announced('gpt');
    await as(edge.tokens.ada);
    expect(await s.run('chat-llm', 'gpt', '--async', '--message', 'hi')).to.equal(0);
    const id = s.out().trim();
    expect(await s.run('task', 'list', '--llm', 'gpt', '--status', 'pending', '-o', 'name')).to.equal(0);
    expect(s.out()).to.equal(`${id}\ntask/${id}\n`);
    expect(await s.run('task', 'wait', id, '--timeout', '300ms')).to.equal(1);
    expect(s.err()).to.include('(timed_out)');
    expect(await s.run('task', 'cancel', id)).to.equal(0);
    expect(s.out()).to.include(`task/${id} cancelled`);
    expect(await s.run('task', 'wait', id)).to.equal(1);
    expect(s.err()).to.include('(task_cancelled)');
    await as(edge.tokens.ada);
    expect(await s.run('describe', 'task', id)).to.equal(0);
    expect(s.out())
      .to.match(/Status: +cancelled\n/)
      .and.to.include('Request:\n  hi\n');
    await as(edge.tokens.bob);
    expect(await s.run('task', 'get', id)).to.equal(1);
    expect(s.err()).to.include('(task_not_found)');
    await as(edge.tokens.root);
    await s.run('delete', 'llm', 'gpt', '--yes');
  });

  it('calls the API itself, shows what a task has come to, and asks it again', async () => {
    await s.run(...create);
    await announced('gpt');
    await as(edge.tokens.ada);
    const body = JSON.stringify({ llm: 'gpt', request: { messages: [{ role: 'user', content: 'hi' }] } });
    expect(await s.run('api', 'POST', '/api/v1/tasks', '-d', body)).to.equal(0);
    const { id } = JSON.parse(s.out()) as { id: string };
    expect(await s.run('task', 'logs', id)).to.equal(0);
    expect(s.err()).to.include(`Task ${id} is pending`);
    expect(await s.run('task', 'retry', id)).to.equal(1);
    expect(s.err()).to.include('(task_open)');
    const following = s.run('task', 'logs', '-f', id);
    await until(() => s.err().includes('following it'), 'the start');
    const watching = s.run('task', 'get', id, '--watch', '--interval', '20ms', '--no-headers');
    await until(() => s.out().includes(' pending '), 'the first row');
    expect(await s.run('task', 'cancel', id)).to.equal(0);
    expect(await following).to.equal(1);
    expect(await watching).to.equal(0);
    expect(s.err()).to.include('(task_cancelled)');
    await as(edge.tokens.ada);
    expect(await s.run('task', 'retry', id)).to.equal(0);
    const again = s.out().trim();
    expect(await s.run('task', 'get', again, '-o', 'json')).to.equal(0);
    const made = JSON.parse(s.out().slice(again.length)) as Record<string, unknown>;
    expect(made).to.deep.include({ status: 'pending', llmName: 'gpt', source: 'async' });
    expect(made['request']).to.deep.equal({ messages: [{ role: 'user', content: 'hi' }] });
    await s.run('task', 'cancel', again);
    expect(await s.run('api', 'GET', '/api/v1/llms/none')).to.equal(1);
    expect(s.err()).to.include('HTTP 404 Not Found');
    await as(edge.tokens.root);
    await s.run('delete', 'llm', 'gpt', '--yes');
  });

  it('says what is near a name that is not there', async () => {
    await s.run(...create, '--pool-name', 'big');
    expect(await s.run('get', 'llm', 'gtp')).to.equal(1);
    expect(s.err()).to.include('Did you mean gpt?');
    expect(await s.run('describe', 'llm', 'big')).to.equal(1);
    expect(s.err()).to.include('There is a pool of that name: pool/big.');
    await s.run('delete', 'llm', 'gpt', '--yes');
  });

  it('shows that a message is queued, and cancels its task at Ctrl-C', async () => {
    await s.run(...create);
    await announced('gpt');
    const code = s.run('chat-llm', 'gpt', '--message', 'hi');
    await until(() => s.err().includes('queued'), 'the place in the queue');
    s.interrupts.fire();
    expect(await code).to.equal(2);
    await as(edge.tokens.root);
    await s.run('task', 'list', '--limit', '1', '-o', 'json');
    const [task] = JSON.parse(s.out()) as { id: string }[];
    expect(await s.run('task', 'wait', task?.id ?? '', '--timeout', '10s')).to.equal(1);
    expect(s.err()).to.include('(task_cancelled)');
    await s.run('delete', 'llm', 'gpt', '--yes');
  });

  it('says at once that nobody serves an llm, and which one was meant', async () => {
    await s.run(...create);
    expect(await s.run('chat-llm', 'gpt', '--message', 'hi')).to.equal(1);
    expect(s.err()).to.include('(no_active_llm)');
    expect(await s.run('chat-llm', 'gtp', '--message', 'hi')).to.equal(1);
    expect(s.err()).to.include('(llm_not_found)').and.to.include('gpt');
    await s.run('delete', 'llm', 'gpt', '--yes');
  });
});
