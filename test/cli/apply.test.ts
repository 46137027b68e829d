import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { startSession, type Session } from './session.ts';

const project = 'resource: project\nname: review\ndescription: What we look at.\n';
const prompt = 'resource: prompt\nname: tone\nproject: review\ncontent: |\n  Be brief.\n  Be kind.\n';

describe('cli: apply and diff, with a real edge', () => {
  let edge: EdgeFixture;
  let s: Session;
  const anew = async (): Promise<void> => {
    await s.close();
    s = await startSession(null, { env: { MCPCTL_SERVER: edge.url, MCPCTL_TOKEN: edge.tokens.ada } });
  };
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(s.home, name), text);
    return join(s.home, name);
  };
  before(async () => (edge = await edgeFixture()));
  after(() => edge.close());
  beforeEach(async () => {
    s = await startSession(null);
    await anew();
  });
  afterEach(() => s.close());

  it('makes what the documents of a folder say, says unchanged the second time, and differs once somebody wrote', async () => {
    await mkdir(join(s.home, 'infra', 'more'), { recursive: true });
    await file('infra/b.yaml', `${prompt}---\n`);
    await file('infra/more/a.yml', project);
    await file('infra/notes.txt', 'no document');
    const infra = join(s.home, 'infra');
    expect(await s.run('diff', '-f', infra, '-R'), s.err()).to.equal(3);
    expect(await s.run('apply', '-f', infra, '-R', '--dry-run')).to.equal(0);
    expect(await s.run('apply', '-f', infra, '-R')).to.equal(0);
    expect(await s.run('apply', '-f', infra, '-R')).to.equal(0);
    expect(await s.run('diff', '-f', infra, '-R')).to.equal(0);
    expect(s.out().split('\n')).to.deep.equal([
      ...['prompt/tone of project review is not there', 'project/review is not there'],
      ...['prompt/tone of project review would be created', 'project/review would be created'],
      ...['prompt/tone of project review created', 'project/review created'],
      ...['prompt/tone of project review unchanged', 'project/review unchanged', ''],
    ]);
    const body = { description: 'Somebody was here.' };
    expect((await edge.call('PATCH /api/v1/projects/review', { body })).status).to.equal(200);
    expect(await s.run('diff', '-f', infra, '-R')).to.equal(3);
    expect(s.out()).to.match(
      /\nproject\/review differs: description\n {2}- description: Somebody was here\.\n {2}\+ description: What we look at\.\n$/,
    );
  });

  it('shows and approves tools that are another than a project trusts, and keeps a pin in documents', async () => {
    const session = { providerSessionId: randomUUID(), instanceId: randomUUID(), transports: ['sse'] };
    const post = async (call: string, body: object): Promise<void> => {
      expect((await edge.call(`POST /api/v1/llms/${call}`, { body })).status).to.be.within(200, 201);
    };
    let prompts: object[] = [];
    const report = (description: string, ...more: string[]): Promise<void> =>
      post('_provider-tools', {
        ...{ ...session, server: 'files', journal: session.instanceId, info: { name: 'f', version: '1' } },
        tools: [
          { name: 'read', description, inputSchema: { type: 'object' } },
          ...more.map((name) => ({ name, inputSchema: { type: 'object' } })),
        ],
        prompts,
      });
    await post('_provider-register', {
      ...session,
      providers: [{ name: 'mcp.files', type: 'mcp', model: 'mcp' }],
    });
    await report('as it was');
    expect(await s.run('create', 'project', 'pinned', '--mcp-server', 'files'), s.err()).to.equal(0);
    expect(s.err()).to.equal('files: trusted as they are now: read.\n');
    expect(await s.run('diff', 'server', 'files')).to.equal(0);
    await report('another\u202e', 'new');
    await anew();
    expect(await s.run('diff', 'server', 'files', '--project', 'pinned')).to.equal(3);
    expect(s.out().split('\n')).to.include.members([
      'project/pinned: 0 of the tools of files approved; pin warn: others are there, and marked',
      ...['  new: pending', '  read: changed'],
      ...['    - description: "as it was"', '    + description: "another\\u{202e}"'],
    ]);
    await anew();
    expect(await s.run('approve', 'server', 'files'), 'nobody can be asked').to.equal(2);
    expect(await s.run('approve', 'server', 'files', '--tool', 'read', '-y'), s.err()).to.equal(0);
    expect(s.out()).to.equal('project/pinned approved read\n');
    for (const what of [
      ['project', 'pinned'],
      ['server', 'files'],
    ]) {
      await anew();
      expect(await s.run('describe', ...what), s.err()).to.equal(0);
      expect(s.out()).to.match(/project\/pinned: 1 of the tools of files approved; .*\n +new: pending\n/);
    }
    await anew();
    const servers = [{ server: 'files', pin: 'enforce' }];
    const document = { resource: 'project', name: 'pinned', servers };
    const path = await file('pinned.json', JSON.stringify(document));
    expect(await s.run('apply', '-f', path), s.err()).to.equal(0);
    expect(await s.run('get', 'project', 'pinned', '-o', 'json')).to.equal(0);
    expect(s.out()).to.match(/"pin": "enforce"/);
    expect(await s.run('approve', 'server', 'files', '--yes')).to.equal(0);
    expect(await s.run('diff', 'server', 'files')).to.equal(0);
    expect(await s.run('diff', '-f', path)).to.equal(0);
    // More than one answer shows: what nobody was shown is not approved with the rest.
    await report('as it is', ...Array.from({ length: 40 }, (_, n) => `t${String(n + 10)}`));
    await anew();
    expect(await s.run('approve', 'server', 'files', '--yes'), s.err()).to.equal(0);
    expect(s.err()).to.match(
      /\nOf 9 it is not shown here what differs, and they are not approved: .*--tool, --prompt or --uri\.\n$/,
    );
    expect(await s.run('approve', 'server', 'files', '--tool', 't49', '--yes'), s.err()).to.equal(0);
    await anew();
    expect(await s.run('diff', 'server', 'files')).to.equal(3);
    expect(s.out()).to.match(/^project\/pinned: 33 of the tools/);
    prompts = [{ name: 'review', description: 'Look at it.' }];
    await report('as it is');
    await anew();
    expect(await s.run('diff', 'server', 'files', '--prompt', 'review')).to.equal(3);
    expect(s.out()).to.match(/\n {2}prompt review: pending\n/);
    expect(s.out()).to.not.include('t49');
    await anew();
    expect(await s.run('approve', 'server', 'files', '--prompt', 'review', '-y'), s.err()).to.equal(0);
    expect(s.out()).to.equal('project/pinned approved prompt review\n');
    // A clone trusts what was approved, and not what has come since.
    await report('rewritten');
    expect(await s.run('create', 'project', 'Twin', '--from', 'pinned')).to.equal(1);
    expect(s.err()).to.match(/\n {2}name: a name is 1 to 63/);
    await anew();
    expect(await s.run('create', 'project', 'twin', '--from', 'pinned'), s.err()).to.equal(0);
    expect(s.err()).to.match(/^files: trusted as project 'pinned' has approved them: (?!.*\bread\b)/m);
    await anew();
    expect(await s.run('diff', 'server', 'files', '--project', 'twin')).to.equal(3);
    expect(s.out()).to.match(/\n {2}read: changed\n.*\n? {4}\+ description: "rewritten"/);
    // Of whom the one has approved nothing, the other is not bound to with its approvals.
    await edge.connection.db.raw(
      'update meant_names m set owner_id = (select u.id from users u where u.id <> m.owner_id limit 1) where m.name = ?',
      ['files'],
    );
    await anew();
    expect(await s.run('create', 'project', 'third', '--from', 'pinned')).to.equal(2);
    expect(s.err()).to.include("names that are somebody else's by now").and.include("server 'files'");
  });

  it('shows what differs, line by line, and no value of a secret', async () => {
    const root = { env: { MCPCTL_SERVER: edge.url, MCPCTL_TOKEN: edge.tokens.root } };
    const at = async (content: string, value: string): Promise<Session> => {
      await s.close();
      s = await startSession(null, root);
      const secret = { resource: 'secret', name: 'openai', data: { KEY: value } };
      const tone = { resource: 'prompt', name: 'tone', content };
      await file('all.json', JSON.stringify([secret, tone, { resource: 'group', name: 'gpu', members: [] }]));
      return s;
    };
    const lines = Array.from({ length: 9 }, (_, n) => `Line ${n}.`);
    const first = await at(lines.join('\n'), 'sk-before-0123456789');
    expect(await first.run('apply', '-f', join(first.home, 'all.json')), first.err()).to.equal(0);
    const second = await at(lines.with(4, 'Another.').join('\n'), 'sk-canary-0123456789');
    expect(await second.run('diff', '-f', join(second.home, 'all.json')), second.err()).to.equal(3);
    expect(second.out().split('\n')).to.deep.equal([
      ...['secret/openai differs: data', 'prompt/tone differs: content'],
      ...[
        '      Line 2.',
        '      Line 3.',
        '  -   Line 4.',
        '  +   Another.',
        '      Line 5.',
        '      Line 6.',
        '',
      ],
    ]);
    expect(second.out() + second.err()).not.to.match(/canary|before/);
    for (const call of ['secrets/openai', 'groups/gpu'])
      expect((await edge.call(`DELETE /api/v1/${call}`, { token: edge.tokens.root })).status).to.equal(204);
  });

  it('shows what differs of a pool that is not there before its first llm', async () => {
    const llm = {
      resource: 'llm',
      name: 'desk-1',
      type: 'openai',
      model: 'm',
      url: 'https://a.example/v1',
      poolName: 'desk',
    };
    const pool = { resource: 'pool', poolKey: 'desk', allowed: ['bob'] };
    await s.close();
    s = await startSession(null, { env: { MCPCTL_SERVER: edge.url, MCPCTL_TOKEN: edge.tokens.root } });
    s.stdin.end(JSON.stringify([llm, pool]));
    expect(await s.run('diff', '-f', '-'), s.err()).to.equal(3);
    expect(s.out()).to.equal(
      'llm/desk-1 is not there\npool/desk differs: allowed\n  + allowed:\n  +   - bob\n',
    );
  });

  it('takes what get prints, and leaves all as it is', async () => {
    s.stdin.end(`${project}---\n${prompt}`);
    expect(await s.run('apply', '-f', '-')).to.equal(0);
    await anew();
    expect(await s.run('get', 'project', '-o', 'yaml')).to.equal(0);
    const printed = s.out();
    await anew();
    expect(await s.run('get', 'prompt', '-o', 'yaml')).to.equal(0);
    const documents = `${printed}---\n${s.out()}`;
    await anew();
    s.stdin.end(documents);
    expect(await s.run('diff', '-f', '-')).to.equal(0);
    expect(s.err()).to.equal('Everything is as the documents say.\n');
  });

  it('names file, line and field of each fault, and repeats nothing of the file', async () => {
    const wrong = await file(
      'wrong.yaml',
      `${project}---\nresource: prompt\nname: p\ncolour: sk-secret-1\ncontent: 7\n`,
    );
    expect(await s.run('apply', '-f', wrong)).to.equal(1);
    expect(s.err())
      .to.include(`${wrong}:8 content: `)
      .and.to.include(`${wrong}:7 colour: is not a field here`)
      .and.not.to.include('sk-secret');
    const twice = await file('twice.yaml', `${project}---\n\n${project}`);
    expect(await s.run('apply', '-f', twice)).to.equal(1);
    expect(s.err()).to.include(`${twice}:6: It is the same project as the one at ${twice}:1.`);
    const none = await file('none.yaml', 'a: [sk-secret-2\nb: 1\n');
    expect(await s.run('apply', '-f', none)).to.equal(2);
    expect(s.err())
      .to.match(/none\.yaml: Line \d: This is not YAML/)
      .and.not.to.include('sk-secret-2');
    expect(await s.run('apply', '-f', join(s.home, 'nobody.yaml'))).to.equal(2);
    expect(await s.run('apply', '-f', await file('empty.yaml', '# nothing\n'))).to.equal(2);
    expect(s.err()).to.include('There is no document in what was named.');
    const many = await file('many.yaml', Array.from({ length: 501 }, () => project).join('---\n'));
    expect(await s.run('apply', '-f', many)).to.equal(2);
    expect(s.err()).to.include('501 documents');
  });
});
