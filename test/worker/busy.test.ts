import { expect } from 'chai';
import { createBus } from '../../core/runtime/bus.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { execute, type HeldClaim, type Member } from '../../worker/work/execute.ts';
import { Gate } from '../../worker/work/gate.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });

describe('a worker that is busy with something large', () => {
  /** @returns how far ahead it had said that it lives when its backend was asked. */
  const aheadFor = async (bytes: number): Promise<(number | undefined)[]> => {
    const bus = createBus(log);
    const beats: (number | undefined)[] = [];
    let whenAsked: (number | undefined)[] = [];
    const isAvailable = (): Promise<boolean> => Promise.resolve(true);
    const gate = new Gate({ llm: 'desk', isAvailable, bus, clock });
    const member: Member = {
      ...{ llmId: 'l', name: 'desk', poolKey: 'p', model: 'm', stallMs: 1_000, isAvailable },
      forward: () => {
        whenAsked = [...beats];
        return (async function* () {
          yield await Promise.resolve({ kind: 'end' as const, status: 200, body: '{}' });
        })();
      },
    };
    const claim: HeldClaim = {
      ...{ taskId: 't', claimId: 'c', body: 'x'.repeat(bytes), aborting: new AbortController() },
      head: { operation: 'chat', streaming: false, headers: {}, llmName: 'desk', runMs: 60_000 },
      port: {
        count: 0,
        beat: (aheadMs) => Promise.resolve(beats.push(aheadMs) > 0),
        emit: () => Promise.resolve(),
        deliver: () => Promise.resolve(true),
        end: () => Promise.resolve(true),
        handBack: () => Promise.resolve('ok'),
      },
    };
    expect(await execute({ bus, clock, log }, { member, gate, claim })).to.include({ kind: 'completed' });
    gate.end();
    return whenAsked;
  };

  it('says so before it begins, for as long as that may take: its beats wait behind it', async () => {
    expect(await aheadFor(64 * 1024)).to.deep.equal([]);
    expect(await aheadFor(2 * 1024 * 1024)).to.deep.equal([1_049]);
    expect(await aheadFor(32 * 1024 * 1024), 'a death is still noticed').to.deep.equal([5_000]);
  });
});
