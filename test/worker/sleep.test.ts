import { expect } from 'chai';
import { startSystem, until, type System, type TransportKind } from '../support/system.ts';

const body = { messages: [{ role: 'user', content: 'hi' }] };

for (const transport of ['redis', 'sse'] as const satisfies readonly TransportKind[]) {
  describe(`a machine that slept, over ${transport}`, function () {
    this.timeout(120_000);
    let t: System;
    before(async () => {
      // The lease lapses while the machine sleeps, as after 90 s of it.
      t = await startSystem({ MCPCTL_LEASE_MS: '3000', MCPCTL_SWEEP_MS: '500' }, { transport });
    });
    after(() => t.close());

    it('registers again and serves within 10 s of waking, with the rows it had', async () => {
      const worker = await t.startWorker([{ name: 'sleeper', backend: t.backend }], {
        env: { MCPCTL_HEARTBEAT_MS: '3600000' }, // nothing but the waking brings it back
      });
      const { id } = await t.llm('sleeper');
      worker.child.kill('SIGSTOP');
      await until(
        async () => (await t.llm('sleeper')).inactiveReason,
        (reason) => reason === 'publisher_gone',
        40_000,
      );
      await new Promise((resolve) => setTimeout(resolve, 5_500)); // what counts as sleep
      const wokeAt = performance.now();
      worker.child.kill('SIGCONT');
      await worker.next((line) => String(line.msg).startsWith('the machine slept'));
      await worker.event('session.registered', () => true);
      await until(
        async () => (await t.call('POST', '/api/v1/llms/sleeper/infer', { body })).status,
        (status) => status === 200,
        60_000,
      );
      expect(performance.now() - wokeAt).to.be.below(10_000 * 3); // 10 s on an idle machine
      expect(await t.llm('sleeper')).to.include({ id, status: 'active' });
      await worker.kill('SIGTERM');
    });
  });
}
