import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { expect } from 'chai';
import { edgeFixture, type Answer, type EdgeFixture } from '../../support/edge.ts';
import { note } from '../../support/measured.ts';
import { until } from '../../support/system.ts';
import { secondEdge, type SecondEdge } from '../../relay/second-edge.ts';
import { projectCalls, scriptedWorker, type ScriptedWorker } from '../briefing/scripted-worker.ts';
import { hello } from '../streamed.ts';
import { watchAt } from './watched.ts';

describe('who watches what clients ask of a project', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let worker: ScriptedWorker;
  let other: SecondEdge;
  let id = 0;
  before(async () => {
    t = await edgeFixture();
    other = await secondEdge(t);
    worker = await scriptedWorker(t, { server: 'desk', llm: 'small' });
    await project('demo', { pipeline: { redact: ['token-[a-z]+'], limit: { max: 2_000 } } });
    await project('other', {});
    await project('told', { gate: 'require' });
    await prompt('told', 'house', { priority: 1_000, content: 'Be kind.' });
    await prompt('told', 'releases', { tags: ['release'], content: 'Tag.' });
    await api('POST /api/v1/rbac', {
      name: 'callers',
      subjects: [
        { kind: 'user', name: 'ada' },
        { kind: 'user', name: 'bob' },
      ],
      bindings: ['demo', 'other', 'told'].map((name) => ({ role: 'run', resource: 'project', name })),
    });
  });
  after(async () => {
    worker.close();
    await other.close();
    await t.close();
  });

  const { api, project, prompt } = projectCalls(() => t);
  const ask = (
    method: string,
    params: object = {},
    how: { token?: string; to?: string; headers?: object } = {},
  ) =>
    t.call(`POST /mcp/projects/${how.to ?? 'demo'}`, {
      token: how.token ?? t.tokens.root,
      body: { jsonrpc: '2.0', id: ++id, method, params },
      headers: { ...how.headers },
    });
  const call = (name: string, given: object = {}, how: Parameters<typeof ask>[2] = {}) =>
    ask('tools/call', { name, arguments: given }, how);
  const streams = async (): Promise<string[]> => {
    const { redis, keys } = t.deps.queue;
    return (await redis.keys(`${keys.namespace}:*`)).filter((key) => /:(cap|watch|watchers)\b/.test(key));
  };

  it('sees at one edge what is asked at another: who, what, how long and what came of it, and none of what is said', async () => {
    const params = { ...hello, clientInfo: { name: 'Claude Code', version: '2.1' } };
    const begun = await ask('initialize', params, { token: t.tokens.ada });
    const headers = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' };
    await call('desk__echo', { before: 'nobody watched' });
    expect(await streams(), 'while nobody watches').to.deep.equal([]);
    const [watch, elsewhere] = [
      await watchAt(other.url, t.tokens.root),
      await watchAt(other.url, t.tokens.root, { project: 'other' }),
    ];
    worker.server = () => ({ result: { content: [{ type: 'text', text: 'a token-abc of theirs' }] } });
    const answer = await call('desk__echo', { what: 'my-words' }, { token: t.tokens.ada, headers });
    const seen = await watch.exchange(({ name }) => name === 'desk__echo');
    const { at, ms, bytes, ...rest } = seen;
    expect(rest).to.deep.equal({
      ...{ user: 'ada', token: 'test', client: 'Claude-Code/2.1', era: 'legacy' },
      ...{ method: 'tools/call', name: 'desk__echo', server: 'desk', tool: 'echo' },
      taskId: answer.headers.get('x-mcpctl-task-id'),
      ...{ replayed: false, outcome: 'ok', status: 200, stages: ['redact'], gate: [] },
    });
    expect(Date.parse(at)).to.be.closeTo(Date.now(), 60_000);
    expect(bytes).to.deep.equal({ request: bytes.request, answer: Buffer.byteLength(answer.text) });
    expect(bytes.request).to.be.within(80, 200);
    expect(
      [ms.queue, ms.run, ms.pipeline, ms.total].every((one) => typeof one === 'number' && one >= 0),
    ).to.equal(true);
    expect(watch.exchanges(), 'that was before').to.have.length(1);
    const everything = JSON.stringify(watch.heard);
    for (const word of ['my-words', 'token-abc', 'nobody watched']) expect(everything).not.to.include(word);
    await call('desk__echo', {}, { to: 'other' });
    await elsewhere.exchange(({ name }) => name === 'desk__echo');
    expect([watch.exchanges().length, elsewhere.exchanges().length]).to.deep.equal([1, 1]);
    const keys = await streams();
    expect(keys.filter((key) => key.includes(':cap:'))).to.have.length(2);
    watch.close();
    elsewhere.close();
    await until(streams, (left) => left.length === 0);
  });

  it('sees each request, and how it failed', async () => {
    const watch = await watchAt(t.url, t.tokens.root);
    const cases: [Promise<Answer>, string, string | null, string][] = [];
    const one = async (...asked: (typeof cases)[number]): Promise<void> => {
      await asked[0];
      cases.push(asked);
    };
    const notice = { token: t.tokens.root, body: { jsonrpc: '2.0', method: 'notifications/told' } };
    await one(t.call('POST /mcp/projects/demo', notice), 'notifications/told', null, 'ok');
    await one(ask('tools/list'), 'tools/list', null, 'ok');
    await one(ask('nothing/such'), 'nothing/such', null, 'unknown_method');
    await one(call('desk__none'), 'tools/call', 'desk__none', 'invalid_params');
    worker.server = () => ({ result: { isError: true, content: [{ type: 'text', text: 'no' }] } });
    await one(call('desk__write'), 'tools/call', 'desk__write', 'tool_failed');
    // Whatever a server says is no word of ours, and may be long.
    const data = { code: 'their words '.repeat(1_000) };
    worker.server = () => ({ error: { code: -32_000, message: 'broken', data } });
    await one(call('desk__write'), 'tools/call', 'desk__write', '-32000');
    worker.server = () => ({ nothing: true });
    await one(call('desk__echo'), 'tools/call', 'desk__echo', 'mcp_server_failed');
    await one(ask('resources/read', { uri: 'file:///none' }), 'resources/read', 'file:///none', '-32002');
    await one(
      ask('ping', {}, { headers: { 'mcp-session-id': 'v1.x.y' } }),
      'ping',
      null,
      'mcp_session_not_found',
    );
    worker.server = () => ({ result: { content: [{ type: 'text', text: 'x'.repeat(9_000) }] } });
    await one(call('desk__long'), 'tools/call', 'desk__long', 'invalid_params');
    await one(call('desk__echo'), 'tools/call', 'desk__echo', 'ok');
    const last = await watch.exchange(({ stages }) => stages.includes('limit'));
    expect(last.stages).to.deep.equal(['redact', 'limit']);
    const [notified] = watch.exchanges();
    expect([notified?.status, notified?.bytes.answer], 'an answer without a body').to.deep.equal([202, 0]);
    expect(String(notified?.ms.total)).to.match(/^\d+(\.\d)?$/);
    expect(watch.exchanges().map(({ method, name, outcome }) => [method, name, outcome])).to.deep.equal(
      cases.map(([, ...rest]) => rest),
    );
    watch.close();
  });

  it('sees who was briefed, and why a prompt was chosen', async () => {
    const watch = await watchAt(other.url, t.tokens.root, { project: 'told' });
    const how = { to: 'told', token: t.tokens.ada };
    await call('desk__echo', {}, how);
    expect((await watch.exchange(({ outcome }) => outcome === 'briefing_required')).gate).to.deep.equal([
      { kind: 'gated' },
    ]);
    await call('begin_session', { task: 'Make a release of my-secret-thing' }, how);
    const { user, gate } = await watch.exchange(({ name }) => name === 'begin_session');
    expect([user, gate]).to.deep.equal([
      'ada',
      [
        {
          ...{ kind: 'briefed', by: 'begin_session', llm: null, more: 0, listed: 0, dead: [] },
          chosen: [
            { name: 'house', why: 'always told' },
            { name: 'releases', why: 'score 15: weight 5, words in tags 1, name 0, summary 0' },
          ],
        },
      ],
    ]);
    await call('read_prompts', { names: ['house', 'none'] }, how);
    const read = await watch.exchange(({ name }) => name === 'read_prompts');
    expect(read.gate).to.deep.equal([{ kind: 'read', names: ['house'] }]);
    expect(JSON.stringify(watch.heard)).not.to.match(/my-secret-thing|Be kind/);
    watch.close();
  });

  it('sees what is their own where they may not edit the project, and reads what is theirs, or with logs, and no other', async () => {
    const query = '?bodies=true';
    await api('POST /api/v1/rbac', {
      name: 'edits',
      subjects: [{ kind: 'user', name: 'ada' }],
      bindings: [{ role: 'edit', resource: 'project', name: 'demo' }],
    });
    const [all, own, reads] = [
      await watchAt(t.url, t.tokens.ada, { query }),
      await watchAt(other.url, t.tokens.bob, { query }),
      await watchAt(t.url, t.tokens.root, { query }),
    ];
    expect([all, own].map(({ heard: [hello] }) => hello?.data)).to.deep.equal([
      { project: 'demo', sees: 'all', bodies: true },
      { project: 'demo', sees: 'own', bodies: true },
    ]);
    worker.server = () => ({ result: { content: [{ type: 'text', text: 'of token-xyz' }] } });
    await call('desk__echo', { n: 1 });
    await call('desk__echo', { n: 2, key: 'token-uvw' }, { token: t.tokens.bob });
    const bodies = {
      request: { name: 'echo', arguments: { n: 2, key: '[redacted]' } },
      answer: { result: { content: [{ type: 'text', text: 'of [redacted]' }] } },
      isCut: false,
    };
    for (const watch of [own, reads])
      expect((await watch.exchange(({ user }) => user === 'bob')).bodies).to.deep.equal(bodies);
    expect(own.exchanges()).to.have.length(1);
    for (const whose of ['root', 'bob']) {
      const one = await all.exchange(({ user }) => user === whose);
      expect([one.bodies, one.noBodies]).to.deep.equal([
        undefined,
        'What is said in a call of others may read only who has the operation logs.',
      ]);
    }
    worker.server = () => ({ result: { content: [{ type: 'text', text: 'é'.repeat(60_000) }] } });
    const answer = await call('desk__echo', { n: 3 }, { token: t.tokens.ada });
    const long = (await reads.exchange(({ user }) => user === 'ada')).bodies;
    expect([long?.request, long?.isCut]).to.deep.equal([{ name: 'echo', arguments: { n: 3 } }, true]);
    expect(Buffer.byteLength(String(long?.answer))).to.be.within(40_000, 65_536);
    await call('desk__echo', {}, { token: t.tokens.ada, headers: { 'x-mcpctl-retention': 'none' } });
    expect((await reads.exchange(({ noBodies }) => noBodies !== undefined)).noBodies).to.equal(
      'It is not kept.',
    );
    await api('POST /api/v1/rbac', {
      name: 'edits-too',
      subjects: [{ kind: 'user', name: 'bob' }],
      bindings: [{ role: 'edit', resource: 'project', name: 'demo' }],
    });
    await until(
      () => t.call('GET /api/v1/projects/demo/watchers', { token: t.tokens.bob }),
      ({ status }) => status === 200,
    );
    await call('desk__echo', {}, { token: t.tokens.ada });
    await call('desk__echo', { n: 4 }, { token: t.tokens.bob });
    await own.exchange((one) => JSON.stringify(one.bodies?.request)?.includes('"n":4') === true);
    const whose = new Set(own.exchanges().map(({ user }) => user));
    expect([...whose], 'of whom it is not on record that they see more').to.deep.equal(['bob']);
    await api('DELETE /api/v1/rbac/edits-too');
    for (const watch of [all, own, reads]) watch.close();
    const { items } = (await api('GET /api/v1/audit?verb=view')).json as { items: Record<string, unknown>[] };
    const seen = items.map(({ resource, name, changes }) => [resource, name, changes]);
    expect(seen).to.deep.include(['project', 'demo', [{ field: 'traffic', to: 'with bodies' }]]);
    expect(seen).to.deep.include(['task', answer.headers.get('x-mcpctl-task-id'), []]);
    expect(items.map(({ actor }) => actor))
      .to.include('ada')
      .and.not.to.include('bob');
  });

  it('asks for a server, a tool, a client or what failed, and gets that alone', async () => {
    const watch = await watchAt(t.url, t.tokens.root, { query: '?server=desk&tool=writ&errors=true' });
    worker.server = ({ params }) => ({
      result: { content: [], isError: (params['arguments'] as { fails?: boolean }).fails === true },
    });
    for (const [name, fails] of [
      ['desk__write', false],
      ['desk__echo', true],
      ['desk__write', true],
    ] as const)
      await call(name, { fails });
    await call('desk__unwritten');
    const { name, outcome } = await watch.exchange(() => true);
    expect([name, outcome, watch.exchanges().length]).to.deep.equal(['desk__write', 'tool_failed', 1]);
    watch.close();
    const bad = await t.call('GET /api/v1/projects/demo/traffic?tol=x', { token: t.tokens.root });
    expect([bad.status, (bad.json as { code: string }).code]).to.deep.equal([400, 'invalid_request']);
    for (const headers of [{ 'last-event-id': 'x' }, { 'last-event-id': '1-2-3' }])
      expect(
        (await t.call('GET /api/v1/projects/demo/traffic', { token: t.tokens.root, headers })).status,
      ).to.equal(400);
    expect((await t.call('GET /api/v1/projects/none/traffic', { token: t.tokens.root })).status).to.equal(
      404,
    );
    const unseen = await project('unseen', {});
    expect(unseen.status).to.equal(201);
    expect((await t.call('GET /api/v1/projects/unseen/traffic', { token: t.tokens.bob })).status).to.equal(
      404,
    );
  });

  it('that reads nothing takes no more of an edge than one event, holds up no call, and is told how many it missed', async function () {
    const sockets: Socket[] = [];
    const begun = (message: unknown): void => {
      const { request, socket } = message as { request: IncomingMessage; socket: Socket };
      if (request.url?.includes('/traffic')) sockets.push(socket);
    };
    subscribe('http.server.request.start', begun);
    const watch = await watchAt(other.url, t.tokens.root);
    unsubscribe('http.server.request.start', begun);
    worker.server = () => ({ result: { content: [] } });
    const spans: number[] = [];
    const timed = async (name: string): Promise<void> => {
      const from = performance.now();
      await call(name);
      spans.push(performance.now() - from);
    };
    await timed('desk__first');
    const first = await watch.exchange(({ name }) => name === 'desk__first');
    watch.pause();
    const { id: projectId } = (await t.registry.mcp.project('demo')) ?? expect.fail('no project');
    const exchange = { ...first, name: 'made up', stages: ['x'.repeat(3_400)] };
    const entries = Array.from({ length: 32 }, () => JSON.stringify({ userId: t.root.id, exchange }));
    let made = 0;
    const make = async (): Promise<void> => {
      await t.deps.queue.traffic.capture(projectId, entries, 0);
      made += entries.length;
    };
    // Until its connection holds no more; then more than Redis keeps.
    while (sockets[0]?.writableNeedDrain === false && made < 10_000) await make();
    for (let n = 0; n < 20; n += 1) await make();
    for (let n = 0; n < 5; n += 1) await timed('desk__echo');
    expect(sockets[0]?.writableLength, 'what it would have had to read').to.be.within(1, 64 * 1024);
    watch.resume();
    await timed('desk__last');
    await watch.exchange(({ name }) => name === 'desk__last');
    const missed = watch.heard.flatMap(({ event, data }) =>
      event === 'missed' ? [Number(data['count'])] : [],
    );
    expect(missed.reduce((sum, count) => sum + count)).to.equal(1 + made + 5 + 1 - watch.exchanges().length);
    note(this, spans);
    watch.close();
  });

  it('watches no longer than their token is good, nor than they may see the project, nor than it is there', async () => {
    const made = { userId: t.bob.id, name: 'short', pools: null, expiresInDays: null, createdBy: null };
    const { row, text } = await t.registry.tokens.create(made);
    const revoked = await watchAt(other.url, text);
    await project('short', {});
    const gone = await watchAt(other.url, t.tokens.root, { project: 'short' });
    const narrowed = await watchAt(t.url, t.tokens.bob, { project: 'other' });
    const from = performance.now();
    expect((await t.call(`DELETE /api/v1/tokens/${row.id}`, { token: t.tokens.bob })).status).to.equal(204);
    await revoked.ended;
    expect(performance.now() - from).to.be.below(5_000);
    expect(revoked.heard.at(-1)).to.deep.include({ event: 'signed-out' });
    expect(revoked.heard.at(-1)?.data['code']).to.equal('unauthenticated');
    await api('DELETE /api/v1/projects/short');
    await api('DELETE /api/v1/rbac/callers');
    for (const watch of [gone, narrowed]) {
      await watch.ended;
      expect(watch.heard.at(-1)?.data['code']).to.equal('project_not_found');
    }
  });

  it('is one of 32, and of eight of a user, and is shown to who may edit the project', async () => {
    const { traffic } = t.deps.queue;
    const shown = { user: 'x', since: '2026-11-30T00:00:00.000Z', bodies: false, all: true };
    const watcher = (n: number, userId: string) => ({ id: String(n), projectId: t.root.id, userId, shown });
    const watches = async (n: number, userId: string): Promise<string> =>
      await traffic.watch(watcher(n, userId)).then(
        () => 'watches',
        (thrown: unknown) => (thrown as { message: string }).message,
      );
    const first = await Promise.all(Array.from({ length: 9 }, (_, n) => watches(n, 'u')));
    expect(first.filter((one) => one === 'watches')).to.have.length(8);
    expect(first.at(-1)).to.equal('8 of yours watch projects already, the most that may; end one.');
    const others = (from: number, count: number) =>
      Promise.all(Array.from({ length: count }, (_, n) => watches(100 + from + n, `u-${String(from + n)}`)));
    expect(new Set(await others(0, 24))).to.deep.equal(new Set(['watches']));
    // Who has most of them gives way, one at a time, until they have no more than others.
    expect(new Set(await others(24, 7))).to.deep.equal(new Set(['watches']));
    const again = await Promise.all(Array.from({ length: 8 }, (_, n) => watches(n, 'u')));
    expect(
      again.filter((one) => one === 'watches'),
      'one goes on',
    ).to.have.length(1);
    expect(await watches(999, 'u-late')).to.match(/^32 watch projects of this installation already/);
    expect(await traffic.watchers(t.root.id)).to.have.length(32);
    const full = await t.call('GET /api/v1/projects/demo/traffic', { token: t.tokens.root });
    expect([full.status, (full.json as { code: string }).code]).to.deep.equal([429, 'too_many_requests']);
    await Promise.all(
      [...Array.from({ length: 8 }, (_, n) => watcher(n, 'u'))]
        .concat(Array.from({ length: 31 }, (_, n) => watcher(100 + n, `u-${String(n)}`)))
        .map((one) => traffic.leave(one)),
    );
    const watch = await watchAt(other.url, t.tokens.root);
    const { items } = (await api('GET /api/v1/projects/demo/watchers')).json as { items: object[] };
    expect(items).to.have.length(1);
    expect(items[0]).to.deep.include({ user: 'root', bodies: false, all: true });
    watch.close();
  });

  it('goes on where a stream broke off, at any edge, and is told what there was no room for', async () => {
    const before = await watchAt(t.url, t.tokens.root);
    await call('desk__echo', {}, { token: t.tokens.root });
    const { id: after } = await before.until(({ event }) => event === 'exchange');
    const fromHello = await watchAt(other.url, t.tokens.root, { after: before.heard[0]?.id ?? '' });
    expect(await fromHello.exchange(() => true), 'asked since the hello').to.deep.equal(
      before.exchanges()[0],
    );
    fromHello.close();
    const { traffic } = t.deps.queue;
    const { id: projectId } = (await t.registry.mcp.project('demo')) ?? expect.fail('no project');
    const [exchange] = before.exchanges();
    const entry = JSON.stringify({ userId: t.root.id, exchange: { ...exchange, name: 'made up' } });
    // As an edge writes them: seven that it had no room for, then more than is kept.
    expect(await traffic.capture(projectId, [entry], 7)).to.equal(true);
    for (let n = 0; n < 20; n += 1)
      await traffic.capture(
        projectId,
        Array.from({ length: 32 }, () => entry),
        0,
      );
    const again = await watchAt(other.url, t.tokens.root, { after: after ?? '' });
    const missed = await again.until(({ event }) => event === 'missed');
    expect(missed.data).to.deep.equal({ count: 7 + 1 + 20 * 32 - 512 });
    await until(
      () => Promise.resolve(again.exchanges().length),
      (n) => n === 512,
    );
    const { redis, keys } = t.deps.queue;
    const { lease, stream } = keys.traffic(projectId);
    expect(await redis.xlen(stream)).to.equal(512);
    // As a Redis that came back empty: who watches says so anew, and tells that there may be more than is shown.
    await redis.del(lease, stream, keys.watchers);
    await until(
      () => redis.exists(lease),
      (there) => there === 1,
    );
    await call('desk__write');
    await again.exchange(({ name }) => name === 'desk__write');
    expect(again.heard.filter(({ event }) => event === 'missed').at(-1)?.data).to.deep.equal({ count: null });
    before.close();
    again.close();
  });
});
