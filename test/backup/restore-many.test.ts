import { randomUUID as newId } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import type { BackupDocument } from '../../core/backup/format.ts';
import { labelOf } from '../../core/declared/kinds.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { backupCalls, crafted, documentsIn, fill } from './installation.ts';

describe('restore, of many and of before', function () {
  this.timeout(20_000);
  let there: EdgeFixture;
  let file: string;
  const to = backupCalls(() => there);

  before(async () => {
    const here = await edgeFixture();
    const at = backupCalls(() => here);
    await fill(at, here.tokens.ada);
    file = await at.backup();
    await here.close();
  });
  beforeEach(async () => (there = await edgeFixture()));
  afterEach(() => there.close());

  it('takes what the first release that made backups has made, secrets and all', async () => {
    await there.close();
    there = await edgeFixture({ MCPCTL_SECRETS_KEY: Buffer.alloc(32, 7).toString('base64') });
    const first = await readFile(new URL('first-release.ndjson', import.meta.url), 'utf8');
    expect(first.split('\n')[0]).to.include('"format":1').and.to.include('"schema":"0041-declared"');
    const { status, outcomes, json, details } = await to.restore(first);
    expect(details).to.deep.equal([]);
    expect([status, json.genuine]).to.deep.equal([200, true]);
    expect(outcomes).to.include.members([
      ...['user/grace created', 'group/gpu created', 'rbac/publishers created', 'secret/openai created'],
      ...['project/review created', 'prompt/tone created', 'llm/tiny created', 'pool/small created'],
    ]);
    const { json: value } = await to.api('POST /secrets/openai/reveal', {});
    expect(value).to.deep.include({ data: { KEY: 'sk-canary-0123456789' } });
    // What it did not know yet has its default.
    expect((await to.api('GET /agents/critic')).json).to.deep.include({ owner: 'ada', extras: {} });
    const twice = (await to.restore(first)).outcomes.filter((line) => !/ (unchanged|kept|named)$/.test(line));
    expect(twice).to.deep.equal([]);
  });

  describe('many at once', () => {
    const n = 40;
    const each = (make: (at: number) => object): BackupDocument[] =>
      Array.from({ length: n }, (_, at) => ({ id: newId(), revision: 3, ...make(at) }) as never);
    const many = (owner = 'root'): string =>
      crafted(file, (documents) => [
        ...documents.filter(({ resource }) => resource === 'llm' || resource === 'pool'),
        // The second is the first one's, who comes with it.
        ...each((at) => ({ resource: 'user', name: `m${at}`, owner: at === 1 ? 'm0' : owner })),
        ...each((at) => ({ resource: 'group', name: `g${at}`, members: [`m${at}`], owner })),
        ...each((at) => ({ resource: 'project', name: `p${at}`, description: `Of ${at}`, owner: `m${at}` })),
        ...each((at) => ({
          resource: 'agent',
          name: `a${at}`,
          llm: 'tiny',
          project: `p${at}`,
          owner: `m${at % 2}`,
        })),
        ...each((at) => ({
          resource: 'prompt',
          name: 'tone',
          project: `p${at}`,
          content: 'x',
          owner: `m${at}`,
        })),
      ]);
    const dozen = n * 5;

    it('are what each would be by itself, with few questions: owners, ids, names, revisions and what is told of them', async () => {
      let asked = 0;
      there.connection.db.on('query', () => (asked += 1));
      const text = many();
      const { status, outcomes } = await to.restore(text, { enableUsers: true });
      expect([status, outcomes.filter((line) => line.endsWith(' created')).length]).to.deep.equal([
        200,
        dozen + 3,
      ]);
      expect(asked, 'some for each group, whose members are its own').to.be.below(dozen * 3);
      const wanted = documentsIn(text).filter(({ resource }) => resource !== 'pool');
      const made = documentsIn(await to.backup());
      for (const { resource, id, name, owner, revision } of wanted) {
        const now = made.find((one) => one.resource === resource && one.id === id);
        expect(
          [now?.['name'], now?.['owner'], now?.['revision']],
          `${resource}/${String(name)}`,
        ).to.deep.equal([name, owner, Number(revision) + 1]);
      }
      const { rows } = await there.connection.db.raw<{ rows: { resource: string; count: number }[] }>(
        `select resource, count(distinct object_id)::int as count from audit
         where verb = 'create' and object_name ~ '^([mgpa][0-9]+|tone)$' group by 1 order by 1`,
      );
      expect(rows.map(({ count }) => count)).to.deep.equal(Array(5).fill(n));
      const again = await to.restore(text, { enableUsers: true });
      expect(again.outcomes.filter((line) => !/ (unchanged|kept)$/.test(line))).to.deep.equal([]);
      const taken = { name: 'a7', type: 'openai', model: 'm', url: 'https://a.test/v1' };
      expect((await to.api('POST /llms', taken)).json).to.have.property('code', 'name_taken');
    });

    it('and one of them in the way: it is told of alone, and the others are made where it is left out', async () => {
      await to.made('POST /users', { name: 'm5' });
      await to.made('DELETE /users/m5');
      await to.made('POST /projects', { name: 'p9', description: 'Another.' });
      // Not seen before: no project has a prompt of another id and of that name, but this one.
      await to.made('POST /prompts', { name: 'tone', project: 'p9', content: 'y' });
      const text = many();
      const { status, details } = await to.restore(text);
      expect([status, details.map(({ path }) => path)]).to.deep.equal([
        409,
        ['project/p9', 'prompt/tone of project p9'],
      ]);
      expect((await to.api('GET /users/m1')).status, 'nothing was written').to.equal(404);
      const { items } = await to.restore(text, { onConflict: 'skip' });
      const left = items.flatMap(({ resource, name, of, outcome }) =>
        outcome === 'skipped' ? [labelOf({ resource, name, of })] : [],
      );
      expect(left).to.deep.equal(['user/m5', 'project/p9', 'prompt/tone of project p9']);
    });

    it('and who restores may not make some of them: nothing is there', async () => {
      await to.made('POST /rbac', {
        ...{ name: 'restorers', subjects: [{ kind: 'user', name: 'ada' }], operations: ['restore'] },
        bindings: ['project', 'prompt'].map((resource) => ({ role: 'create', resource })),
      });
      const only = { only: ['project', 'prompt'] };
      const { status, code } = await to.restore(many('bob'), only, there.tokens.ada);
      expect([status, code]).to.deep.equal([200, undefined], 'of owners who are not here they are hers');
      await to.made('DELETE /projects/p1');
      await to.made('POST /users', { name: 'm1' });
      const others = await to.restore(many('bob'), { ...only, onConflict: 'skip' }, there.tokens.ada);
      expect([others.status, others.code]).to.deep.equal([403, 'forbidden']);
      expect(others.details.map(({ path }) => path)).to.deep.equal([
        'project/p1',
        'prompt/tone of project p1',
      ]);
    });
  });
});
