import { expect } from 'chai';
import type { WakeResult } from '../../../core/member/wake.ts';
import { hangs } from '../../support/backend.ts';
import { until } from '../../support/system.ts';
import { sseWorker, type SseWorker } from '../sse-worker.ts';

describe('the control stream of the sse transport', () => {
  let t: SseWorker;
  const start = async (options?: Parameters<typeof sseWorker>[0]) => {
    t = await sseWorker(options);
    await t.transport.serve(t.members);
    return await t.edge.stream(0);
  };
  afterEach(() => t.close());

  it('says whose it is, and how the members are as soon as it stands', async () => {
    const stream = await start();
    expect(stream.headers).to.include({
      'x-mcpctl-provider-session': t.session,
      'x-mcpctl-instance': 'boot-1',
      authorization: 'Bearer a-token',
    });
    expect(stream.headers).not.to.have.property('x-mcpctl-running');
    const { body } = await t.edge.posted(({ path }) => path === '_provider-heartbeat');
    expect(body).to.deep.equal({
      providerSessionId: t.session,
      state: 'serving',
      members: { tiny: 'serving' },
    });
    expect(t.transport.isConnected()).to.equal(true);
  });

  it('that breaks is opened again at once, and names the claims that run', async () => {
    const stream = await start();
    t.backend.reply(hangs());
    const frame = t.infer();
    stream.frame(frame);
    await t.backend.next('request');
    const brokeAt = performance.now();
    stream.cut();
    const second = await t.edge.stream(1);
    expect(second.at - brokeAt).to.be.below(2_500); // 250 ms on an idle machine
    expect(second.headers['x-mcpctl-running']).to.equal(`${frame.taskId}:${frame.claimId}`);
    expect(t.edge.answers[0]?.closed).to.equal(false);
  });

  it('whose edge is moving is left only when another one stands', async () => {
    const old = await start();
    t.edge.onStream = () => undefined; // the new edge takes its time to say hello
    let say = (): void => undefined;
    t.edge.onStream = (opened, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      say = () => opened.send('hello', {});
    };
    old.send('moving', {});
    const next = await t.edge.stream(1);
    // The old one is still read.
    old.frame(t.infer());
    await t.edge.answer(0);
    expect(old.closedAt).to.equal(null);
    say();
    const closedAt = await until(
      async () => old.closedAt,
      (at) => at !== null,
    );
    expect(closedAt).to.be.above(next.at);
    expect(t.transport.isConnected()).to.equal(true);
    next.frame(t.infer());
    await t.edge.answer(1);
  });

  it('on which not even pings come is opened again', async () => {
    const first = await start({ pingMs: 100 });
    await t.edge.stream(1);
    expect(performance.now() - first.at).to.be.above(240);
  });

  it('on which pings come is kept, though nothing else does', async () => {
    t = await sseWorker({ pingMs: 400 });
    const usual = t.edge.onStream;
    let pings: NodeJS.Timeout | undefined;
    t.edge.onStream = (opened, res) => {
      usual(opened, res);
      pings = setInterval(() => res.write(': ping\n\n'), 200);
    };
    await t.transport.serve(t.members);
    const first = await t.edge.stream(0);
    await until(
      async () => performance.now() - first.at,
      (ms) => ms > 2_000,
    );
    clearInterval(pings);
    expect(t.edge.streams).to.have.length(1);
  });

  it('that is refused because the session is not known asks for a registration, and opens after it', async () => {
    t = await sseWorker();
    const usual = t.edge.onStream;
    t.edge.onStream = (_, res) => void res.writeHead(404).end('{}');
    const serving = t.transport.serve(t.members);
    await until(
      async () => t.gone(),
      (n) => n > 0,
    );
    t.edge.onStream = usual;
    await t.transport.serve(t.members);
    await serving;
    await until(
      async () => t.transport.isConnected(),
      (is) => is,
    );
  });

  it('that is refused because another process has the session goes on being asked for, and its registration is told', async () => {
    t = await sseWorker();
    t.edge.onStream = (_, res) => void res.writeHead(409).end('{}');
    const serving = t.transport.serve(t.members);
    await t.edge.stream(1);
    expect(t.gone()).to.be.above(0);
    await t.transport.stop();
    await serving;
  });

  it('tells when every member is paused, and when they are not any more', async () => {
    await start();
    const posted = (state: string) =>
      t.edge.posted(({ path, body }) => path === '_provider-heartbeat' && body['state'] === state);
    for (const { gate } of t.members) gate.pause();
    await t.transport.announce();
    const { at } = await posted('draining');
    for (const { gate } of t.members) gate.resume();
    await t.transport.announce();
    await t.edge.posted(({ body, at: later }) => later > at && body['state'] === 'serving');
  });

  it('brings a wake, whose outcome goes back as a result', async () => {
    const asked: string[] = [];
    let awake: (result: WakeResult) => void = () => undefined;
    const stream = await start({
      wake: (llm) => {
        asked.push(llm);
        return new Promise<WakeResult>((resolve) => (awake = resolve));
      },
    });
    const frame = {
      kind: 'wake',
      wakeId: '0198c0de-0000-7000-8000-000000000001',
      llmName: 'tiny',
    } as const;
    stream.frame(frame);
    stream.frame(frame); // asked again, while it runs
    stream.frame({ ...frame, wakeId: '0198c0de-0000-7000-8000-000000000002', llmName: 'gone' });
    const gone = await t.edge.posted(({ path: p }) => p.endsWith('2/result'));
    expect(gone.body).to.deep.equal({ error: 'Its worker does not serve it any more.' });
    awake({ ok: true, ms: 12.4 });
    const { path, body } = await t.edge.posted(({ path: p }) => p.endsWith('1/result'));
    expect(path).to.equal('_provider-task/0198c0de-0000-7000-8000-000000000001/result');
    expect(body).to.deep.equal({ ok: true, ms: 12 });
    expect(asked).to.deep.equal(['tiny']);
  });
});
