import type { Model } from './explore.ts';

/**
 * core/queue/jobs/*: how members of one pool learn that a job waits. Two jobs; members 0 and 1, of which 1 has failed the
 * first job and puts it aside when it meets it.
 */
export interface Wakes {
  marker: boolean;
  jobs: ('waits' | 'aside' | 'taken')[];
  /** `told`: it has popped the marker, and has yet to look. `busy`: it can take nothing, and looks when it can again. */
  members: ('waits' | 'told' | 'busy' | 'gone')[];
  /** Lists that are looked at, whether or not a marker is there. */
  looks: boolean;
  deaths: number;
}

export const wakeRules = {
  'a job that is put back is told of': 'core/queue/jobs/fetchers.ts',
  'whoever takes a job tells of those behind it': 'core/queue/scripts/take.lua',
  'who cannot follow a marker passes it on': 'core/queue/jobs/consumer.ts',
  'the lists are looked at': 'core/queue/jobs/marker-mux.ts',
} as const;
export type WakeRule = keyof typeof wakeRules;

const FAILED_IT = 1;
const mayHave = (member: number, job: number): boolean => member !== FAILED_IT || job > 0;

/** @param deaths of a process that has popped a marker: only these need the lists to be looked at. */
export function wakesModel(deaths: number, off?: WakeRule): Model<Wakes> {
  const has = (rule: WakeRule): boolean => rule !== off;
  const looks = deaths > 0 && has('the lists are looked at');
  return {
    initial: { marker: true, jobs: ['waits', 'waits'], members: ['waits', 'waits'], looks, deaths },
    keyOf: (s) => JSON.stringify(s),
    copy: (s) => ({ ...s, jobs: [...s.jobs], members: [...s.members] }),
    actionsOf: (s) => [
      ...s.members.flatMap((at, member) => memberActions(has, s, { at, member })),
      ...s.jobs.flatMap((at, job) =>
        at === 'aside' ? [{ what: 'a job is put back', do: (t: Wakes) => putBack(has, t, job) }] : [],
      ),
    ],
    check: (s) => (isForgotten(s) ? 'I6: a job waits, a member too, and nobody tells it' : null),
  };
}

/** Nothing is under way that lays a marker, or looks. */
function isForgotten({ marker, looks, jobs, members }: Wakes): boolean {
  if (marker || looks || jobs.includes('aside') || members.includes('told')) return false;
  return members.some(
    (at, member) => at === 'waits' && jobs.some((is, job) => is === 'waits' && mayHave(member, job)),
  );
}

type Act = { what: string; do: (s: Wakes) => void };

function memberActions(
  has: (rule: WakeRule) => boolean,
  s: Wakes,
  { at, member }: { at: Wakes['members'][number]; member: number },
): Act[] {
  const become = (to: Wakes['members'][number]) => (t: Wakes) => void (t.members[member] = to);
  const name = `member ${String(member + 1)}`;
  if (at === 'gone') return [];
  if (at === 'busy')
    return [{ what: `${name} can take again, and looks`, do: (t) => looksFor(has, t, member) }];
  if (at === 'told') {
    const acts = [
      { what: `${name} looks`, do: (t: Wakes) => looksFor(has, t, member) },
      {
        what: `${name} can take nothing now`,
        do: (t: Wakes) => {
          become('busy')(t);
          t.marker ||= has('who cannot follow a marker passes it on');
        },
      },
    ];
    if (s.deaths === 0) return acts;
    const dies = (t: Wakes): void => void ((t.deaths -= 1), become('gone')(t));
    return [...acts, { what: `the process of ${name} dies`, do: dies }];
  }
  const acts: Act[] = [];
  const pops = (t: Wakes): void => void ((t.marker = false), become('told')(t));
  if (s.marker) acts.push({ what: `${name} pops the marker`, do: pops });
  if (s.looks && s.jobs.includes('waits'))
    acts.push({ what: `${name} is told by a look at the lists`, do: become('told') });
  return acts;
}

function looksFor(has: (rule: WakeRule) => boolean, s: Wakes, member: number): void {
  const job = s.jobs.indexOf('waits');
  s.members[member] = 'waits';
  if (job < 0) return;
  s.jobs[job] = mayHave(member, job) ? 'taken' : 'aside';
  const isMore = s.jobs.includes('waits');
  if (isMore && has('whoever takes a job tells of those behind it')) s.marker = true;
}

function putBack(has: (rule: WakeRule) => boolean, s: Wakes, job: number): void {
  s.jobs[job] = 'waits';
  if (has('a job that is put back is told of')) s.marker = true;
}
