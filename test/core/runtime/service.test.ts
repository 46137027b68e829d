import { expect } from 'chai';
import { createLog } from '../../../core/runtime/log.ts';
import { composeServices, type Service } from '../../../core/runtime/process/service.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });

describe('services', () => {
  const steps: string[] = [];
  beforeEach(() => {
    steps.length = 0;
  });
  const service = (name: string, faults: { start?: boolean; stop?: boolean } = {}): Service => ({
    name,
    async start() {
      if (faults.start) throw new TypeError(`${name} does not start`);
      steps.push(`+${name}`);
    },
    async stop() {
      steps.push(`-${name}`);
      if (faults.stop) throw new TypeError(`${name} does not stop`);
    },
  });

  it('start in order and stop in reverse, once', async () => {
    const all = composeServices([service('a'), service('b'), service('c')], log);
    await all.start?.();
    await all.stop();
    await all.stop();
    expect(steps).to.deep.equal(['+a', '+b', '+c', '-c', '-b', '-a']);
  });

  it('stop again what had started when one does not start', async () => {
    const all = composeServices([service('a'), service('b', { start: true }), service('c')], log);
    await Promise.resolve(all.start?.()).then(
      () => expect.fail('it started'),
      (thrown: Error) => expect(thrown.message).to.equal('b does not start'),
    );
    expect(steps).to.deep.equal(['+a', '-b', '-a']);
  });

  it('all stop, also when one of them fails to', async () => {
    const all = composeServices([service('a'), service('b', { stop: true })], log);
    await all.start?.();
    await all.stop();
    expect(steps).to.deep.equal(['+a', '+b', '-b', '-a']);
  });
});
