import { expect } from 'chai';
import { startSystem, until, type System } from '../support/system.ts';

const body = { messages: [{ role: 'user', content: 'hi' }] };

describe('a worker whose edge has changed its mind about the transport', function () {
  this.timeout(180_000);
  let t: System;
  before(async () => {
    t = await startSystem();
  });
  after(() => t.close());

  it('goes over when it registers again, and serves on', async () => {
    const worker = await t.startWorker([{ name: 'mover', backend: t.backend }], { transport: 'redis' });
    const port = Number(new URL(t.url).port);
    await t.edge.kill('SIGTERM');
    await t.startEdge(port, { MCPCTL_REDIS_WORKERS: '0' });
    // What its backend can do has changed: the worker publishes that.
    t.backend.operations = ['chat'];
    t.backend.models = ['another-model'];
    await worker.next((line) => line.msg === 'tasks are taken by another transport from now on');
    await worker.next((line) => line.msg === 'connected to the edge');
    const infer = () => t.call('POST', '/api/v1/llms/mover/infer', { body });
    await until(
      async () => (await infer()).status,
      (status) => status === 200,
      60_000,
    );
    expect(await worker.kill('SIGTERM')).to.equal(0);
  });
});
