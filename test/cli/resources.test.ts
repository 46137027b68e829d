import { expect } from 'chai';
import { parse as parseYaml } from 'yaml';
import { llmReplaceSchema } from '../../core/llm.ts';
import { llm, members, pool, publicLlm, task, taskId } from './fixtures.ts';
import { answers, empty, fails, page, startPeer, type Peer } from './peer.ts';
import { startSession, type Session, type SessionOptions } from './session.ts';

describe('cli: get, describe, create, delete', () => {
  let peer: Peer;
  const sessions: Session[] = [];
  const session = async (options?: SessionOptions): Promise<Session> => {
    const made = await startSession(peer.url, options);
    sessions.push(made);
    return made;
  };
  beforeEach(async () => (peer = await startPeer()));
  afterEach(async () => {
    await peer.close();
    for (const each of sessions.splice(0)) await each.close();
  });

  it('lists llms in columns, with - for what is not there', async () => {
    peer.on('GET /api/v1/llms', page([llm, publicLlm]));
    const s = await session();
    expect(await s.run('get', 'llms')).to.equal(0);
    const [head, first, second] = s.out().split('\n');
    expect(head?.split(/ +/)).to.deep.equal('NAME POOL KIND STATUS TYPE MODEL TIER KEY ID'.split(' '));
    expect(first?.split(/ +/)).to.deep.equal([
      'tiny-chat',
      '-',
      'virtual',
      'active',
      'openai',
      'tiny-chat:0.1b',
      '-',
      '-',
      llm.id,
    ]);
    expect(second?.split(/ +/)).to.deep.equal([
      'gpt',
      'big',
      'public',
      'active',
      'openai',
      'gpt-5',
      'heavy',
      'OPENAI_API_KEY',
      publicLlm.id,
    ]);
    expect(second?.indexOf('big')).to.equal(head?.indexOf('POOL'));
    expect(peer.requests[0]?.headers.authorization).to.equal('Bearer secret-token');
    expect(peer.requests[0]?.headers['user-agent']).to.equal('mcpctl/0.1.0');
  });

  it('counts what a server has many of, and names it with -o wide; a prompt has more to say there, too', async () => {
    const tools = ['read_file', 'write_file', 'list_directory'];
    peer.on('GET /api/v1/servers', page([{ name: 'files', kind: 'virtual', status: 'active', tools }]));
    peer.on('GET /api/v1/prompts', page([{ id: 'p', name: 'tone', tags: ['a', 'b'], summary: 'Be brief.' }]));
    const s = await session();
    const last = (): string => s.out().trim().split('\n').at(-1) ?? '';
    expect(await s.run('get', 'servers', '--no-headers')).to.equal(0);
    expect(last().split(/ +/)).to.deep.equal(['files', 'virtual', 'active', '3', '-']);
    expect(await s.run('get', 'servers', '--no-headers', '-o', 'wide')).to.equal(0);
    expect(last()).to.match(/ read_file,write_file,list_directory$/);
    expect(await s.run('get', 'prompts', '--no-headers')).to.equal(0);
    expect(last()).to.match(/ p$/);
    expect(await s.run('get', 'prompts', '--no-headers', '-o', 'wide')).to.equal(0);
    expect(last()).to.match(/ p +a,b +Be brief\.$/);
  });

  it('shows an older or newer server’s llm as far as it goes', async () => {
    peer.on('GET /api/v1/llms', page([{ name: 'old', status: 'napping', tier: 7 }]));
    const s = await session();
    expect(await s.run('get', 'l', '--no-headers', '-o', 'wide')).to.equal(0);
    expect(s.out().trim().split(/ +/)).to.deep.equal(['old', '-', '-', 'napping', ...'---------'.split('')]);
  });

  it('prints the API object unchanged but for its resource, as JSON and YAML', async () => {
    const newer = { ...llm, shade: 'blue' };
    peer.on('GET /api/v1/llms/tiny-chat', answers(200, newer));
    const s = await session();
    expect(await s.run('get', 'llm/tiny-chat', '-o', 'json')).to.equal(0);
    expect(JSON.parse(s.out())).to.deep.equal({ resource: 'llm', ...newer });
    expect(s.out()).to.match(/^\{\n {2}"resource": "llm",/);
    const y = await session();
    await y.run('get', 'llm', 'tiny-chat', '-o', 'yaml');
    expect(parseYaml(y.out()), 'what a worker publishes is no document').to.equal(null);
    expect(parseYaml(y.out().replace(/^# ?/gm, '').replace(/^.*\n/, ''))).to.deep.equal({
      ...{ resource: 'llm', ...newer },
    });
  });

  it('prints lists as a JSON array, YAML documents, or names', async () => {
    peer.on('GET /api/v1/llms', page([llm, publicLlm]));
    const [j, y, n] = [await session(), await session(), await session()];
    await j.run('get', 'llm', '-o', 'json');
    expect((JSON.parse(j.out()) as { name: string }[]).map(({ name }) => name)).to.deep.equal([
      'tiny-chat',
      'gpt',
    ]);
    await y.run('get', 'llm', '-o', 'yaml');
    expect(y.out().split(/^---$/m)).to.have.length(2);
    await n.run('get', 'llm', '-o', 'name');
    expect(n.out()).to.equal('llm/tiny-chat\nllm/gpt\n');
  });

  it('follows the pages of a list and hands filters on', async () => {
    peer.on('GET /api/v1/llms', (response, request) =>
      (request.url.includes('after=next') ? page([publicLlm]) : page([llm], 'next'))(response, request),
    );
    const s = await session();
    expect(await s.run('get', 'llm', '--status', 'active', '--no-headers')).to.equal(0);
    expect(s.out().split('\n')).to.have.length(3);
    expect(peer.requests.map(({ url }) => url)).to.deep.equal([
      '/api/v1/llms?status=active&limit=500',
      '/api/v1/llms?status=active&limit=500&after=next',
    ]);
  });

  it('says when there are more tasks than asked for', async () => {
    peer.on('GET /api/v1/tasks', page([task, { ...task, id: 'second' }], 'more'));
    const s = await session();
    expect(await s.run('get', 'task', '--limit', '2', '-o', 'name')).to.equal(0);
    expect(s.out()).to.equal(`task/${taskId}\ntask/second\n`);
    expect(s.err()).to.include('more tasks than these 2');
  });

  it('finds nothing without failing', async () => {
    peer.on('GET /api/v1/llms', page([]));
    const s = await session();
    expect(await s.run('get', 'llm')).to.equal(0);
    expect(s.out()).to.equal('');
    expect(s.err()).to.equal('No llms.\n');
    const j = await session();
    await j.run('get', 'llm', '-o', 'json');
    expect(JSON.parse(j.out())).to.deep.equal([]);
  });

  it('lists pools, with ages for people', async () => {
    peer.on('GET /api/v1/pools', page([pool]));
    const s = await session();
    expect(await s.run('get', 'pools', '--no-headers')).to.equal(0);
    expect(s.out().trim().split(/ +/)).to.deep.equal(['tiny-chat', '1', '1', '2', '1', '65s', 'ada']);
  });

  it('refuses an unknown type and a filter that does not fit, before any call', async () => {
    const s = await session();
    expect(await s.run('get', 'lmm')).to.equal(2);
    expect(s.err()).to.include('did you mean llm?');
    // Only the server can know whether there is such a type.
    expect(peer.requests.splice(0).map(({ url }) => url.split('?')[0])).to.deep.equal(['/api/v1/resources']);
    expect(await s.run('get', 'pool', '--status', 'active')).to.equal(2);
    expect(await s.run('get', 'llm', 'a', '--kind', 'public')).to.equal(2);
    expect(await s.run('delete', 'llm')).to.equal(2);
    expect(await s.run('delete', 'pool', 'x', '--yes')).to.equal(2);
    expect(peer.requests).to.have.length(0);
  });

  it('keeps control characters of a server away from a terminal, and colours only there', async () => {
    peer.on('GET /api/v1/llms', page([{ ...llm, model: 'evil\u001b[2J\n\u009bmodel' }]));
    const s = await session({ tty: { stdout: true }, colour: true });
    await s.run('get', 'llm');
    expect(s.out().replaceAll(/\u001b\[(1|22)m/g, '')).to.not.match(
      /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/,
    );
    expect(s.out()).to.include('evil[2J model').and.to.include('\u001b[1mNAME');
    const j = await session({ tty: { stdout: true } });
    await j.run('get', 'llm', '-o', 'json');
    expect(j.out()).to.not.match(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });

  it('describes an llm with its pool and each member', async () => {
    peer.on('GET /api/v1/llms/tiny-chat', answers(200, llm));
    peer.on('GET /api/v1/llms/tiny-chat/members', answers(200, members));
    const s = await session();
    expect(await s.run('describe', 'llm', 'tiny-chat')).to.equal(0);
    expect(s.out()).to.match(/^Name: +tiny-chat\n/);
    expect(s.out()).to.match(/Capabilities: +chat, contextLength=2048\n/);
    expect(s.out()).to.match(/\nPool:\n {2}Key: +tiny-chat\n {2}Size: +1\n {2}Active: +1\n/);
    expect(s.out()).to.match(/\n {2}MEMBER +KIND .*\n {2}tiny-chat +virtual +active +tiny-chat:0.1b +1 +4 /);
  });

  it('describes a task with its error, attempts, request and answer', async () => {
    peer.on(
      `GET /api/v1/tasks/${taskId}`,
      answers(200, {
        ...task,
        status: 'error',
        error: { code: 'backend_error', message: 'It broke.' },
        request: { messages: [{ role: 'user', content: 'one\ntwo' }] },
        response: { choices: [{ message: { content: 'three' } }] },
        attemptLog: [
          { n: 1, llm: 'tiny-chat', session: 's', startedAt: null, endedAt: 'then', reason: 'backend_error' },
          { n: 2, llm: 'tiny-2', session: 's', startedAt: 'later', endedAt: null, reason: 'running' },
        ],
      }),
    );
    const s = await session();
    expect(await s.run('describe', `task/${taskId}`)).to.equal(0);
    expect(s.out()).to.match(/Error: +It broke\. \(backend_error\)\n/);
    expect(s.out()).to.match(
      /Attempts:\n {2}N +MEMBER +STARTED +ENDED +REASON\n {2}1 +tiny-chat +- +then +backend_error\n {2}2 +tiny-2 +later +- +running\n/,
    );
    expect(s.out()).to.include('Request:\n  one\n  two\n').and.to.include('Answer:\n  three\n');
  });

  it('creates an llm from its options and shows the server’s faults by path', async () => {
    peer.on('POST /api/v1/llms', answers(201, publicLlm));
    const s = await session();
    const line = ['create', 'llm', 'gpt', '--type', 'openai', '--model', 'gpt-5', '--url', 'http://h/v1'];
    expect(await s.run(...line, '--api-key-env', 'K', '--pool-name', 'big', '--alias', 'g')).to.equal(0);
    expect(s.out()).to.equal('llm/gpt created\n');
    expect(peer.requests[0]?.body).to.deep.equal({
      name: 'gpt',
      type: 'openai',
      model: 'gpt-5',
      url: 'http://h/v1',
      poolName: 'big',
      apiKeyRef: { env: 'K' },
      aliases: ['g'],
    });
    const details = [{ path: 'url', message: 'must be a URL' }];
    peer.on(
      'POST /api/v1/llms',
      answers(400, { error: 'It has faults.', code: 'invalid_request', requestId: 'r', details }),
    );
    expect(await s.run(...line)).to.equal(1);
    expect(s.err()).to.equal('Error: It has faults. (invalid_request)\n  url: must be a URL\n');
  });

  it('creates what has parts of its own, from an option of more words than one', async () => {
    peer.on('POST /api/v1/projects', answers(201, { resource: 'project', name: 'demo' }));
    const s = await session();
    expect(
      await s.run('create', 'project', 'demo', '--mcp-server', 'files', '--mcp-server', 'git:g'),
    ).to.equal(0);
    expect(peer.requests[0]?.body).to.deep.equal({
      name: 'demo',
      servers: [{ server: 'files' }, { server: 'git', alias: 'g' }],
    });
  });

  it('edits a public llm: what people write, and nothing of what the server keeps', async () => {
    peer.on('GET /api/v1/llms/gpt', answers(200, publicLlm));
    peer.on('PUT /api/v1/llms/gpt', answers(200, { ...publicLlm, revision: 2 }));
    const s = await session({ env: { EDITOR: 'sed -i s/heavy/fast/' } });
    expect(await s.run('edit', 'llm', 'gpt'), s.err()).to.equal(0);
    expect(s.out()).to.equal('llm/gpt edited\n');
    const put = peer.requests.find(({ method }) => method === 'PUT');
    expect(put?.headers['if-match']).to.equal('"1"');
    expect(put?.body).to.include({ tier: 'fast', model: 'gpt-5', poolName: 'big' });
    expect(llmReplaceSchema.safeParse(put?.body).error).to.equal(undefined);
  });

  it('deletes what it can, and leaves with the code of what it could not', async () => {
    peer.on('DELETE /api/v1/llms/a', fails(409, 'llm_published', 'It is published.'));
    peer.on('DELETE /api/v1/llms/b', empty);
    peer.on(`DELETE /api/v1/tasks/${taskId}`, answers(200, { ...task, status: 'cancelled' }));
    const s = await session();
    expect(await s.run('delete', 'llm/a', 'llm/b', `task/${taskId}`, '--yes')).to.equal(1);
    expect(s.out()).to.equal(`llm/b deleted\ntask/${taskId} cancelled\n`);
    expect(s.err()).to.equal('Error: It is published. (llm_published)\n');
  });

  it('does not delete unasked: elsewhere than on a terminal it wants --yes', async () => {
    const s = await session();
    expect(await s.run('delete', 'llm', 'a')).to.equal(2);
    expect(s.err()).to.include('--yes');
    expect(peer.requests).to.have.length(0);
  });

  it('asks on a terminal and takes only yes for yes', async () => {
    peer.on('DELETE /api/v1/llms/a', empty);
    for (const [typed, code] of [
      ['\r', 2],
      ['n\r', 2],
      ['\u0003', 2],
      ['\u0004', 2],
      ['y\r', 0],
    ] as const) {
      const s = await session({ tty: { stdin: true, stderr: true } });
      s.stdin.write(typed);
      expect(await s.run('delete', 'llm', 'a'), JSON.stringify(typed)).to.equal(code);
      expect(s.err()).to.include('Delete llm/a? [y/N]');
    }
    expect(peer.requests).to.have.length(1);
  });
});
