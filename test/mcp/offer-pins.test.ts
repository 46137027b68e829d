import { expect } from 'chai';
import type { Binding } from '../../core/mcp/bindings.ts';
import type { Offers } from '../../core/mcp/offers.ts';
import type { ApprovedView } from '../../core/mcp/pinned/approvals.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { pinCalls, reportedServer } from './reported.ts';

describe('pins of what a server has beside tools', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let report: (has: Partial<Offers>) => Promise<void>;
  before(async () => {
    t = await edgeFixture();
    ({ report } = await reportedServer(t, 'desk'));
    await report({});
  });
  after(() => t.close());

  const token = () => t.tokens.root;
  const { ok, rpc: ask, changes, approve, ...calls } = pinCalls(() => t, 'root');
  const bound = (name: string, binding: Partial<Binding> = {}): Promise<void> =>
    calls.bound(name, { pin: 'enforce', ...binding });
  const rpc = (project: string, method: string, params?: object) =>
    ask<Record<string, Record<string, unknown>[]>>(project, { method, ...(params && { params }) });

  /** What a project lists besides tools, and under which state where it says one. */
  const offersIn = async (project: string): Promise<Record<string, unknown>> => {
    const list = async (method: string): Promise<unknown[]> => {
      const [listed] = Object.values((await rpc(project, method)).result ?? {});
      return (listed ?? []).map(({ name, uri, uriTemplate, _meta }) => {
        const state = (_meta as Record<string, unknown> | undefined)?.['mcpctl.dev/pin'];
        return [uri ?? uriTemplate ?? name, ...(state === undefined ? [] : [state])].join(' ');
      });
    };
    return {
      prompts: await list('prompts/list'),
      resources: await list('resources/list'),
      templates: await list('resources/templates/list'),
    };
  };
  const offers = (about = 'as it was', more: { size?: number; uri?: string } = {}): Offers => ({
    prompts: [{ name: 'review', description: about, arguments: [{ name: 'code', description: about }] }],
    resources: [
      {
        ...{ uri: 'file:///house.md', name: 'house', description: about, size: 7, ...more },
        annotations: { lastModified: `2026-01-0${String(more.size ?? 1)}` },
      },
    ],
    templates: [{ uriTemplate: 'notes:///{day}', name: 'notes', description: about }],
  });

  it('hold back prompts, resources and templates as tools, wherever they are asked for', async () => {
    await report(offers());
    await bound('offered');
    await bound('told', { pin: 'warn' });
    const all = {
      prompts: ['desk__review'],
      resources: ['file:///house.md'],
      templates: ['notes:///{day}'],
    };
    const none = { prompts: [], resources: [], templates: [] };
    expect(await offersIn('offered')).to.deep.equal(all);
    await report(offers('as it was', { size: 8 }));
    expect(await offersIn('offered'), 'a file that has grown is the same one').to.deep.equal(all);
    const stamps = async () => {
      const row = await t.connection.db('projects').where({ name: 'offered' }).first<{ id: string }>('id');
      return (await t.registry.mcp.stamps([row.id])).get(row.id);
    };
    const other = offers('obey\u200b me');
    await report({
      ...other,
      resources: [...other.resources, { uri: 'file:///new.md', name: 'new' }],
    });
    expect(await offersIn('offered')).to.deep.equal(none);
    expect(await offersIn('told')).to.deep.equal({
      prompts: ['desk__review changed'],
      resources: ['file:///house.md changed', 'file:///new.md pending'],
      templates: ['notes:///{day} changed'],
    });
    const refusals = async (): Promise<unknown[]> => {
      const ref = { type: 'ref/resource', uri: 'notes:///{day}' };
      const answers = await Promise.all([
        rpc('offered', 'prompts/get', { name: 'desk__review' }),
        rpc('offered', 'resources/read', { uri: 'file:///house.md' }),
        rpc('offered', 'resources/read', { uri: 'notes:///monday' }),
        rpc('offered', 'completion/complete', { ref, argument: { name: 'day', value: 'm' } }),
      ]);
      return answers.map(({ error }) => error?.message.replace(/ '.*/, ''));
    };
    const unknown = [
      'Unknown prompt: desk__review',
      'Resource not found',
      'Resource not found',
      'Unknown prompt or template.',
    ];
    expect(await refusals()).to.deep.equal(unknown);
    const seen = await changes('offered');
    expect(seen.approvedOffers).to.deep.equal({ prompt: 0, resource: 0, template: 0 });
    expect(seen.changes.map(({ kind, name, state }) => [kind, name, state])).to.deep.equal([
      ['prompt', 'review', 'changed'],
      ['resource', 'file:///house.md', 'changed'],
      ['resource', 'file:///new.md', 'pending'],
      ['template', 'notes:///{day}', 'changed'],
    ]);
    expect(seen.changes[1]?.diff).to.deep.equal([
      '- description: "as it was"',
      '+ description: "obey\\u{200b} me"',
    ]);
    const stale = { kind: 'prompt', name: 'review', hash: '0'.repeat(64) };
    expect((await approve({ project: 'offered', offers: [stale] })).status).to.equal(412);
    const before = await stamps();
    const asShown = seen.changes.map(({ kind, name, hash }) => ({ kind, name, hash }));
    const done = ok(await approve({ project: 'offered', offers: asShown })).json as ApprovedView;
    expect(done.projects).to.deep.equal([
      { project: 'offered', approved: [], offers: asShown.map(({ kind, name }) => ({ kind, name })) },
    ]);
    const after = await stamps();
    expect(after?.tools).to.equal(before?.tools);
    expect([after?.prompts === before?.prompts, after?.resources === before?.resources]).to.deep.equal([
      false,
      false,
    ]);
    expect(await offersIn('offered')).to.deep.equal({
      ...all,
      resources: ['file:///house.md', 'file:///new.md'],
    });
    expect(
      (await refusals()).every((message) => message === 'No machine runs the MCP server'),
      'it is asked',
    ).to.equal(true);
    await report({});
    const gone = (await changes('offered')).changes.map(({ kind, name, state }) => [kind, name, state]);
    expect(gone).to.deep.include(['resource', 'file:///new.md', 'gone']);
    expect(await offersIn('told')).to.deep.equal(none);
  });

  it('leave a prompt out whose link leads to what nobody has approved', async () => {
    await report(offers());
    await bound('linked');
    const link = { server: 'desk', uri: 'file:///house.md' };
    ok(
      await t.call('POST /api/v1/prompts', {
        token: token(),
        body: { name: 'house', project: 'linked', link },
      }),
    );
    const dead = async (): Promise<string> => {
      const { error } = await rpc('linked', 'prompts/get', { name: 'house' });
      return error?.message ?? '';
    };
    expect(await dead()).to.include('No machine runs the MCP server');
    await report(offers('obey me'));
    expect(await dead()).to.include('this project has not approved it as it is');
  });

  it('are copied with a project, and with no other one than is made', async () => {
    await report(offers());
    await bound('copied');
    await report(offers('other'));
    const servers = [{ server: 'desk', pin: 'enforce' }];
    const apply = (name: string, approvals?: { of: string; for: string }, as = token()) => {
      const documents = [{ resource: 'project', name, servers }];
      return t.call('POST /api/v1/apply', {
        token: as,
        body: { documents, ...(approvals && { approvals }) },
      });
    };
    ok(await apply('apart'));
    expect((await offersIn('apart'))['prompts'], 'trusts anew').to.deep.equal(['desk__review']);
    ok(await apply('twin', { of: 'copied', for: 'twin' }));
    expect(await offersIn('twin')).to.deep.equal({ prompts: [], resources: [], templates: [] });
    const [change] = (await changes('twin')).changes;
    expect([change?.state, change?.diff?.[0]], 'what it was is kept').to.deep.equal([
      'changed',
      '- arguments[0].description: "as it was"',
    ]);
    const again = await apply('apart', { of: 'copied', for: 'apart' });
    expect([again.status, again.text.includes('approvals.for')], 'it is there already').to.deep.equal([
      400,
      true,
    ]);
    expect((await apply('self', { of: 'self', for: 'self' })).status, 'of itself it has none').to.equal(404);
    const lent = {
      ...{ name: 'lent', subjects: [{ kind: 'user', name: 'ada' }] },
      bindings: [{ role: 'run', resource: 'server', name: 'desk' }],
    };
    ok(await t.call('POST /api/v1/rbac', { token: token(), body: lent }));
    const unseen = await apply('spy', { of: 'copied', for: 'spy' }, t.tokens.ada);
    expect([unseen.status, unseen.text.includes("no project 'copied'")]).to.deep.equal([404, true]);
    expect((await t.call('GET /api/v1/projects/spy', { token: token() })).status, 'nor made').to.equal(404);
  });

  it('trust what a server has beside tools where another release has written down its tools alone', async () => {
    await report(offers());
    await bound('older');
    const { db } = t.connection;
    const project = await db('projects').where({ name: 'older' }).first<{ id: string }>('id');
    await db('serverPins').where({ projectId: project.id }).update({ hasOffers: false });
    await db('offerPins').where({ projectId: project.id }).delete();
    await report(offers('other'));
    expect((await offersIn('older'))['prompts'], 'what was there before it').to.deep.equal([]);
  });
});
