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
    const providers = [{ name: 'desk', type: 'openai', model: 'm', maxConcurrency: 3 }];
    const body = { instanceId: randomUUID(), workerVersion: '9.9.9', providers };
    const made = await t.call('POST /api/v1/llms/_provider-register', {
      body: { ...body, transports: ['redis'] },
    });
    const { providerSessionId: worker } = made.json as { providerSessionId: string };
    const request = { messages: [{ role: 'user', content: 'hi' }] };
    for (let i = 0; i < 2; i++) await t.call('POST /api/v1/tasks', { body: { llm: 'desk', request } });
    const lines = await scrape();
    expect(lines).to.include('mcpctl_queue_jobs{pool="desk",state="waiting"} 2');
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
    const ran = { duty: 'reap', ok: 2, failed: 1, did: 3, lastOkMs: 5_000 };
    await addTally(redis, keys, [ran]);
    await addTally(redis, keys, [{ ...ran, failed: 0, lastOkMs: 7_000 }]);
    const lines = await scrape();
    expect(lines).to.include('mcpctl_scheduler_runs_total{sweep="reap",outcome="ok"} 4');
    expect(lines).to.include('mcpctl_scheduler_runs_total{sweep="reap",outcome="failed"} 1');
    expect(lines).to.include('mcpctl_scheduler_acted_total{sweep="reap"} 6');
    expect(lines).to.include('mcpctl_scheduler_last_success_timestamp_seconds{sweep="reap"} 7');
  });

  it('has no more series than it can bear, however many pools there are', async () => {
    const providers = Array.from({ length: 150 }, (_, n) => ({
      name: `pool-${n}`,
      type: 'openai',
      model: 'm',
    }));
    const body = { instanceId: randomUUID(), transports: ['redis'], providers };
    expect((await t.call('POST /api/v1/llms/_provider-register', { body })).status).to.equal(201);
    const pools = new Set((await scrape()).flatMap((line) => /pool="([^"]+)"/.exec(line)?.[1] ?? []));
    expect(pools.size).to.equal(101);
    expect([...pools]).to.include('other');
  });
});
