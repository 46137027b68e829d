import { expect } from 'chai';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { OverviewView } from '../../core/operator/overview.ts';
import type { ExplainView } from '../../core/task/explain.ts';
import { McpctlError } from '../../core/errors.ts';
import { createLive, type Viewer } from '../../edge/live/live.ts';
import { edgeFixture, publicLlm, type EdgeFixture } from '../support/edge.ts';

/** The events of a stream as they come, until it is left. */
async function watch(t: EdgeFixture, token: string) {
  const left = new AbortController();
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${t.url}/api/v1/events`, { headers, signal: left.signal });
  expect(answer.headers.get('content-type')).to.match(/^text\/event-stream/);
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  const until = async (pattern: RegExp): Promise<string> => {
    while (!pattern.test(text)) {
      const { done, value = '' } = (await reader?.read()) ?? { done: true };
      if (done) throw new Error(`It ended: ${text}`);
      text += value;
    }
    return text;
  };
  const forget = (): void => void (text = '');
  return {
    until,
    forget,
    leave: () => left.abort(),
    ended: async () => (await reader?.read())?.done === true,
  };
}

describe('what is live', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'gpt');
  });
  after(() => t.close());

  const submit = (token: string) =>
    t.call('POST /api/v1/tasks', {
      token,
      body: { llm: 'gpt', request: { messages: [{ role: 'user', content: 'x' }] } },
    });

  it('tells each viewer of topics that changed for them, and of no other’s tasks', async () => {
    const viewers = await Promise.all(
      [t.tokens.ada, t.tokens.bob, t.tokens.root].map((token) => watch(t, token)),
    );
    const [ada, bob, root] = viewers;
    for (const viewer of viewers) await viewer.until(/"topics":\["pools","tasks","audit"\]/); // the first look: all is new
    for (const viewer of viewers) viewer.forget();
    const { id } = (await submit(t.tokens.ada)).json as { id: string };
    expect(await ada?.until(/event: changed\ndata: .*tasks.*"agoMs":\d/)).not.to.include(id);
    await root?.until(/event: changed\ndata: .*tasks/);
    // The pool's count changed for everybody; bob is told of that, and of no task.
    expect(await bob?.until(/event: changed/)).to.not.include('tasks');
    for (const viewer of viewers) viewer.leave();
  });

  it('who asks for the overview because something changed is not answered with what was before', async () => {
    const viewer = await watch(t, t.tokens.ada);
    await viewer.until(/event: hello/);
    const waiting = async (): Promise<number> =>
      ((await t.call('GET /api/v1/overview')).json as OverviewView).sums.waiting;
    for (let n = 0; n < 3; n++) {
      const before = await waiting();
      await submit(t.tokens.ada);
      // An event may be of what was before; after the last of them nobody asks again.
      for (let now = before; now === before; now = await waiting()) {
        await viewer.until(/event: changed\n.*pools.*\n/);
        viewer.forget();
      }
    }
    viewer.leave();
  });

  it('tells who may see others’ tasks no more of none, though they watch on', async () => {
    const lookers = { name: 'lookers', subjects: [{ kind: 'user', name: 'bob' }] };
    const bindings = [{ role: 'view', resource: 'task' }];
    expect(
      (await t.call('POST /api/v1/rbac', { token: t.tokens.root, body: { ...lookers, bindings } })).status,
    ).to.equal(201);
    const viewer = await watch(t, t.tokens.bob);
    await viewer.until(/event: hello/);
    await submit(t.tokens.ada);
    await viewer.until(/event: changed\n.*tasks/);
    expect((await t.call('DELETE /api/v1/rbac/lookers', { token: t.tokens.root })).status).to.equal(204);
    const from = performance.now();
    for (let text = 'tasks'; text.includes('tasks');) {
      expect(performance.now() - from, 'how long it goes on').to.be.below(5_000);
      viewer.forget();
      await submit(t.tokens.ada);
      text = await viewer.until(/event: changed\n.*\n/);
    }
    viewer.leave();
  });

  it('tells of events to who may see them in the audit, and to nobody else', async () => {
    const [ada, bob] = await Promise.all([t.tokens.ada, t.tokens.bob].map((token) => watch(t, token)));
    const write = async (name: string): Promise<void> =>
      void expect((await t.call('POST /api/v1/projects', { body: { name } })).status).to.equal(201);
    for (const viewer of [ada, bob]) await viewer?.until(/event: hello/);
    await submit(t.tokens.ada);
    for (const viewer of [ada, bob]) await viewer?.until(/event: changed\n.*pools/); // of the first look, perhaps
    for (const viewer of [ada, bob]) viewer?.forget();
    await write('one');
    await ada?.until(/event: changed\n.*audit/);
    await submit(t.tokens.ada);
    expect(await bob?.until(/event: changed\n.*pools/)).not.to.include('audit');
    const grant = {
      subjects: [{ kind: 'user', name: 'bob' }],
      bindings: [{ role: 'view', resource: 'audit' }],
    };
    const made = await t.call('POST /api/v1/rbac', {
      token: t.tokens.root,
      body: { name: 'auditors', ...grant },
    });
    expect(made.status, made.text).to.equal(201);
    await bob?.until(/event: changed\n.*audit/);
    for (const viewer of [ada, bob]) viewer?.leave();
  });

  it('ends with its token, and says so', async () => {
    const made = (await t.call('POST /api/v1/tokens', { body: { name: 'viewer' } })).json as {
      id: string;
      token: string;
    };
    const viewer = await watch(t, made.token);
    await viewer.until(/event: hello/);
    await t.call(`DELETE /api/v1/tokens/${made.id}`);
    expect(await viewer.until(/event: signed-out\n.*\n\n/)).to.include('unauthenticated');
    expect(await viewer.ended()).to.equal(true);
  });

  it('tells many one after another, so that not all of them ask for lists at once', async () => {
    const [most, apartMs] = [20, 40];
    const actor = (await t.deps.authenticator.actorOf(t.tokens.ada)) ?? expect.fail('ada is somebody');
    const toldAt: number[] = [];
    let all = (): void => undefined;
    const isTold = new Promise<void>((resolve) => (all = resolve));
    const tell = (): void => {
      if (toldAt.push(performance.now()) === most) all();
    };
    const leaves = Array.from({ length: most }, () =>
      t.deps.live.watch({ actor, tell, away: () => undefined }),
    );
    await isTold;
    for (const leave of leaves) leave();
    expect(toldAt).to.have.length(most);
    // A timer may be a millisecond early, never more.
    expect((toldAt.at(-1) ?? 0) - (toldAt[0] ?? 0)).to.be.at.least((most - 1) * (apartMs - 1));
  });

  it('tells nobody of a change once the stores are away, whoever had not had their turn by then', async () => {
    const most = 40; // more than have their turn between two looks
    const actor = (await t.deps.authenticator.actorOf(t.tokens.ada)) ?? expect.fail('ada is somebody');
    const { registry } = t.deps;
    let [isAway, looks] = [false, 0];
    const newest = async (count: number) => {
      if (isAway) throw new McpctlError('unavailable');
      looks += 1;
      return await registry.tasks.newest(count);
    };
    const live = createLive({ ...t.deps, registry: { ...registry, tasks: { ...registry.tasks, newest } } });
    let [allAway, allBack] = [(): void => undefined, (): void => undefined];
    const wentAway = new Promise<void>((resolve) => (allAway = resolve));
    const cameBack = new Promise<void>((resolve) => (allBack = resolve));
    let [away, back, early] = [0, 0, 0];
    const viewer = (): Viewer => {
      let awayAt = -1;
      return {
        actor,
        tell() {
          if (awayAt < 0) isAway = true;
          else if (looks === awayAt) early += 1;
          else if (++back === most) allBack();
        },
        away() {
          awayAt = looks;
          if (++away === most) allAway();
        },
      };
    };
    for (let n = 0; n < most; n++) live.watch(viewer());
    await wentAway;
    isAway = false;
    await cameBack;
    await live.stop();
    expect([away, early]).to.deep.equal([most, 0]);
  });

  it('lets go of who reads nothing, before it holds more than 64 kB of theirs', async () => {
    const { live } = t.deps;
    const usual = live.watch.bind(live);
    let viewer: Viewer | undefined;
    let isGone = false;
    live.watch = (one) => {
      viewer = one;
      const leave = usual(one);
      return () => {
        isGone = true;
        leave();
      };
    };
    const { hostname, port } = new URL(t.url);
    const socket = connect(Number(port), hostname);
    try {
      socket.write(
        `GET /api/v1/events HTTP/1.1\r\nhost: ${hostname}\r\nauthorization: Bearer ${t.tokens.ada}\r\n\r\n`,
      );
      await once(socket, 'readable'); // and nothing is taken of it
      const before = process.memoryUsage().arrayBuffers;
      const frame = { topics: ['pools', 'tasks', 'audit'] as const, bytes: 60 };
      // What the two ends of a connection hold in the kernel is theirs: some megabytes on this machine.
      const most = 64 * 1024 * 1024;
      let sentBytes = 0;
      for (; !isGone && sentBytes < most; sentBytes += frame.bytes) {
        viewer?.tell(frame.topics, 0);
        if (sentBytes % 60_000 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      expect(isGone, `after ${String(sentBytes)} bytes`).to.equal(true);
      expect(process.memoryUsage().arrayBuffers - before).to.be.below(1_000_000);
    } finally {
      live.watch = usual;
      socket.destroy();
    }
  });

  it('answers many who look again at a list by one answer, none by an older one than they say, and never by another’s', async () => {
    const counted = { tasks: 0 };
    const count = ({ sql }: { sql: string }): void =>
      void (counted.tasks += /from "tasks".* order by/s.test(sql) ? 1 : 0);
    const look = async (token: string, ageMs?: number): Promise<string> => {
      const headers = ageMs === undefined ? {} : { 'x-mcpctl-max-age-ms': String(ageMs) };
      const answer = await t.call('GET /api/v1/tasks?limit=50', { token, headers });
      expect(answer.status, answer.text).to.equal(200);
      return answer.text;
    };
    const { id } = (await submit(t.tokens.ada)).json as { id: string };
    t.connection.db.on('query', count);
    try {
      const many = await Promise.all(Array.from({ length: 12 }, () => look(t.tokens.ada, 1_000)));
      expect(new Set(many)).to.have.property('size', 1);
      expect(counted.tasks).to.equal(1);
      expect(many[0]).to.include(id);
      expect(await look(t.tokens.bob, 1_000)).not.to.include(id);
      const body = { name: 'narrow', pools: ['another'] };
      const narrow = (await t.call('POST /api/v1/tokens', { body })).json as { token: string };
      expect(await look(narrow.token, 1_000)).not.to.include(id);
      const { id: later } = (await submit(t.tokens.ada)).json as { id: string };
      for (const ageMs of [undefined, 0, Number.NaN, -1])
        expect(await look(t.tokens.ada, ageMs)).to.include(later);
    } finally {
      t.connection.db.off('query', count);
    }
  });

  it('has room for others, whoever opens as many as they can', async () => {
    const left = new AbortController();
    const open = async (token: string): Promise<Response> => {
      const headers = { authorization: `Bearer ${token}` };
      return await fetch(`${t.url}/api/v1/events`, { headers, signal: left.signal });
    };
    const crowd = await Promise.all(Array.from({ length: 251 }, () => open(t.tokens.ada)));
    const [refused, ...more] = crowd.filter(({ status }) => status !== 200);
    expect([refused?.status, more.length]).to.deep.equal([429, 0]);
    expect(await refused?.json()).to.have.property('code', 'too_many_requests');
    expect((await open(t.tokens.bob)).status).to.equal(200);
    left.abort();
  });

  it('explains who would take a call, and why a task waits', async () => {
    const llm = (await t.call('GET /api/v1/llms/gpt/explain')).json as ExplainView;
    expect(llm.summary).to.include('Nobody serves it now');
    expect(llm.candidates).to.deep.equal([
      { name: 'gpt', verdict: 'away', reason: 'No hosted worker serves it.' },
    ]);
    const { id } = (await submit(t.tokens.ada)).json as { id: string };
    const task = (await t.call(`GET /api/v1/tasks/${id}/explain`)).json as ExplainView;
    expect(task.candidates.map(({ verdict }) => verdict)).to.deep.equal(['away']);
    expect(task.summary).to.include('Nobody serves it now');
    expect((await t.call(`GET /api/v1/tasks/${id}/explain`, { token: t.tokens.bob })).status).to.equal(404);
    expect((await t.call('GET /api/v1/llms/nobody/explain')).status).to.equal(404);
  });

  it('says of a request who could take it, and where it would stand, and sends it to nobody', async () => {
    const ask = async (llm: string, request: object, operation?: string): Promise<ExplainView> => {
      const { json, status, text } = await t.call(`POST /api/v1/llms/${llm}/explain`, {
        body: { request, ...(operation !== undefined && { operation }) },
      });
      expect(status, text).to.equal(200);
      return json as ExplainView;
    };
    const plain = { model: 'x', messages: [{ role: 'user', content: 'x' }] };
    const tools = [{ type: 'function', function: { name: 'look', parameters: { type: 'object' } } }];
    const capabilities = JSON.stringify({ tools: false, vision: false, operations: ['chat'] });
    await publicLlm(t, 'plain');
    await t.connection.db('llms').where({ name: 'plain' }).update({ capabilities });
    expect(await ask('plain', plain)).to.deep.include({ place: 1 });
    await t.call('POST /api/v1/tasks', { body: { llm: 'plain', request: plain } });
    const second = await ask('plain', plain);
    expect(second.place).to.equal(2);
    expect(second.candidates).to.deep.equal([
      { name: 'plain', verdict: 'away', reason: 'No hosted worker serves it.' },
    ]);
    const refused = await ask('plain', { ...plain, tools });
    expect(refused.summary).to.equal('Nobody can do this: it would be refused.');
    expect(refused.candidates).to.deep.equal([
      { name: 'plain', verdict: 'excluded', reason: 'Its model cannot use tools.' },
    ]);
    // A chat stands in for it, a text of token ids has none.
    expect((await ask('plain', { ...plain, max_tokens: 9 }, 'messages')).candidates[0]?.verdict).to.equal(
      'away',
    );
    const embeddings = await ask('plain', { model: 'x', input: 'x' }, 'embeddings');
    expect(embeddings.candidates[0]?.reason).to.equal('Its backend does not serve this kind of call.');
    for (const body of [{}, { request: {} }, { request: plain, operation: 'mcp' }, { request: plain, x: 1 }])
      expect((await t.call('POST /api/v1/llms/plain/explain', { body })).status).to.equal(400);
    expect((await t.call('POST /api/v1/llms/nobody/explain', { body: { request: plain } })).status).to.equal(
      404,
    );
    const { total } = (await t.call('GET /api/v1/tasks/counts?llm=plain')).json as { total: number };
    expect(total).to.equal(1);
  });
});
