import type { Model } from '../check/explore.ts';

/** A call that an answer of the turn has made, by its round. */
interface Call {
  round: number;
  /** Its client runs it: it has no row and no task. */
  isClients: boolean;
  /** Tasks that were made for it; what becomes of each the model of dispatch says. */
  tasks: { at: 'waits' | 'queued' | 'runs' | 'ended' }[];
  /** Its row: none yet, one that names a task that runs, or one that has ended. */
  row: 'none' | 'open' | 'ended';
  results: number;
}

/** What an edge has read, and not yet acted on. Each step acts in one transaction, which asks again. */
type Step =
  | { kind: 'begin' | 'next'; round: number }
  | { kind: 'collect'; round: number; call: number }
  | { kind: 'end' }
  | { kind: 'stray'; call: number; isClosed: boolean };

/** One turn of a thread, and those who take its steps: edges, with or without a caller. */
export interface Turn {
  status: 'running' | 'waiting' | 'completed' | 'cancelled';
  serverCalls: 'may' | 'due' | 'open' | 'done';
  /** The round that its row names; its task has ended where the turn is not running. */
  round: number;
  /** It waits for some result. */
  hasDeadline: boolean;
  calls: Call[];
  edges: (Step | null)[];
  /** Rounds that were begun, one by one. */
  begun: number[];
  wantsCancel: boolean;
  left: Record<TurnFault, number>;
  broken: string | null;
}

export const turnFaults = ['crashEdge', 'crashWorker', 'flush', 'cancel'] as const;
export type TurnFault = (typeof turnFaults)[number];

/** How many calls the answer of each round makes; the last one makes none. */
export interface TurnWorld {
  calls: readonly number[];
  /** The last call of each round is the client's. */
  client: boolean;
  edges: number;
  faults: Partial<Record<TurnFault, number>>;
}

const CALLS = 'core/registry/threads/tools/calls.ts';
/** Each switched off gives a counterexample; the test is of the product without its guard. */
export const turnRules = {
  'calls are begun where they are due still': CALLS,
  'a call is collected once': CALLS,
  'a result is of a turn that waits for it': CALLS,
  'with its last result alone a round waits for none': 'core/registry/threads/tools/tool-results.ts',
  'a round begins where the one before is the last': 'core/registry/threads/start-turn.ts',
  'tasks are made with the rows that name them': CALLS,
  'a look takes the steps that nobody took': 'edge/inference/turn/line.ts',
  'calls of a turn that has ended are ended': 'edge/inference/turn/tools/end-turn.ts',
} as const;
export type TurnRule = keyof typeof turnRules;

type Has = (rule: TurnRule) => boolean;
interface Action {
  what: string;
  do: (s: Turn) => void;
}

/** The turn's answers, its calls and their tasks, and edges that read and then act. */
export function turnModel(world: TurnWorld, off: readonly TurnRule[] = []): Model<Turn> {
  const has: Has = (rule) => !off.includes(rule);
  const actionsOf = (s: Turn): Action[] => [...goingOn(world, has, s), ...failing(s)];
  return {
    initial: {
      ...{ status: 'running', serverCalls: 'may', round: 1, hasDeadline: false, calls: [], begun: [1] },
      edges: Array.from({ length: world.edges }, () => null),
      wantsCancel: false,
      left: { crashEdge: 0, crashWorker: 0, flush: 0, cancel: 0, ...world.faults },
      broken: null,
    },
    keyOf: (s) => JSON.stringify({ ...s, edges: s.edges.map((step) => JSON.stringify(step)).sort() }),
    copy: (s) => structuredClone(s),
    actionsOf,
    check: (s) =>
      s.broken ?? promise(s) ?? (settles(world, has, s) ? null : 'T5: the turn never ends, or a call of it'),
  };
}

function promise(s: Turn): string | null {
  if (s.calls.some(({ tasks }) => tasks.length > 1)) return 'T1: a call was begun twice';
  if (s.calls.some(({ results }) => results > 1)) return 'T2: a call has two results';
  if (new Set(s.begun).size < s.begun.length) return 'T3: a round was begun twice';
  if (s.calls.some(({ isClients, results, tasks }) => !isClients && results > 0 && tasks.length === 0))
    return 'T2: a call has a result, and was never begun';
  const last = s.begun.at(-1) ?? 1;
  if (s.calls.some(({ round, results }) => round < last && results === 0))
    return 'T4: a round was begun without a result of the one before';
  return null;
}

