import { expect } from 'chai';
import { Kept } from '../../../edge/mcp/kept.ts';
import { edgeFixture, type EdgeFixture } from '../../support/edge.ts';
import { projectCalls } from './scripted-worker.ts';

describe('prompts that an edge has read', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let asked: string[] = [];
  before(async () => {
    t = await edgeFixture();
    t.connection.db.on('query', ({ sql }: { sql: string }) => asked.push(sql));
    await project('demo', { gate: 'require', servers: [] });
    await prompt('demo', 'house', { priority: 1_000, content: 'Be kind.' });
  });
  after(() => t.close());
  const { api, project, prompt } = projectCalls(() => t);

  const ask = async <T>(method: string, params: object): Promise<T> => {
    const body = { jsonrpc: '2.0', id: 1, method, params };
    const { json, text } = await t.call('POST /mcp/projects/demo', { token: t.tokens.root, body });
    return (json as { result?: T }).result ?? expect.fail(text);
  };
  const begin = async (task: string): Promise<string> => {
    const given = { name: 'begin_session', arguments: { task } };
    const { content } = await ask<{ content: { text: string }[] }>('tools/call', given);
    return content[0]?.text ?? '';
  };
  const names = async (): Promise<string[]> =>
    (await ask<{ prompts: { name: string }[] }>('prompts/list', {})).prompts.map(({ name }) => name);
  /** How many questions read prompts, or texts of some. */
  const reads = (): number => asked.filter((sql) => /from "prompts"/.test(sql)).length;

  it('are told again without being read again, whatever the task is', async () => {
    await begin('One');
    asked = [];
    expect(await begin('Two')).to.equal(await begin('Three'));
    expect(reads()).to.equal(0);
  });

  it('are as they are now: changed, added, and gone again', async () => {
    await begin('One');
    await api('PATCH /api/v1/prompts/house', { content: 'Be brief.' });
    expect(await begin('One')).to.equal('## house (priority 1000)\n\nBe brief.');
    await prompt('demo', 'more', { content: 'And this.' });
    expect(await begin('One')).to.include('And this.');
    await api('DELETE /api/v1/prompts/more');
    expect(await begin('One')).to.equal('## house (priority 1000)\n\nBe brief.');
  });

  it('are not kept as of a revision that they were not read at', async () => {
    const { mcp } = t.deps.registry;
    const prompts = mcp.prompts.bind(mcp);
    await api('PATCH /api/v1/prompts/house', { content: 'Before.' });
    // As who asks knows the revision, a prompt comes; it is read with the others, and goes again.
    mcp.prompts = async (projectId) => {
      mcp.prompts = prompts;
      await prompt('demo', 'passing', { content: 'For a moment.' });
      const read = await prompts(projectId);
      await api('DELETE /api/v1/prompts/passing');
      return read;
    };
    expect(await names(), 'as they were read').to.deep.equal(['house', 'passing']);
    expect(await names()).to.deep.equal(['house']);
    expect(await begin('One')).to.equal('## house (priority 1000)\n\nBefore.');
  });
});

describe('what is kept for a while', () => {
  it('is what was asked for last, of one user and of all, and for ten minutes', () => {
    let now = 0;
    const kept = new Kept<string>({ elapsed: () => now }, { most: 10, mostOfUser: 6, least: 1 });
    const keep = (userId: string, key: string, size: number) =>
      kept.keep(`${userId} ${key}`, { userId, value: key, size });
    const there = (...keys: string[]) => keys.filter((key) => kept.get(key) !== undefined);
    keep('ada', '1', 3);
    keep('ada', '2', 3);
    expect(there('ada 1')).to.have.length(1);
    keep('ada', '3', 3);
    expect(there('ada 1', 'ada 2', 'ada 3'), 'the one that was not asked for').to.deep.equal([
      'ada 1',
      'ada 3',
    ]);
    keep('ada', '4', 7);
    expect(there('ada 4'), 'more than a user may have').to.deep.equal([]);
    keep('bob', '1', 5);
    expect(there('ada 1', 'ada 3', 'bob 1'), 'in all').to.deep.equal(['ada 3', 'bob 1']);
    now = 600_001;
    expect(there('ada 3', 'bob 1')).to.deep.equal([]);
    const empty = Array.from({ length: 20 }, (_, n) => `ada empty${String(n)}`);
    for (const key of empty) kept.keep(key, { userId: 'ada', value: '', size: 0 });
    expect(there(...empty), 'of what is nothing as well').to.have.length(6);
  });
});
