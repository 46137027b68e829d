import { expect } from 'chai';
import { McpctlError } from '../../core/errors.ts';
import { createBus, type Bus } from '../../core/runtime/bus.ts';
import { pause, systemClock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { Leader, type LeaderDeps } from '../../scheduler/leader.ts';
import { registryFixture, type RegistryFixture } from '../support/registry.ts';
import { until } from '../support/system.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const LIFE_MS = 600;

describe('leadership', function () {
  this.timeout(30_000);
  let t: RegistryFixture;
  let leading: number;
  let most: number;
  let bus: Bus;
  const fit = (): Promise<void> => Promise.resolve();
  const leaders: Leader[] = [];
  const make = (more: { leases?: LeaderDeps['leases']; fit?: () => Promise<void> } = {}): Leader => {
    const leader = new Leader({
      leases: t.registry.leases,
      fit,
      ...more,
      leaderMs: LIFE_MS,
      lead: async (signal) => {
        leading += 1;
        most = Math.max(most, leading);
        await pause(60_000, signal);
        leading -= 1;
      },
      bus,
      clock: systemClock,
      log,
    });
    leaders.push(leader);
    return leader;
  };
  const someoneLeads = (): Promise<number> =>
    until(
      async () => leading,
      (n) => n === 1,
    );

  before(async () => {
    t = await registryFixture();
  });
  after(() => t.close());
  beforeEach(() => {
    leading = 0;
    most = 0;
    bus = createBus(log);
  });
  afterEach(async () => {
    await Promise.all(leaders.splice(0).map((leader) => leader.stop()));
  });

  it('is held by one of many, and goes to another as soon as that one stops', async () => {
    const all = [make(), make(), make()];
    for (const leader of all) leader.start();
    await someoneLeads();
    for (let n = 0; n < 2; n++) {
      const changed = new Promise<void>((resolve) => {
        const off = bus.on('leader.changed', (event) => {
          if (!event.leading) return;
          off();
          resolve();
        });
      });
      // Whoever leads: stopping the others changes nothing, so all are stopped in turn.
      await all[n]?.stop();
      await Promise.race([changed, someoneLeads()]);
    }
    await someoneLeads();
    expect(most).to.equal(1);
  });

  it('is given up by one that cannot renew, before another may take it', async () => {
    let away = false;
    const flaky: LeaderDeps['leases'] = {
      tryHold: (name, holder, ms) =>
        away ? Promise.reject(new TypeError('away')) : t.registry.leases.tryHold(name, holder, ms),
      release: (name, holder) => t.registry.leases.release(name, holder),
    };
    make({ leases: flaky }).start();
    await someoneLeads();
    away = true;
    make().start();
    await until(
      async () => leading,
      (n) => n === 0,
    );
    await someoneLeads();
    expect(most).to.equal(1);
  });

  it('is kept while somebody else holds its row: nobody can have it then', async () => {
    let [isLocked, asked] = [false, 0];
    const locked: LeaderDeps['leases'] = {
      tryHold(name, holder, ms) {
        if (!isLocked) return t.registry.leases.tryHold(name, holder, ms);
        asked += 1;
        return Promise.reject(new McpctlError('unavailable', undefined, { cause: { sqlState: '55P03' } }));
      },
      release: (name, holder) => t.registry.leases.release(name, holder),
    };
    make({ leases: locked }).start();
    await someoneLeads();
    isLocked = true;
    await until(
      async () => asked,
      (n) => n >= 20,
    );
    expect(leading).to.equal(1);
  });

  it('is given away by one that could not do its duties, and not taken back while it cannot', async () => {
    let blind = false;
    const led: string[] = [];
    bus.on('leader.changed', (event) => {
      if (event.leading) led.push(event.holder);
    });
    make({ fit: () => (blind ? Promise.reject(new TypeError('blind')) : fit()) }).start();
    await someoneLeads();
    make().start();
    blind = true;
    await until(
      async () => led.length,
      (n) => n === 2,
    );
    expect(new Set(led).size).to.equal(2);
    expect(most).to.equal(1);
    expect(leading).to.equal(1);
  });
});