const isOver = ({ status }: Turn): boolean => status === 'completed' || status === 'cancelled';

/** Once nothing fails any more, and edges that had died are there again, what is left to do comes to an end. */
function settles(world: TurnWorld, has: Has, s: Turn): boolean {
  const calm = structuredClone(s);
  calm.edges = [null];
  for (let steps = 0; steps < 200; steps++) {
    if (calm.broken !== null || promise(calm) !== null) return true; // another state says so
    const [next] = goingOn(world, has, calm);
    if (!next) break;
    next.do(calm);
  }
  return (
    isOver(calm) &&
    calm.calls.every(({ row, tasks }) => row !== 'open' && tasks.every(({ at }) => at === 'ended'))
  );
}

function goingOn(world: TurnWorld, has: Has, s: Turn): Action[] {
  return [
    ...s.edges.flatMap((step, at) => (step ? acts(has, { step, at }) : [])),
    ...clientActions(world, has, s),
    ...s.calls.flatMap((call, at) => taskActions({ call, at })),
    ...(s.status === 'running'
      ? [{ what: `round ${s.round} answers`, do: (t: Turn) => answers(world, t) }]
      : []),
    ...s.edges.flatMap((step, at) => (step ? [] : reads(has, s, at))),
  ];
}

/** hand_over_answer, migration 0057. */
function answers(world: TurnWorld, s: Turn): void {
  const made = world.calls[s.round - 1] ?? 0;
  if (made === 0) {
    s.status = 'completed';
    return;
  }
  for (let n = 0; n < made; n++)
    s.calls.push({
      ...{ round: s.round, isClients: world.client && n === made - 1, tasks: [], row: 'none', results: 0 },
    });
  Object.assign(s, { status: 'waiting', serverCalls: 'due', hasDeadline: true });
}

/** What an edge may see that is to be done: for its caller, or as it looks once a second. */
function reads(has: Has, s: Turn, at: number): Action[] {
  const steps: Step[] = [];
  // Edge 0 has the caller; once that edge has died, nobody but a look goes on.
  const looks = has('a look takes the steps that nobody took') || at > 0;
  if (!looks) return [];
  if (s.status === 'waiting' && s.serverCalls === 'due') steps.push({ kind: 'begin', round: s.round });
  if (s.status === 'waiting' && s.serverCalls === 'open')
    for (const [call, { round, row, tasks }] of s.calls.entries())
      if (round === s.round && row === 'open' && tasks.every(({ at: where }) => where === 'ended'))
        steps.push({ kind: 'collect', round, call });
  if (s.status === 'waiting' && !s.hasDeadline) steps.push({ kind: 'next', round: s.round });
  if (s.wantsCancel && !isOver(s)) steps.push({ kind: 'end' });
  if (s.status !== 'waiting' && has('calls of a turn that has ended are ended'))
    for (const [call, { row }] of s.calls.entries())
      if (row === 'open') steps.push({ kind: 'stray', call, isClosed: false });
  return steps.map((step) => ({
    what: `edge ${at} reads: ${step.kind}`,
    do: (t) => void (t.edges[at] = step),
  }));
}

function acts(has: Has, { step, at }: { step: Step; at: number }): Action[] {
  const over = (t: Turn): void => void (t.edges[at] = null);
  const action = (what: string, act: (t: Turn) => void): Action[] => [
    { what: `edge ${at} ${what}`, do: (t) => (over(t), act(t)) },
  ];
  switch (step.kind) {
    case 'begin':
      return action('begins calls', (t) => begins(has, t, step.round));
    case 'collect':
      return action('collects a result', (t) => collects(has, t, step));
    case 'next':
      return action('begins the next round', (t) => startsNext(has, t, step.round));
    case 'end':
      return action('ends the turn', ends);
    case 'stray':
      return action(
        step.isClosed ? 'writes down the end of one that strayed' : 'ends one that strayed',
        (t) => strays(t, { step, at }),
      );
  }
}

/** beginCalls: rows, tasks and how far the turn is, in one transaction. */
function begins(has: Has, s: Turn, round: number): void {
  const isDue = s.status === 'waiting' && s.serverCalls === 'due' && s.round === round;
  if (has('calls are begun where they are due still') && !isDue) return;
  const own = s.calls.filter((call) => call.round === round && !call.isClients);
  for (const call of own) {
    call.row = 'open';
    if (has('tasks are made with the rows that name them')) call.tasks.push({ at: 'waits' });
  }
  s.serverCalls = own.length > 0 ? 'open' : 'done';
  ripen(has, s);
}

