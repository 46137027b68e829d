import type { Model } from './explore.ts';

/** core/queue/jobs/consumer.ts and core/member/slots.ts: one backend with slots, consumers of its queues, two tasks. */
export interface Capacity {
  /** Of each queue; a worker has one per member that it serves. */
  consumers: ('idle' | 'holds a slot' | 'fetches')[];
  waiting: number;
  running: number;
  /** Runs that have lost their claim and still hold the backend. */
  zombies: number;
  taken: number;
}

export const capacityRules = {
  'a slot is in hand before a job is taken': { guard: 'core/queue/jobs/consumer.ts' },
  'a slot is held until the run has ended': { guard: 'core/queue/jobs/consumer.ts' },
} as const;
export type CapacityRule = keyof typeof capacityRules;

const SLOTS = 1;

export function capacityModel(off?: CapacityRule): Model<Capacity> {
  const has = (rule: CapacityRule): boolean => rule !== off;
  return {
    initial: { consumers: ['idle', 'idle'], waiting: 2, running: 0, zombies: 0, taken: 0 },
    keyOf: (s) => [...s.consumers].sort().join() + [s.waiting, s.running, s.zombies, s.taken].join(),
    copy: (s) => ({ ...s, consumers: [...s.consumers] }),
    actionsOf(s) {
      const actions = s.consumers.flatMap((at, i) => consumerActions(has, s, { at, i }));
      if (s.running > 0) {
        actions.push({ what: 'a run ends', do: (t) => ended(t) });
        actions.push({ what: 'a run loses its claim, its backend goes on', do: (t) => loses(has, t) });
      }
      if (s.zombies > 0)
        actions.push({
          what: 'a lost run ends',
          do: (t) => void ((t.zombies -= 1), has('a slot is held until the run has ended') && (t.taken -= 1)),
        });
      return actions;
    },
    check: (s) => (s.running + s.zombies > SLOTS ? 'I10: more runs than slots' : null),
  };
}

type Act = { what: string; do: (s: Capacity) => void };

function consumerActions(
  has: (rule: CapacityRule) => boolean,
  s: Capacity,
  { at, i }: { at: Capacity['consumers'][number]; i: number },
): Act[] {
  const become = (to: Capacity['consumers'][number]) => (t: Capacity) => {
    if (to === 'holds a slot') t.taken += 1;
    t.consumers[i] = to;
  };
  const needsSlot = has('a slot is in hand before a job is taken');
  if (at === 'idle') {
    if (needsSlot && s.taken < SLOTS)
      return [{ what: `consumer ${i + 1} takes a slot`, do: become('holds a slot') }];
    return needsSlot
      ? []
      : [
          {
            what: `consumer ${i + 1} looks whether a slot is free`,
            do: (t) => void (t.taken < SLOTS && (t.consumers[i] = 'fetches')),
          },
        ];
  }
  if (s.waiting === 0) return [{ what: `consumer ${i + 1} finds nothing`, do: (t) => idle(t, { at, i }) }];
  return [{ what: `consumer ${i + 1} takes a job`, do: (t) => runs(t, { at, i }) }];
}

function idle(s: Capacity, { at, i }: { at: string; i: number }): void {
  if (at === 'holds a slot') s.taken -= 1;
  s.consumers[i] = 'idle';
}

function runs(s: Capacity, { at, i }: { at: string; i: number }): void {
  s.waiting -= 1;
  s.running += 1;
  if (at !== 'holds a slot') s.taken += 1;
  s.consumers[i] = 'idle';
}

function ended(s: Capacity): void {
  s.running -= 1;
  s.taken -= 1;
}

function loses(has: (rule: CapacityRule) => boolean, s: Capacity): void {
  s.running -= 1;
  s.zombies += 1;
  if (!has('a slot is held until the run has ended')) s.taken -= 1;
}
