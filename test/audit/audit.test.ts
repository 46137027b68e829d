import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { expect } from 'chai';
import { median, quantile } from '../../bench/report/stats.ts';
import { pause } from '../../core/runtime/clock.ts';
import { startSession } from '../cli/session.ts';
import { read } from '../docs/markdown.ts';
import { edgeFixture, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';
import { note } from '../support/measured.ts';
import { submitTask } from '../support/tasks.ts';

/** Bad tokens at once; MCPCTL_ROUNDS=10000 for a minute's crowd. */
const STRANGERS = Number(process.env['MCPCTL_ROUNDS'] ?? 300);
const isMinuteLong = STRANGERS > 300;

/** Says each another bad token, and takes turns with nobody who is measured: argv is how many, within how long, and where. */
const crowd = `
  const [strangers, withinMs, url] = process.argv.slice(1);
  const said = [];
  const from = performance.now();
  for (let n = 0; n < strangers; n++) {
    const inMs = (withinMs * n) / strangers - (performance.now() - from);
    if (inMs > 0) await new Promise((resolve) => setTimeout(resolve, inMs));
    const authorization = 'Bearer mcpctl_' + String(n).padStart(43, 'x');
    said.push(fetch(url, { headers: { authorization } }).then((answer) => answer.text()));
  }
  await Promise.all(said);`;

/** A crowd in a process of its own, spread evenly over its time; over once each of them was answered. */
async function crowdAt(
  url: string,
  { strangers, withinMs }: { strangers: number; withinMs: number },
): Promise<void> {
  const args = ['--input-type=module', '--eval', crowd, String(strangers), String(withinMs)];
  const child = spawn(process.execPath, [...args, `${url}/api/v1/llms`], { stdio: 'inherit' });
  expect((await once(child, 'exit'))[0]).to.equal(0);
}

interface Event {
  id: string;
  actor: string | null;
  token: string | null;
  ip: string | null;
  requestId: string | null;
  verb: string;
  resource: string;
  name: string | null;
  outcome: string;
  changes: { field: string; from?: unknown; to?: unknown; masked?: true }[];
  dryRun: boolean;
  count: number;
}

describe('the audit', function () {
  this.timeout(30_000 + STRANGERS * 20);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture({ MCPCTL_MAX_FAILED_TOKENS: String(STRANGERS * 2) });
  });
  beforeEach(() => t.connection.db.raw('delete from audit'));
  after(() => t.close());

  const api = (call: string, body?: unknown, more: Call = {}): Promise<Answer> =>
    t.call(call.replace(' ', ' /api/v1'), {
      token: t.tokens.root,
      ...(body !== undefined && { body }),
      ...more,
    });
  const events = async (query = '', token = t.tokens.root): Promise<Event[]> => {
    const { status, text, json } = await api(`GET /audit?${query}`, undefined, { token });
    expect(status, text).to.equal(200);
    return (json as { items: Event[] }).items;
  };
  const linesOf = (of: readonly Event[]): string[] =>
    of.map(({ actor, verb, resource, name }) => `${actor ?? '-'} ${verb} ${resource} ${name ?? '-'}`);
  const inAll = async (): Promise<string> =>
    JSON.stringify((await t.connection.db.raw<{ rows: unknown[] }>('select * from audit')).rows);

  it('tells what changed: of fields that the definition marks what they were and are, of others that they changed', async () => {
    await api('POST /users', { name: 'grace' });
    await api('PATCH /users/grace', { enabled: false });
    await api('POST /groups', { name: 'rack', description: 'a text of people' });
    const [made, changed, created] = (await events('resource=group')).concat(await events('resource=user'));
    expect(made?.changes).to.deep.include({ field: 'description', masked: true });
    expect(changed).to.deep.include({
      name: 'grace',
      changes: [{ field: 'enabled', from: true, to: false }],
    });
    expect(created?.verb).to.equal('create');
    expect(await inAll()).to.not.contain('a text of people');
  });

  it('says with which token, from where, and under which id of the request, where that is harmless', async () => {
    const asked = async (id: string): Promise<Event | undefined> => {
      const headers = { 'x-request-id': id };
      await api('POST /projects', { name: `p-${randomUUID().slice(0, 8)}` }, { headers });
      return (await events('limit=1'))[0];
    };
    expect(await asked('ci-job-17')).to.include({
      actor: 'root',
      token: 'test',
      ip: '127.0.0.1',
      requestId: 'ci-job-17',
    });
    expect((await events('requestId=ci-job-17')).length).to.equal(1);
    expect((await asked(t.tokens.root))?.requestId).to.equal(null);
    expect((await asked('x'.repeat(65)))?.requestId).to.equal(null);
    expect((await asked('Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6'))?.requestId).to.equal(null);
  });

  it('is not without the write, nor the write without it', async () => {
    const { db } = t.connection;
    await db.raw('alter table audit add constraint full_disk check (object_name <> $$never$$)');
    const refused = await api('POST /projects', { name: 'never' });
    await db.raw('alter table audit drop constraint full_disk');
    expect(refused.status).to.be.at.least(500);
    expect((await api('GET /projects/never')).status).to.equal(404);
    await api('POST /projects', { name: 'twice' });
    await db.raw('delete from audit');
    expect((await api('POST /projects', { name: 'twice' })).status).to.equal(409);
    expect((await api('PATCH /projects/twice', { description: '' })).status, 'as it is').to.equal(200);
    expect(await events()).to.deep.equal([]);
  });

  it('shows everybody what they did and what was done to theirs, and no more', async () => {
    await api('POST /projects', { name: 'adas' }, { token: t.tokens.ada });
    await api('POST /projects', { name: 'bobs' }, { token: t.tokens.bob });
    await api('DELETE /projects/adas');
    await api('POST /groups', { name: 'crew' });
    await api('PUT /groups/crew/members/ada');
    expect(linesOf(await events('', t.tokens.ada))).to.deep.equal([
      'root edit group crew',
      'root delete project adas',
      'ada create project adas',
    ]);
    const [, deleted, created] = await events('', t.tokens.ada);
    expect([deleted?.ip, deleted?.token, created?.token]).to.deep.equal([null, null, 'test']);
    expect(await events('actor=bob', t.tokens.ada)).to.deep.equal([]);
    expect(linesOf(await events('actor=bob'))).to.deep.equal(['bob create project bobs']);
  });

  it('has both, where one acts as another, who sees it', async () => {
    await api('POST /projects', { name: 'acted' }, { headers: { 'x-mcpctl-as': 'ada' } });
    const [acting, made, ...others] = (await events('order=asc', t.tokens.ada)) as (Event & { as: string })[];
    expect(others).to.deep.equal([]);
    expect(acting).to.include({
      actor: 'root',
      as: 'ada',
      verb: 'impersonate',
      resource: 'user',
      name: 'ada',
    });
    expect(made).to.include({ actor: 'root', as: 'ada', verb: 'create', resource: 'project', token: null });
    expect((await events('as=ada')).length).to.equal(2);
  });

  it('is read in pages, in either direction, by what is asked for', async () => {
    for (const name of ['one', 'two', 'three']) await api('POST /projects', { name });
    await api('DELETE /projects/two');
    const first = await api('GET /audit?limit=3');
    const { items, next } = first.json as { items: Event[]; next: string };
    const rest = await events(`limit=3&after=${next}`);
    expect(linesOf([...items, ...rest]).map((line) => line.slice(5))).to.deep.equal([
      'delete project two',
      'create project three',
      'create project two',
      'create project one',
    ]);
    expect(linesOf(await events('order=asc&limit=1'))).to.deep.equal(['root create project one']);
    expect((await events('name=two')).length).to.equal(2);
    expect((await events('verb=delete&resource=project')).length).to.equal(1);
    expect((await events('since=2999-01-01T00:00:00Z')).length).to.equal(0);
    for (const bad of ['since=yesterday', 'actor=', 'after=nonsense!', 'colour=red', 'order=up'])
      expect((await api(`GET /audit?${bad}`)).status, bad).to.equal(400);
  });

  it('has one row for a dry run that is marked so, and none of what it would have done', async () => {
    const documents = [{ resource: 'project', name: 'maybe' }];
    await api('POST /apply', { documents, dryRun: true });
    const [event, ...others] = await events();
    expect(others).to.deep.equal([]);
    expect(event).to.deep.include({ verb: 'edit', resource: 'apply', dryRun: true });
  });

  it('has who read what others asked before it is shown, and a loop of reads as one event more', async () => {
    const task = await submitTask(t, { poolKey: `p-${randomUUID()}` });
    const read = (more: Call = {}): Promise<Answer> => api(`GET /tasks/${task.id}`, undefined, more);
    expect((await read({ token: t.tokens.ada })).json)
      .to.have.property('request')
      .that.is.an('object');
    expect((await read({ token: t.tokens.bob })).status).to.equal(404);
    await t.deps.bodyReads.stop?.();
    expect(await events(), 'her own, and nobody there').to.deep.equal([]);

    await t.connection.db.raw('alter table audit rename to audit_away');
    const unwritten = await read();
    await t.connection.db.raw('alter table audit_away rename to audit');
    expect(unwritten.status).to.be.at.least(500);
    expect(unwritten.text).to.not.contain('"request":');

    await Promise.all(Array.from({ length: 200 }, () => read()));
    const asAda = { headers: { 'x-mcpctl-as': 'ada' } };
    expect((await read(asAda)).status).to.equal(200);
    const readEvents = (): Promise<Event[]> => events(`name=${task.id}&order=asc`, t.tokens.ada);
    expect(linesOf(await readEvents())).to.deep.equal([
      `root view task ${task.id}`,
      `root view task ${task.id}`,
    ]);
    await t.deps.bodyReads.stop?.(); // as after a minute
    expect((await readEvents()).map(({ count }) => count)).to.deep.equal([1, 1, 199]);
    await read();
    expect(
      (await readEvents()).map(({ count }) => count),
      'anew',
    ).to.deep.equal([1, 1, 199, 1]);
  });

  it('counts reads of many tasks in one statement', async () => {
    const tasks = await Promise.all([1, 2, 3].map(() => submitTask(t, { poolKey: `p-${randomUUID()}` })));
    for (const { id } of tasks) for (let n = 0; n < 2; n++) await api(`GET /tasks/${id}`);
    const written: string[] = [];
    const note = ({ sql }: { sql: string }): void => void written.push(sql);
    t.connection.db.on('query', note);
    await t.deps.bodyReads.stop?.();
    t.connection.db.off('query', note);
    expect(written.filter((sql) => sql.includes('insert into "audit"'))).to.have.length(1);
    expect((await events('resource=task&verb=view')).map(({ count }) => count)).to.deep.equal(
      Array(6).fill(1),
    );
  });

  it('counts refusals, and writes a crowd of them as few rows', async function () {
    const asAda = { token: t.tokens.ada };
    await Promise.all(Array.from({ length: 60 }, () => api('POST /groups', { name: 'no' }, asAda)));
    /** How long each call of another took, one after the other, until `end`. */
    const othersCalls = async (end: Promise<unknown>, atLeast: number): Promise<number[]> => {
      const spans: number[] = [];
      let over = false;
      const stop = (): void => void (over = true);
      end.then(stop, stop);
      while (!over || spans.length < atLeast) {
        const from = performance.now();
        expect((await api('GET /projects')).status).to.equal(200);
        spans.push(performance.now() - from);
        if (isMinuteLong) await pause(20);
      }
      return spans;
    };
    const alone = await othersCalls(Promise.resolve(), isMinuteLong ? 1_000 : 1);
    const crowded = crowdAt(t.url, { strangers: STRANGERS, withinMs: isMinuteLong ? 60_000 : 0 });
    const among = await othersCalls(crowded, 1);
    await crowded;
    const late = (of: readonly number[]): number => quantile(of, 0.99);
    note(this, [median(alone), median(among), late(alone), late(among)]);
    // Those of a minute's crowd do not slow others, nor one in a hundred of their calls, on a machine that has others to do, too.
    if (isMinuteLong) expect(median(among)).to.be.below(median(alone) * 1.5 + 1);
    if (isMinuteLong) expect(late(among)).to.be.below(late(alone) * 2 + 20);
    await api('GET /audit', undefined, asAda);
    await t.deps.denied.stop(); // as every five seconds
    const ofAda = await events('actor=ada');
    // One for each five seconds that it took.
    expect(ofAda.length).to.be.lessThan(isMinuteLong ? 30 : 6);
    expect(ofAda.reduce((sum, { count }) => sum + count, 0)).to.equal(60);
    for (const refused of ofAda)
      expect(refused).to.include({ verb: 'create', resource: 'group', name: null, outcome: 'forbidden' });
    const unknown = (await events('limit=500')).filter(({ actor }) => actor === null);
    expect(unknown.length).to.be.lessThan(isMinuteLong ? 200 : 12);
    expect(unknown.reduce((sum, { count }) => sum + count, 0)).to.equal(STRANGERS);
    expect(await inAll()).to.not.contain('xxxx');
    expect(await events('outcome=forbidden', t.tokens.bob)).to.deep.equal([]);
  });

  it('has escalation as one row, and keeps it while Postgres takes none', async () => {
    await api('POST /rbac', {
      name: 'writers',
      subjects: [{ kind: 'user', name: 'bob' }],
      bindings: [{ role: 'create', resource: 'rbac' }],
    });
    await t.connection.db.raw('delete from audit');
    const bindings = [{ role: 'view', resource: 'audit' }];
    const refused = await api('POST /rbac', { name: 'more', bindings }, { token: t.tokens.bob });
    expect(refused.json).to.include({ code: 'escalation' });
    await t.connection.db.raw('alter table audit rename to audit_away');
    await t.deps.denied.stop();
    await t.connection.db.raw('alter table audit_away rename to audit');
    await t.deps.denied.stop();
    expect(linesOf(await events('outcome=escalation'))).to.deep.equal(['bob create rbac -']);
  });

  it('has no text of a token, wherever somebody puts one', async () => {
    const secret = t.tokens.ada;
    const headers = { 'x-request-id': secret, 'user-agent': secret };
    const { paths } = JSON.parse(read('docs/openapi.json')) as {
      paths: Record<string, Record<string, { parameters?: { name: string; in: string }[] }>>;
    };
    let asked = 0;
    for (const [path, calls] of Object.entries(paths))
      for (const [method, { parameters = [] }] of Object.entries(calls)) {
        if (!['get', 'post', 'put', 'patch', 'delete'].includes(method)) continue;
        const queries = parameters
          .filter((each) => each.in === 'query')
          .map(({ name }) => `${name}=${secret}`);
        const hasBody = method !== 'get' && method !== 'delete';
        const url = `${t.url}/api/v1${path.replaceAll(/\{\w+\}/g, secret)}?${[...queries, `x=${secret}`].join('&')}`;
        // A stream that opens is left.
        await fetch(url, {
          method: method.toUpperCase(),
          headers: {
            ...headers,
            authorization: `Bearer ${t.tokens.root}`,
            'content-type': 'application/json',
          },
          ...(hasBody && {
            body: JSON.stringify({ name: secret, user: secret, llm: secret, description: secret }),
          }),
          signal: AbortSignal.timeout(2_000),
        }).then((answer) => answer.body?.cancel());
        asked += 1;
      }
    expect(asked).to.be.above(100);
    await api('POST /projects', { name: 'clean', description: secret }, { headers });
    await api(
      'POST /rbac',
      { name: 'odd', bindings: [{ role: 'run', resource: 'llm', name: secret }] },
      { headers },
    );
    await t.deps.denied.stop();
    expect((await events('name=odd'))[0]?.changes).to.deep.include({ field: 'bindings', masked: true });
    expect(await inAll()).to.not.contain(secret.slice(7));
  });

  it('forgets what is old, and of one who makes many their own oldest, and says so', async () => {
    const { db } = t.connection;
    const make = (actor: string, count: number, ago = '1 hour'): Promise<unknown> =>
      db.raw(
        `insert into audit (at, actor_id, verb, resource) select now() - interval '${ago}', '${actor}', 'edit', 'project'
         from generate_series(1, ${count})`,
      );
    await make(t.ada.id, 30);
    await make(t.bob.id, 4);
    await make(t.bob.id, 3, '3 days');
    expect((await t.registry.audits.counts()).sort()).to.deep.equal([30, 7]);
    const kept = { keepMs: 86_400_000, mostOfActor: 10, limit: 100 };
    const { audits } = t.registry;
    expect(await audits.prune(await audits.prunable(kept))).to.equal(23);
    expect((await t.registry.audits.counts()).sort()).to.deep.equal([10, 2, 4]);
    const [crowd, age] = await events('resource=audit');
    expect(crowd?.changes).to.deep.equal([
      { field: 'pruned', to: { why: 'crowd', count: 20, actorId: t.ada.id } },
    ]);
    expect(age).to.include({ count: 3 });
  });

  it('is written out by mcpctl audit export, and ends what describe shows', async () => {
    await api('POST /projects', { name: 'told' });
    for (const description of ['a', 'b', 'c', 'd', 'e']) await api('PATCH /projects/told', { description });
    const env = { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.tokens.root };
    const printed = async (...args: string[]): Promise<string> => {
      const session = await startSession(null, { env });
      expect(await session.run(...args), session.err()).to.equal(0);
      await session.close();
      return session.out();
    };
    const lines = (await printed('audit', 'export', '--format', 'jsonl')).trim().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as Event).verb)).to.deep.equal([
      'create',
      ...Array<string>(5).fill('edit'),
    ]);
    const file = (query: string, token: string) =>
      t.call(`GET /api/v1/audit?format=jsonl&order=asc&limit=2${query}`, { token });
    const whole = await file('', t.tokens.root);
    expect(whole.text.trim().split('\n')).to.deep.equal(lines);
    expect(whole.headers.get('content-disposition')).to.equal('attachment; filename="audit.jsonl"');
    expect((await file('', t.tokens.ada)).text).to.equal('');
    const created = (await file('&verb=create', t.tokens.root)).text;
    expect(created).to.equal(await printed('audit', 'export', '--verb', 'create'));
    expect(created.trim().split('\n')).to.deep.equal(lines.slice(0, 1));
    const shown = await printed('describe', 'project', 'told');
    expect(shown).to.match(/Events:\n +AT +ACTOR +VERB/);
    expect(shown.match(/root +edit/g)).to.have.length(5);
  });

  it('is had as a file by a reader that is slow, and no list waits for that one', async () => {
    await t.connection.db.raw(
      `insert into audit (actor_id, verb, resource, changes)
       select ?, 'edit', 'project', jsonb_build_array(jsonb_build_object('field', 'x', 'to', repeat('x', 10000)))
       from generate_series(1, 5000)`,
      [t.root.id],
    );
    const { lists } = t.deps.gates;
    const leave = await Promise.all([1, 2].map(() => lists.enter(t.root.id))); // of three places
    const headers = { authorization: `Bearer ${t.tokens.root}` };
    const file = await fetch(`${t.url}/api/v1/audit?format=jsonl`, { headers });
    expect(file.status).to.equal(200);
    const listed = await api('GET /audit?limit=1', undefined, { signal: AbortSignal.timeout(10_000) });
    expect(listed.status).to.equal(200);
    await file.body?.cancel();
    for (const one of leave) one();
  });

  it('is shown by mcpctl get audit', async () => {
    await api('POST /projects', { name: 'shown' });
    const env = { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.tokens.root };
    const session = await startSession(null, { env });
    try {
      expect(
        await session.run('get', 'audit', '--resource', 'project', '--actor', 'root'),
        session.err(),
      ).to.equal(0);
      expect(session.out())
        .to.match(/AT +ACTOR/)
        .and.contain('shown');
    } finally {
      await session.close();
    }
  });
});
