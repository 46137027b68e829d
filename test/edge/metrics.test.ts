import { expect } from 'chai';
import type { EventMap } from '../../core/task/events.ts';
import { inTurns, tellApart } from '../../core/runtime/told-apart.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { edgeFixture, publicLlm, type EdgeFixture } from '../support/edge.ts';

const who = { member: null, worker: null, tokensIn: null, tokensOut: null, queueMs: null };
const finished: EventMap['inference.finished'] = {
  ...who,
  reqId: 'r',
  actor: 'ada',
  keyId: 'k',
  tokenName: 'test',
  llm: 'asked',
  kind: 'virtual',
  pool: 'pool',
  taskId: null,
  source: 'infer',
  status: 200,
  code: null,
  left: null,
  ttftMs: null,
  durMs: 1,
  clientRetry: 0,
};

describe('metrics of an edge', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'house');
  });
  after(() => t.close());
  const scrape = async (): Promise<string[]> =>
    (await t.call('GET /metrics', { token: t.tokens.root })).text.split('\n');
  const finish = (event: Partial<EventMap['inference.finished']>): void =>
    t.bus.emit('inference.finished', { ...finished, ...event });

  it('are for those who may see them, with bounded labels', async () => {
    await t.call('GET /api/v1/llms/some-name-of-a-caller');
    await t.call('GET /api/v1/no-such-thing/at-all');
    await t.call('POST /api/v1/llms/made-up-by-a-caller/infer', { body: { messages: [] } });
    expect((await t.call('GET /metrics', { token: null })).status).to.equal(401);
    expect((await t.call('GET /metrics')).status).to.equal(403);
    const lines = await scrape();
    expect(lines).to.include(
      'mcpctl_http_requests_total{route="/api/v1/llms/:name",method="GET",code="404"} 1',
    );
    expect(lines).to.include('mcpctl_http_requests_total{route="none",method="GET",code="404"} 1');
    expect(lines.join('\n')).to.match(
      /mcpctl_build_info\{version="0.0.0-test",commit="([0-9a-f]{12}|unknown)",node="v/,
    );
    expect(lines.join('\n')).not.to.match(/by-a-caller|of-a-caller|at-all/);
  });

  it('tell what loops over items did not do', async () => {
    t.bus.emit('loop.left', { loop: 'relay-look', left: 2, failed: 3, ended: 0 });
    expect((await scrape()).filter((line) => line.startsWith('mcpctl_loop_items_total'))).to.have.members([
      'mcpctl_loop_items_total{loop="relay-look",outcome="left"} 2',
      'mcpctl_loop_items_total{loop="relay-look",outcome="failed"} 3',
    ]);
  });

  it('tell calls by how they ended, and who had them', async () => {
    finish({ llm: 'ways', kind: 'public' });
    finish({ llm: 'ways', status: 502, code: 'backend_error' });
    finish({ llm: 'ways', status: 400, code: 'backend_rejected' });
    finish({ llm: 'ways', status: 504, code: 'queue_timeout' });
    finish({ llm: 'ways', status: 502, code: 'worker_lost' });
    finish({ llm: 'ways', status: 429, code: 'too_many_requests', clientRetry: 2 });
    for (const left of ['queued', 'claimed', 'streaming'] as const)
      finish({ llm: 'ways', status: 499, code: 'task_cancelled', left });
    const ways = (await scrape()).filter((line) =>
      line.startsWith('mcpctl_inference_requests_total{llm="ways"'),
    );
    expect(
      ways.map((line) => line.replace('mcpctl_inference_requests_total{llm="ways",', '')),
    ).to.have.members([
      'kind="public",outcome="ok"} 1',
      'kind="virtual",outcome="upstream_error"} 1',
      'kind="virtual",outcome="rejected"} 2',
      'kind="virtual",outcome="timeout"} 1',
      'kind="virtual",outcome="worker_lost"} 1',
      'kind="virtual",outcome="cancelled"} 3',
    ]);
    expect(await scrape()).to.include.members([
      'mcpctl_rate_limited_total{llm="ways"} 1',
      'mcpctl_retries_seen_total{llm="ways"} 1',
      'mcpctl_client_disconnects_total{phase="queued"} 1',
      'mcpctl_client_disconnects_total{phase="claimed"} 1',
      'mcpctl_client_disconnects_total{phase="streaming"} 1',
    ]);
  });

  it('measure a stream from the call to its first token, and from there by token', async () => {
    finish({ llm: 'paced', queueMs: 50, ttftMs: 500, durMs: 1_500, tokensOut: 11 });
    finish({ llm: 'paced', durMs: 9_000, tokensOut: 7 }); // in one piece: it has no first token
    expect(await scrape()).to.include.members([
      'mcpctl_inference_queue_wait_seconds_sum{llm="paced"} 0.05',
      'mcpctl_inference_time_to_first_token_seconds_sum{llm="paced"} 0.5',
      'mcpctl_inference_time_per_output_token_seconds_sum{llm="paced"} 0.1',
      'mcpctl_inference_time_per_output_token_seconds_count{llm="paced"} 1',
      'mcpctl_inference_duration_seconds_sum{llm="paced"} 10.5',
    ]);
  });

  it('count the tokens of a task once, however many callers hear of it', async () => {
    const about = { taskId: 't', by: 'edge', source: 'infer', keyId: null, code: null, pool: 'p' } as const;
    const usage = { tokensIn: 5, tokensOut: 7 };
    t.bus.emit('task.settled', { ...who, ...about, ...usage, status: 'completed', llm: 'sums', durMs: 1 });
    for (let n = 0; n < 2; n++) finish({ llm: 'sums', ...usage });
    expect(await scrape()).to.include.members([
      'mcpctl_inference_tokens_total{llm="sums",type="input"} 5',
      'mcpctl_inference_tokens_total{llm="sums",type="output"} 7',
    ]);
  });

  it('have no more series than they can bear, however many llms are called', async () => {
    for (let n = 0; n < 300; n++) finish({ llm: `llm-${n}` });
    const llms = new Set((await scrape()).flatMap((line) => /llm="([^"]+)"/.exec(line)?.[1] ?? []));
    expect(llms.size).to.be.within(100, 102);
    expect([...llms]).to.include('other');
  });

  it('give the place of a name that nobody calls any more to another', () => {
    let now = 0;
    const forgotten: string[] = [];
    const clock = { ...systemClock, elapsed: () => now };
    const labels = tellApart({ most: 2, idleMs: 10, clock, forget: (name) => void forgotten.push(name) });
    expect(['a', 'b', 'c'].map((name) => labels.label(name))).to.deep.equal(['a', 'b', 'other']);
    now = 9;
    labels.label('a');
    now = 12;
    expect(labels.label('c')).to.equal('c');
    expect(forgotten).to.deep.equal(['b']);
    expect(labels.label('b')).to.equal('other');
  });

  it('leave places to others, whoever has named the most', () => {
    const forgotten: string[] = [];
    const forget = (name: string): void => void forgotten.push(name);
    const labels = tellApart({ most: 4, idleMs: 1_000, clock: { ...systemClock, elapsed: () => 0 }, forget });
    for (const name of ['a', 'b', 'c', 'd']) expect(labels.label(name, 'mallory')).to.equal(name);
    expect(labels.label('e', 'mallory')).to.equal('other');
    expect(['f', 'g', 'h'].map((name) => labels.label(name, 'ada'))).to.deep.equal(['f', 'g', 'other']);
    expect(labels.label('c', 'mallory')).to.equal('c');
    expect(forgotten).to.deep.equal(['a', 'b']);
    const pools = ['m1', 'm2', 'm3', 'a1', 'b1'];
    expect(inTurns(pools, ([owner = '']) => owner, 4)).to.deep.equal(['m1', 'a1', 'b1', 'm2']);
  });

  it('count who came without a valid token', async () => {
    const of = (lines: string[], reason: string): number =>
      Number(
        lines.find((line) => line.includes(`auth_failures_total{reason="${reason}"}`))?.split(' ')[1] ?? 0,
      );
    const before = await scrape();
    await t.call('GET /api/v1/llms', { token: null });
    await t.call('GET /v1/models', { token: 'mcpctl_nobodys' });
    const after = await scrape();
    for (const reason of ['missing', 'invalid'])
      expect(of(after, reason) - of(before, reason), reason).to.equal(1);
  });

  it('show what is under way, and that it is over', async () => {
    const body = { stream: true, messages: [{ role: 'user', content: 'hi' }] };
    const leaving = new AbortController();
    const over = new Promise((resolve) => t.bus.on('inference.finished', resolve));
    const accepted = new Promise((resolve) => t.bus.on('task.accepted', resolve));
    const call = fetch(`${t.url}/api/v1/llms/house/infer`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${t.tokens.ada}`,
        'content-type': 'application/json',
        prefer: 'wait=20',
      },
      body: JSON.stringify(body),
      signal: leaving.signal,
    }).catch(() => undefined);
    await accepted;
    expect(await scrape()).to.include.members([
      'mcpctl_inference_active 1',
      'mcpctl_sse_streams_open{of="callers"} 1',
      'mcpctl_sse_streams_open{of="workers"} 0',
    ]);
    leaving.abort();
    await call;
    expect(await over).to.include({
      status: 499,
      left: 'queued',
      llm: 'house',
      kind: 'public',
      pool: 'house',
    });
    expect(await scrape()).to.include.members([
      'mcpctl_inference_active 0',
      'mcpctl_sse_streams_open{of="callers"} 0',
    ]);
  });
});
