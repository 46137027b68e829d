import { expect } from 'chai';
import { createBus } from '../../core/runtime/bus.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { Gate } from '../../worker/work/gate.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });

describe('a member that rests', () => {
  it('rests for as long as the backend has asked of any of the tasks that failed together, however it looks', async () => {
    const bus = createBus(log);
    let asked = 0;
    const isAvailable = (): Promise<boolean> => {
      asked += 1;
      return asked === 1
        ? Promise.reject(new Error('a provider that somebody wrote'))
        : Promise.resolve(true);
    };
    const gate = new Gate({ llm: 'desk', isAvailable, bus, clock });
    const changes: [string, boolean][] = [];
    gate.onChange((state) => changes.push([state, (gate.restsMs ?? 0) > 1_000]));
    expect(gate.restsMs).to.equal(undefined);
    const serves = new Promise<number>((resolve) => bus.on('member.serves', () => resolve(clock.elapsed())));
    const from = clock.elapsed();
    gate.failed('too_many_requests');
    gate.failed('too_many_requests', 1_300);
    gate.failed('backend_error');
    expect(gate.state).to.equal('resting');
    expect(gate.restsMs).to.be.within(1_001, 1_300);
    expect((await serves) - from).to.be.at.least(1_300);
    expect(asked).to.equal(2);
    // Also that it became longer; what changes nothing is not told.
    expect(changes).to.deep.equal([
      ['resting', false],
      ['resting', true],
      ['down', false],
      ['serving', false],
    ]);
    expect(gate.restsMs).to.equal(undefined);
    gate.end();
  });
});
