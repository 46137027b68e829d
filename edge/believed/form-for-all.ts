import { messageOf } from '../../core/errors.ts';
import type { Form, Forms } from '../../core/registry/database/forms.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';

/** The newest form that every process reads which may be alive: what goes to callers, and comes back through any edge, is written in it. */
export interface FormForAll extends Service {
  now(): Form;
  /** Asks; never rejects. As every 5 s by itself. */
  look(): Promise<void>;
}

const EVERY_MS = 5_000;
/** A process of a release before that was seen may be there for so long, though it holds no connection. */
const KEPT_MS = 10 * 60_000;

/** While it is not known, as before the first look and while Postgres never answered, it is the oldest: everybody reads that. */
export function createFormForAll({
  forms,
  clock,
  log,
}: {
  forms: Forms;
  clock: Clock;
  log: Log;
}): FormForAll {
  let form: Form = 1;
  let olderAt: number | undefined;
  let timer: NodeJS.Timeout | undefined;

  const look = async (): Promise<void> => {
    try {
      const now = clock.elapsed();
      const readByAll = await forms.readByAll();
      if (readByAll === 1) olderAt = now;
      form = olderAt === undefined || now - olderAt >= KEPT_MS ? readByAll : 1;
    } catch (thrown) {
      log.debug({ why: messageOf(thrown) }, 'what releases are alive could not be asked');
    }
  };
  return {
    name: 'form-for-all',
    async start() {
      await look();
      timer = setInterval(() => void look(), EVERY_MS);
    },
    stop: () => clearInterval(timer),
    now: () => form,
    look,
  };
}
