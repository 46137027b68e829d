import { tellOfHold } from '../../core/flow/hold.ts';
import type { DoneMember } from '../../core/registry/llms/former-members.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

const EVERY_MS = 5_000;
const MOST = 500;

/**
 * Ends what llms have to do in pools that they left: whoever serves them is told, then it is forgotten, so that one who dies in
 * between tells once more.
 */
export function createFormerDuty({ registry, queue, flow, clock, log }: DutyDeps): Duty {
  const each = new EachItem<DoneMember>({
    name: 'former',
    idOf: ({ poolKey, llmId }) => `${poolKey} ${llmId}`,
    async act([done]) {
      if (!done) return 0;
      if (done.worker) await tellOfHold({ queue }, done.worker);
      await registry.llms.forgetFormer([done]);
      return 1;
    },
    clock,
    log,
  });
  return {
    name: 'former',
    everyMs: EVERY_MS,
    async run(signal) {
      return announced(
        { flow },
        'former',
        await each.run(await registry.llms.formerDone(MOST + each.resting), signal),
      );
    },
  };
}
