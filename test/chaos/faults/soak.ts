import { pause } from '../../../core/runtime/clock.ts';
import { pick } from '../random.ts';
import type { Fault, Trial } from '../trial.ts';
import type { World } from '../world.ts';

const EACH_MS = 2_000;

type Part = World['edges'][number] | World['schedulers'][number] | World['workers'][number];

/** Those that may be killed: of each kind another one serves meanwhile. */
function spare({ edges, schedulers, workers }: World, down: ReadonlyMap<Part, unknown>): Part[] {
  return [edges, schedulers, workers].flatMap((kind: readonly Part[]) => {
    const up = kind.filter((part) => !down.has(part));
    return up.length > 1 ? up : [];
  });
}

/** Kills one process after another until the load is through, and starts each again. */
async function killEach({ world, load, random }: Trial): Promise<{ killed: string[]; broken: string[] }> {
  const killed: string[] = [];
  const broken: string[] = [];
  const down = new Map<Part, Promise<void>>();
  let over = false;
  const through = load.done.then(() => void (over = true));
  const comesBack = async (part: Part): Promise<void> => {
    try {
      await world.restart(part);
    } catch (thrown) {
      broken.push(`${part.name} did not come back: ${String(thrown)}`);
    } finally {
      down.delete(part);
    }
  };
  for (let next = performance.now(); !over; next += EACH_MS) {
    const [first, ...others] = spare(world, down);
    if (first) {
      const part: Part = pick(random, [first, ...others]);
      if ('url' in part) world.journal.world({ what: 'edge-down', edge: part.name });
      await part.process.end('SIGKILL');
      killed.push(part.name);
      down.set(part, comesBack(part));
    }
    await Promise.race([pause(Math.max(0, next + EACH_MS - performance.now())), through]);
  }
  await Promise.all(down.values());
  return { killed, broken };
}

/** As long as one likes: 100,000 tasks take an hour. */
export const oneAfterAnother: Fault = {
  name: 'a process SIGKILLed each 2 s, any of them, while the load lasts',
  spanMs: 72_000,
  after: 0.02,
  async strike(trial) {
    const from = performance.now();
    const { killed, broken } = await killEach(trial);
    const spanS = (performance.now() - from) / 1_000;
    const kinds = [...new Set(killed)].sort().map((name) => {
      return `${name} ${String(killed.filter((each) => each === name).length)}`;
    });
    return {
      happened: killed.length >= 2,
      proof: `${String(killed.length)} processes were killed in ${spanS.toFixed(0)} s: ${kinds.join(', ')}`,
      healing: trial.heal(performance.now(), { pool: 'wide' }),
      broken,
    };
  },
};