/** collectCall. */
function collects(has: Has, s: Turn, { round, call: at }: { round: number; call: number }): void {
  const call = s.calls[at];
  if (!call) return;
  const waits = s.status === 'waiting' && s.serverCalls === 'open' && s.round === round;
  if (!waits) {
    if (has('a result is of a turn that waits for it')) return;
    s.broken = 'T4: a result came into a turn that does not wait for it';
    return;
  }
  if (call.row === 'open' || !has('a call is collected once')) {
    call.row = 'ended';
    call.results += 1;
  }
  if (s.calls.every(({ row }) => row !== 'open')) s.serverCalls = 'done';
  ripen(has, s);
}

function ripen(has: Has, s: Turn): void {
  const own = s.calls.filter(({ round }) => round === s.round);
  const isRipe = own.every(({ results }) => results > 0);
  if (isRipe || !has('with its last result alone a round waits for none')) s.hasDeadline = false;
}

/** startTurn, of a round. */
function startsNext(has: Has, s: Turn, round: number): void {
  const isSeen = s.status === 'waiting' && !s.hasDeadline && s.round === round;
  if (has('a round begins where the one before is the last') && !isSeen) return;
  if (isOver(s)) s.broken = 'T3: a turn that had ended went on';
  s.begun.push(round + 1);
  Object.assign(s, { status: 'running', serverCalls: 'may', round: round + 1 });
}

/** endTurn: one that runs ends with its task, one that waits by itself. */
function ends(s: Turn): void {
  if (isOver(s)) return;
  s.status = 'cancelled';
  s.wantsCancel = false;
}

/** endStray: first its task, then its row. */
function strays(s: Turn, { step, at }: { step: Extract<Step, { kind: 'stray' }>; at: number }): void {
  const call = s.calls[step.call];
  if (!call || call.row !== 'open') return;
  if (!step.isClosed) {
    for (const task of call.tasks) task.at = 'ended';
    s.edges[at] = { ...step, isClosed: true };
  } else call.row = 'ended';
}

/** A task of a call: enqueued by its edge or the reconciler, given to its server once, ended by its worker or for it. */
function taskActions({ call, at }: { call: Call; at: number }): Action[] {
  return call.tasks.flatMap((task, n) => {
    const move = (what: string, to: Where): Action => ({
      what: `the task of call ${at + 1} ${what}`,
      do: (t) => {
        const moved = t.calls[at]?.tasks[n];
        if (moved) moved.at = to;
      },
    });
    if (task.at === 'waits') return [move('is enqueued', 'queued')];
    if (task.at === 'queued') return [move('is given to its server', 'runs')];
    return task.at === 'runs' ? [move('ends', 'ended')] : [];
  });
}

/** addResults: the client's own, while it is said whose calls they are. */
function clientActions({ client }: TurnWorld, has: Has, s: Turn): Action[] {
  if (!client || s.status !== 'waiting' || s.serverCalls === 'due') return [];
  return s.calls.flatMap(({ isClients, round, results }, at) =>
    isClients && round === s.round && results === 0
      ? [
          {
            what: `the client brings the result of call ${at + 1}`,
            do: (t: Turn) => {
              const call = t.calls[at];
              if (call) call.results += 1;
              ripen(has, t);
            },
          },
        ]
      : [],
  );
}

function failing(s: Turn): Action[] {
  const spend = (fault: TurnFault, what: string, act: (t: Turn) => void): Action[] =>
    s.left[fault] === 0 ? [] : [{ what, do: (t) => ((t.left[fault] -= 1), act(t)) }];
  return [
    ...s.edges.flatMap((step, at) =>
      step ? spend('crashEdge', `edge ${at} dies`, (t) => void (t.edges[at] = null)) : [],
    ),
    // What was given to a server is told as unknown, what was not waits again (the model of dispatch: N1 to N3).
    ...spend('crashWorker', 'the worker dies', (t) => eachTask(t, 'runs', 'ended')),
    ...spend('flush', 'Redis is lost', (t) => (eachTask(t, 'queued', 'waits'), eachTask(t, 'runs', 'ended'))),
    ...(isOver(s) ? [] : spend('cancel', 'somebody cancels it', (t) => void (t.wantsCancel = true))),
  ];
}

type Where = Call['tasks'][number]['at'];
function eachTask(s: Turn, from: Where, to: Where): void {
  for (const { tasks } of s.calls) for (const task of tasks) if (task.at === from) task.at = to;
}
