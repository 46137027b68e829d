import { pause } from '../../core/runtime/clock.ts';
import type { Order, Placed } from './caller.ts';
import type { Mode } from './lines.ts';
import { between, pick, type Random } from './random.ts';
import { AGENT } from './threads.ts';
import { pools, type World } from './world.ts';

/** Callers of every kind, one after another, over all pools and both edges. */
export interface Load {
  sent(): number;
  /** Streams of which an event has come and that have not ended. */
  streaming(): number;
  /** Resolves when so many have been sent. */
  untilSent(count: number): Promise<void>;
  /** Resolves when every caller has what it gets. */
  done: Promise<void>;
}

export interface LoadDeps {
  world: World;
  /** Starts the canaries of this trial. */
  mark: string;
  tasks: number;
  turns?: number | undefined;
  /** The calls are spread over this time, or longer where too many are under way. */
  spanMs: number;
  random: Random;
  boundMs: number;
}

/** Beyond this many at a time a machine of two cores refuses for lack of time, not for a fault. */
const MOST_UNDER_WAY = 40;

export function startLoad({
  world,
  mark,
  tasks,
  turns = USUAL_TURNS,
  spanMs,
  random,
  boundMs,
}: LoadDeps): Load {
  const underWay = new Set<Placed>();
  let sent = 0;
  let streaming = 0;
  const marks = new Map<number, () => void>();

  const one = (n: number): void => {
    const call = draw(random, world, turns);
    const behaviour = random();
    // Whoever leaves or cancels needs something to leave.
    const long = behaviour < 0.08 ? { pieces: 12, gapMs: 60 } : {};
    const usual = { pieces: between(random, 2, 10), gapMs: between(random, 0, 40) };
    const script = { canary: `${mark}-${String(n)}`, ...usual, ...long };
    const placed = world.callers.place({ ...call, script, boundMs });
    underWay.add(placed);
    void placed.done.then(() => underWay.delete(placed));
    if (call.mode === 'stream') count(placed);
    if (behaviour < 0.04) void pause(150).then(() => world.callers.cancel(placed, call.edge));
    else if (behaviour < 0.08) void pause(250).then(() => placed.leave());
  };
  const count = (placed: Placed): void => {
    let open = false;
    void placed.events(1).then((events) => {
      open = events > 0;
      if (open) streaming += 1;
    });
    void placed.done.then(() => {
      if (open) streaming -= 1;
    });
  };
  const all = async (): Promise<void> => {
    const from = performance.now();
    for (let n = 0; n < tasks; n += 1) {
      one(n);
      sent += 1;
      marks.get(sent)?.();
      const early = from + (n * spanMs) / tasks - performance.now();
      if (early > 0) await pause(early);
      while (underWay.size >= MOST_UNDER_WAY) await Promise.race([...underWay].map(({ done }) => done));
    }
    await Promise.all([...underWay].map(({ done }) => done));
  };
  return {
    sent: () => sent,
    streaming: () => streaming,
    untilSent: (wanted) =>
      new Promise((resolve) => {
        if (sent >= wanted) resolve();
        else marks.set(Math.min(wanted, tasks), resolve);
      }),
    done: all(),
  };
}

type Drawn = Pick<Order, 'door' | 'mode' | 'pool' | 'edge' | 'thread'>;

/** Of the calls: turns of threads that are everybody's, so that many of them wait in line. */
export const USUAL_TURNS = 0.15;

function draw(random: Random, world: World, turns: number): Drawn {
  const pool = random() < 0.55 ? 'wide' : pick(random, pools);
  const edge = world.edge(random() < 0.5 ? 'e1' : 'e2').name;
  if (random() < turns)
    return { door: 'thread', mode: 'stream', pool: AGENT, edge, thread: pick(random, world.threads) };
  const kind = random();
  const mode: Mode = kind < 0.45 ? 'stream' : kind < 0.7 ? 'whole' : 'later';
  if (mode === 'later') return { door: random() < 0.7 ? 'tasks' : 'infer', mode, pool, edge };
  return { door: random() < 0.5 ? 'v1' : 'infer', mode, pool, edge };
}
