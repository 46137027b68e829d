import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { addTally } from '../../core/queue/tally.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';

describe('metrics of the whole installation', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  beforeEach(async () => {
    t = await edgeFixture();
  });
  afterEach(() => t.close());
  const scrape = async (): Promise<string[]> => {
    const { text } = await t.call('GET /metrics', { token: t.tokens.root });
    return text.split('\n').filter((line) => line.startsWith('mcpctl_') && !/_bucket|http_/.test(line));
  };

  it('counts jobs, members, workers and slots', async () => {
    const offer = { type: 'openai', model: 'm', maxConcurrency: 3, slotGroup: 'one' };
    const providers = [
      { ...offer, name: 'desk' },
      { ...offer, name: 'other' },
    ];
    const body = { instanceId: randomUUID(), workerVersion: '9.9.9', providers };
    const made = await t.call('POST /api/v1/llms/_provider-register', {
      body: { ...body, transports: ['redis'] },
    });
    const { providerSessionId: worker } = made.json as { providerSessionId: string };
    const request = { messages: [{ role: 'user', content: 'hi' }] };
    for (let i = 0; i < 2; i++) await t.call('POST /api/v1/tasks', { body: { llm: 'desk', request } });
    const pinned = { request: { ...request }, llm: 'desk' };
    await t.call('POST /api/v1/tasks', { body: pinned, headers: { 'x-mcpctl-pin': 'desk' } });
    const lines = await scrape();
    expect(lines).to.include('mcpctl_queue_jobs{pool="desk",state="waiting"} 3');
    expect(lines).to.include('mcpctl_queue_jobs{pool="desk",state="active"} 0');
    expect(lines).to.include('mcpctl_pool_members{pool="desk",state="serving"} 1');
    expect(lines).to.include('mcpctl_workers{state="live"} 1');
    expect(lines).to.include(`mcpctl_worker_info{worker="${worker}",version="9.9.9",transport="redis"} 1`);
    expect(lines).to.include(`mcpctl_worker_slots{worker="${worker}"} 3`);
    expect(lines).to.include(`mcpctl_worker_slots_busy{worker="${worker}"} 0`);
    expect(lines).to.include('mcpctl_stores_up 1');
    expect(lines.join('\n')).to.match(/mcpctl_queue_oldest_seconds\{pool="desk"\} \d/);
  });

  it('tells how the duties of the scheduler fare, whichever scheduler led', async () => {
    const { redis, keys } = t.deps.queue;
    const ran = { duty: 'reap', ok: 2, failed: 1, did: 3, left: 0, isolated: 0, ended: 0, lastOkMs: 5_000 };
    const counted = [
      { what: 'removed', by: 'llm', count: 2 },
      { what: 'tokens', by: 'output', count: 40 },
    ] as const;
    await addTally(redis, keys, { duties: [ran], counted: [...counted] });
    await addTally(redis, keys, { duties: [{ ...ran, failed: 0, lastOkMs: 7_000 }], counted: [counted[0]] });
    const lines = await scrape();
    expect(lines).to.include('mcpctl_scheduler_runs_total{sweep="reap",outcome="ok"} 4');
    expect(lines).to.include('mcpctl_scheduler_runs_total{sweep="reap",outcome="failed"} 1');
    expect(lines).to.include('mcpctl_scheduler_acted_total{sweep="reap"} 6');
    expect(lines).to.include('mcpctl_scheduler_last_success_timestamp_seconds{sweep="reap"} 7');
    expect(lines).to.include('mcpctl_scheduler_removed_total{kind="llm"} 4');
    expect(lines).to.include('mcpctl_scheduler_tokens_total{type="output"} 40');
  });

  it('lists the workers for Prometheus, each a target through the edge that is there while the worker is', async () => {
    const { json } = await t.call('POST /api/v1/llms/_provider-register', {
      body: {
        instanceId: randomUUID(),
        transports: ['redis'],
        providers: [{ name: 'nat', type: 'openai', model: 'm' }],
      },
    });
    const { providerSessionId: id } = json as { providerSessionId: string };
    for (const path of ['/metrics/targets', `/metrics/workers/${id}`]) {
      expect((await t.call(`GET ${path}`, { token: null })).status, path).to.equal(401);
      expect((await t.call(`GET ${path}`)).status, path).to.equal(403);
    }
    const token = t.tokens.root;
    const targets = (await t.call('GET /metrics/targets', { token })).json as {
      targets: string[];
      labels: Record<string, string>;
    }[];
    expect(targets).to.deep.equal([
      {
        targets: [new URL(t.url).host],
        labels: {
          __scheme__: 'http',
          __metrics_path__: `/metrics/workers/${id}`,
          instance: id,
          __meta_mcpctl_version: 'unknown',
          __meta_mcpctl_transport: 'redis',
          __meta_mcpctl_llms: ',nat,',
          __meta_mcpctl_pools: ',nat,',
        },
      },
    ]);
    const page = await t.call(`GET /metrics/workers/${id}`, { token });
    expect(page.text).to.include(
      `mcpctl_worker_llm_state{worker="${id}",llm="nat",pool="nat",state="serving"} 1`,
    );
    expect((await t.call(`GET /metrics/workers/${randomUUID()}`, { token })).status).to.equal(404);
  });

  it('fails the scrape of a worker that is gone, and lists one no more that said goodbye', async () => {
    const register = async (name: string): Promise<string> => {
      const providers = [{ name, type: 'openai', model: 'm' }];
      const body = { instanceId: randomUUID(), transports: ['redis'], providers };
      const { json } = await t.call('POST /api/v1/llms/_provider-register', { body });
      return (json as { providerSessionId: string }).providerSessionId;
    };
    const [lapsed, left] = [await register('lapsed'), await register('left')];
    await t.deps.presence.drop(lapsed, ['lapsed']);
    await t.call('POST /api/v1/llms/_provider-goodbye', { body: { providerSessionId: left } });
    const token = t.tokens.root;
    expect((await t.call(`GET /metrics/workers/${lapsed}`, { token })).status).to.equal(503);
    expect((await t.call(`GET /metrics/workers/${left}`, { token })).status).to.equal(404);
    expect(await scrape()).to.include.members([
      'mcpctl_workers{state="live"} 0',
      'mcpctl_workers{state="gone"} 1',
    ]);
  });

  it('has no more series than it can bear, however many pools there are', async () => {
    const providers = Array.from({ length: 150 }, (_, n) => ({
      name: `pool-${n}`,
      type: 'openai',
      model: 'm',
    }));
    const body = { instanceId: randomUUID(), transports: ['redis'], providers };
    // An admin's are not counted; a user may not have so many.
    const token = t.tokens.root;
    expect((await t.call('POST /api/v1/llms/_provider-register', { token, body })).status).to.equal(201);
    const pools = new Set((await scrape()).flatMap((line) => /pool="([^"]+)"/.exec(line)?.[1] ?? []));
    expect(pools.size).to.equal(101);
    expect([...pools]).to.include('other');
  });
});
