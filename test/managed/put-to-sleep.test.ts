import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { systemClock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { Uses } from '../../worker/backends/kept.ts';
import { GroupGuard } from '../../worker/children/guard.ts';
import { PutToSleep } from '../../worker/managed/put-to-sleep.ts';
import { until } from '../support/system.ts';

const recipe = (url: string) => ({ type: 'http' as const, url, method: 'POST' as const, maxWaitSeconds: 60 });

describe('a backend that is put to sleep by a recipe', () => {
  it('is left awake, once it was woken, for as long as who had it woken may take to come', async () => {
    const carriedOut: string[] = [];
    const machine = createServer((req, res) => {
      carriedOut.push(req.url ?? '');
      res.end();
    }).listen(0, '127.0.0.1');
    await once(machine, 'listening');
    const at = `http://127.0.0.1:${String((machine.address() as AddressInfo).port)}`;
    let elapsed = 0;
    let looks = 0;
    const clock = {
      ...systemClock,
      elapsed: () => {
        looks += 1;
        return elapsed;
      },
    };
    const kept = new PutToSleep({
      name: 'desk',
      sleep: recipe(`${at}/sleep`),
      wake: recipe(`${at}/wake`),
      idleMs: 10_000,
      uses: new Uses(clock),
      guard: new GroupGuard(),
      environment: {},
      clock,
      log: createLog({ process: 'test', level: 'silent', pretty: false }),
    });
    const nothing = (): undefined => undefined;
    const looked = async (): Promise<void> => {
      const before = looks;
      await until(
        () => Promise.resolve(looks - before),
        (more) => more > 3,
      );
    };
    const carried = (count: number) =>
      until(
        () => Promise.resolve(carriedOut),
        ({ length }) => length === count,
      );
    try {
      kept.keptBy({ onGone: nothing, onChanged: nothing, begin: nothing });
      elapsed = 10_001;
      await carried(1);
      expect(await kept.wake(new AbortController().signal)).to.equal(null);
      elapsed += 59_999;
      await looked();
      expect(carriedOut).to.deep.equal(['/sleep', '/wake']);
      kept.uses.begin()();
      elapsed += 9_999;
      await looked();
      expect(carriedOut).to.have.length(2);
      elapsed += 2;
      await carried(3);
      expect(await kept.wake(new AbortController().signal)).to.equal(null);
      elapsed += 60_001; // nobody came
      expect(await carried(5)).to.deep.equal(['/sleep', '/wake', '/sleep', '/wake', '/sleep']);
    } finally {
      await kept.stop();
      machine.close();
    }
  });
});
