import fc from 'fast-check';
import type { Play } from './play.ts';
import type { Stop } from './stoppable.ts';

/** One step of a history; numbers choose among what is there. */
export type Command = [name: CommandName, which: number, stop: Stop | null];

const steps = {
  submit: (play, which, stop) =>
    play.tasks.length < 3 ? play.submit(which % 2 ? 'infer' : 'async', stop) : undefined,
  take: (play, which) => play.take(which),
  claim: (play, which) => of(play.runs, which, (run) => play.claim(run)),
  emit: (play, which) => of(play.runs, which, (run) => play.emit(run)),
  'emit again': (play, which) => of(play.runs, which, (run) => play.emit(run, true)),
  end: (play, which) => of(play.runs, which, (run) => play.end(run, which % 2 === 0)),
  'hand back': (play, which) =>
    of(play.runs, which, (run) => play.handBack(run, which % 2 ? 'attempt' : 'none')),
  beat: (play, which) => of(play.runs, which, (run) => play.beat(run)),
  kill: (play, which) => of(play.runs, which, (run) => play.kill(run)),
  mute: (play, which) => of(play.runs, which, (run) => play.mute(run)),
  hear: (play, which) => of(play.callers, which, (caller) => play.hear(caller)),
  cancel: (play, which, stop) => of(play.tasks, which, (id) => play.cancel(id, stop)),
  expire: (play, which, stop) => of(play.tasks, which, (id) => play.expire(id, stop)),
  reap: (play, _, stop) => play.duty('reap', stop),
  'take back': (play, _, stop) => play.duty('hand-back', stop),
  settle: (play, _, stop) => play.duty('settle', stop),
  reconcile: (play, _, stop) => play.duty('reconcile', stop),
  lapse: (play) => play.lapse(),
  'lose Redis': (play) => play.loseRedis(),
  'remember Redis': (play) => play.remember(),
  'lose the tail': (play) => play.loseTail(),
  notice: (play, _, stop) => play.notice(stop),
  'let go': (play, which) => play.letGo(which),
} as const satisfies Record<string, (play: Play, which: number, stop: Stop | null) => unknown>;
export type CommandName = keyof typeof steps;

function of<T>(items: readonly T[], which: number, act: (item: T) => unknown): unknown {
  const item = items[which % Math.max(1, items.length)];
  return item === undefined ? undefined : act(item);
}

export async function perform(play: Play, [name, which, stop]: Command): Promise<void> {
  await steps[name](play, which, stop);
}

/** How often each comes: mostly work, now and then a fault. */
const weights: Record<CommandName, number> = {
  submit: 5,
  take: 8,
  claim: 8,
  emit: 8,
  'emit again': 1,
  end: 5,
  'hand back': 2,
  beat: 1,
  kill: 2,
  mute: 2,
  hear: 8,
  cancel: 2,
  expire: 1,
  reap: 3,
  'take back': 2,
  settle: 2,
  reconcile: 4,
  lapse: 1,
  'lose Redis': 1,
  'remember Redis': 2,
  'lose the tail': 2,
  notice: 2,
  'let go': 4,
};

const stop: fc.Arbitrary<Stop | null> = fc.oneof(
  { arbitrary: fc.constant(null), weight: 3 },
  {
    arbitrary: fc.record({ how: fc.constantFrom('die', 'hold'), before: fc.integer({ min: 1, max: 6 }) }),
    weight: 2,
  },
);
const name = fc.oneof(
  ...Object.entries(weights).map(([key, weight]) => ({
    arbitrary: fc.constant(key as CommandName),
    weight,
  })),
);

export const histories: fc.Arbitrary<Command[]> = fc.array(fc.tuple(name, fc.nat({ max: 11 }), stop), {
  minLength: 8,
  maxLength: 40,
});
