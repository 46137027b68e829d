import type { Fault, Flow, World } from './state.ts';

/**
 * What keeps the promise, each by the name that the model knows it by; the file that holds it in the product; the
 * ordinary test that fails without it; and a small world that goes wrong without it. docs/model.md lists them.
 */
export interface RuleFacts {
  /** '' where the product does not hold it yet. */
  guard: string;
  /** File and the beginning of its title. */
  test: string;
  world: World;
  /** Rules that would hide its absence. */
  without?: readonly string[];
}

interface Size {
  callers?: number;
  leaders?: number;
  events?: number;
  call?: boolean;
  duties?: readonly Flow['why'][];
}

/** A world in which each of these happens at most once. */
export function world(
  faults: readonly Fault[],
  { callers = 1, leaders = 1, call = false, events = call ? 0 : 1, duties }: Size = {},
): World {
  return {
    faults: Object.fromEntries(faults.map((fault) => [fault, 1])),
    callers,
    leaders,
    events,
    ...(call ? { call } : {}),
    ...(duties ? { duties } : {}),
  };
}

export const rules = {
  'emit checks the claim': {
    guard: 'core/queue/scripts/emit.lua',
    test: 'test/queue/fence.test.ts · lets only the claim speak',
    world: world(['falseDeath'], { duties: ['reap'] }),
    without: ['an answer shows one claim'],
  },
  'beat checks the claim': {
    guard: 'core/queue/scripts/beat.lua',
    test: 'test/queue/fence.test.ts · answers a beat of a lost claim',
    world: world(['crashWorker', 'falseDeath']),
  },
  'emit needs an open fence': {
    guard: 'core/queue/scripts/emit.lua',
    test: 'test/queue/fence.test.ts · lets only the claim speak',
    world: world(['cancel']),
  },
  'emit adds an event once': {
    guard: 'core/queue/scripts/emit.lua',
    test: 'test/model/guards.test.ts · has each event once',
    world: world(['resend']),
  },
  'end checks the claim': {
    guard: 'core/queue/scripts/end.lua',
    test: 'test/queue/fence.test.ts · compares epoch and claim',
    world: world(['falseDeath']),
  },
  'end needs an open fence': {
    guard: 'core/queue/scripts/end.lua',
    test: 'test/queue/fence.test.ts · parks a handed back task',
    world: world(['cancel']),
  },
  'end is said once': {
    guard: 'core/queue/scripts/end.lua',
    test: 'test/queue/fence.test.ts · lets only the claim speak',
    world: world(['resend']),
    without: ['an end needs all its events'],
  },
  'claim needs an open fence': {
    guard: 'core/queue/scripts/claim.lua',
    test: 'test/queue/fence.test.ts · closes for good',
    world: world(['cancel']),
  },
  'claim needs an unclaimed fence': {
    guard: 'core/queue/scripts/claim.lua',
    test: 'test/queue/fence.test.ts · gives a task to one claim',
    world: world(['lapse'], { duties: [] }),
    without: ['an answer shows one claim'],
  },
  'enqueue never opens a closed fence': {
    guard: 'core/queue/scripts/enqueue.lua',
    test: 'test/queue/fence.test.ts · closes for good',
    world: world(['cancel']),
  },
  'enqueue never lowers an epoch': {
    guard: 'core/queue/scripts/enqueue.lua',
    test: 'test/queue/fence.test.ts · is not lowered nor renewed',
    world: world([], { events: 0 }),
  },
  'enqueue of the same epoch changes nothing': {
    guard: 'core/queue/scripts/enqueue.lua',
    test: 'test/queue/fence.test.ts · is not lowered nor renewed',
    world: world([], { leaders: 2, duties: ['reconcile'] }),
    without: ['an epoch is laid down once'],
  },
  'enqueue leaves a shown claim alone': {
    guard: 'core/queue/scripts/enqueue.lua',
    test: 'test/queue/fence.test.ts · pins the claim that is shown',
    world: world(['falseDeath'], { leaders: 2 }),
  },
  'show pins a claim before its first byte': {
    guard: 'edge/inference/answer/answer.ts',
    test: 'test/edge/task-stream.test.ts · shows nothing of a claim that ended unseen',
    world: world(['falseDeath']),
  },
  'what a waiting edge is told is pinned': {
    guard: 'core/queue/scripts/emit.lua',
    test: 'test/queue/pool-channel.test.ts · pins the claim whose first event an edge is told',
    world: world(['falseDeath'], { duties: ['reap'] }),
  },
  'show compares the epoch': {
    guard: 'core/queue/scripts/show.lua',
    test: 'test/model/guards.test.ts · is shown as the claim that it has',
    world: world(['falseDeath'], { callers: 2, duties: ['reap'] }),
  },
  'show refuses what was handed back': {
    guard: 'core/queue/scripts/show.lua',
    test: 'test/model/guards.test.ts · is shown no more once it was handed back',
    world: world(['handBack']),
  },
  'an answer shows one epoch': {
    guard: 'edge/inference/answer/answer.ts',
    test: 'test/edge/task-stream.test.ts · ends with an error frame at an event of another claim',
    world: world(['flush'], { duties: ['reconcile'] }),
    without: ['an answer shows one claim'],
  },
  'an answer shows one claim': {
    guard: 'core/queue/task/attempt.ts',
    test: 'test/edge/task-stream.test.ts · never goes on with another claim of the same epoch',
    world: world(['loseTail'], { duties: ['renew', 'reconcile'] }),
    without: ['what waits is renewed when Redis went back'],
  },
  'what waits is renewed when Redis went back': {
    guard: 'scheduler/duties/epoch.ts',
    test: 'test/scheduler/generation.test.ts · keeps members from claiming',
    world: world(['loseTail'], { duties: ['renew', 'reconcile'] }),
    without: ['an answer shows one claim'],
  },
  'an end needs all its events': {
    guard: 'core/queue/scripts/end.lua',
    test: 'test/queue/fence.test.ts · is not ended by a claim of which Redis has lost events',
    world: world(['loseTail'], { callers: 2, duties: [] }),
  },
  'hand-back refuses a shown claim': {
    guard: 'core/queue/scripts/handback.lua',
    test: 'test/queue/fence.test.ts · pins the claim that is shown',
    world: world(['handBack']),
  },
  'requeue refuses a shown claim': {
    guard: 'core/queue/scripts/requeue.lua',
    test: 'test/queue/fence.test.ts · pins the claim that is shown',
    world: world(['crashWorker']),
  },
  'requeue compares epoch and claim': {
    guard: 'core/queue/scripts/requeue.lua',
    test: 'test/queue/fence.test.ts · compares epoch and claim',
    world: world(['crashWorker'], { leaders: 2, events: 0 }),
  },
  'requeue never opens a closed fence': {
    guard: 'core/queue/scripts/requeue.lua',
    test: 'test/queue/fence.test.ts · closes for good',
    world: world(['falseDeath', 'cancel']),
  },
  'requeue forgets a finished job': {
    guard: 'core/queue/scripts/requeue.lua',
    test: 'test/model/guards.test.ts · waits again although its job had been finished',
    world: world(['lapse', 'crashWorker']),
  },
  'a requeue begins where fence and row agree': {
    guard: 'core/flow/requeue.ts',
    test: 'test/flow/take-back.test.ts · is counted once',
    world: world(['crashWorker'], { leaders: 2 }),
  },
  'epochs come from the row': {
    guard: 'core/registry/tasks/task-ends.ts',
    test: 'test/model/guards.test.ts · comes back under a new epoch',
    world: world(['flush'], { duties: ['reconcile'] }),
    without: ['an answer shows one claim'],
  },
  'an epoch is allocated from the one seen': {
    guard: 'core/registry/tasks/task-ends.ts',
    test: 'test/flow/take-back.test.ts · is counted once',
    world: world(['crashWorker'], { leaders: 2 }),
  },
  'close leaves a closed fence where there is none': {
    guard: 'core/queue/scripts/close.lua',
    test: 'test/queue/fence.test.ts · can be closed before it is laid down',
    world: world(['cancel']),
  },
  'close leaves an ended fence alone': {
    guard: 'core/queue/scripts/close.lua',
    test: 'test/queue/fence.test.ts · is not closed by an expiry',
    world: world(['cancel']),
  },
  'cancel closes the fence before the row': {
    guard: 'core/flow/end/cancel.ts',
    test: 'test/model/guards.test.ts · is not cancelled before its fence is closed',
    world: world(['cancel', 'crashEdge']),
  },
  'cancel and expire change no ended row': {
    guard: 'core/registry/tasks/task-ends.ts',
    test: 'test/model/guards.test.ts · ends as it ended first',
    world: world(['cancel', 'flush']),
  },
  'giving up needs the hand-back that it saw': {
    guard: 'core/queue/scripts/close.lua',
    test: 'test/flow/take-back.test.ts · is not ended by who looked before',
    world: world(['handBack', 'giveUp'], { leaders: 2, events: 0, duties: ['back'] }),
  },
  'expire spares what is claimed': {
    guard: 'core/queue/scripts/close.lua',
    test: 'test/queue/fence.test.ts · is not closed by an expiry',
    world: world(['expire']),
  },
  'settle changes no ended row': {
    guard: 'core/registry/tasks/task-ends.ts',
    test: 'test/model/guards.test.ts · ends as it ended first',
    world: world([]),
  },
  'the row is settled before the last frame': {
    guard: 'edge/inference/answer/answer.ts',
    test: 'test/edge/task-stream.test.ts · settles the row before the last frame',
    world: world(['cancel', 'flush'], { events: 0, duties: [] }),
  },
  'the last frame says what the row says': {
    guard: 'edge/inference/answer/answer.ts',
    test: 'test/model/whole.test.ts · is what the row says',
    world: world(['cancel', 'flush'], { events: 0, duties: [] }),
  },
  'a success is told by the claim that was settled': {
    guard: 'edge/inference/answer/answer.ts',
    test: 'test/model/whole.test.ts · is that of the claim',
    world: world(['flush'], { callers: 2, events: 0, duties: ['reconcile'] }),
  },
  'who tells of a lost answer ends its row': {
    guard: 'edge/inference/follow/lost.ts',
    test: 'test/edge/lost.test.ts · ends its row by the word that its caller hears',
    world: world(['flush'], { duties: ['reconcile'] }),
  },
  'a lost answer is told by its row': {
    guard: 'edge/inference/follow/lost.ts',
    test: 'test/edge/lost.test.ts · is not called failed where another run has completed the task',
    world: world(['flush'], { duties: ['reconcile', 'settle'] }),
  },
  'an edge that hears nothing asks the row': {
    guard: 'edge/inference/follow/row-end.ts',
    test: 'test/edge/row-speaks.test.ts · gets the answer from the row',
    world: world(['flush']),
  },
  'a close is told by the row': {
    guard: 'edge/inference/follow/row-end.ts',
    test: 'test/edge/row-speaks.test.ts · is told what the row says',
    world: world(['cancel', 'flush'], { events: 0, duties: ['settle'] }),
  },
  'an epoch is laid down once': {
    guard: 'scheduler/duties/reconcile.ts',
    test: 'test/model/guards.test.ts · is laid down once per epoch',
    world: world(['flush'], { duties: ['reconcile'] }),
    without: ['an answer shows one claim'],
  },
  'ends are settled by a duty too': {
    guard: 'scheduler/duties/settle.ts',
    test: 'test/model/guards.test.ts · is settled by the scheduler',
    world: world(['crashEdge']),
  },
  'reap ends what was shown': {
    guard: 'scheduler/duties/reap.ts',
    test: 'test/model/guards.test.ts · ends worker_lost when its worker died',
    world: world(['crashWorker']),
  },
  'the brake holds while nobody could beat': {
    guard: 'scheduler/brake.ts',
    test: 'test/model/guards.test.ts · takes nobody for dead for ten seconds',
    world: world(['blink']),
  },
  'a lost fence comes back under a new epoch': {
    guard: 'scheduler/duties/reconcile.ts',
    test: 'test/model/guards.test.ts · comes back under a new epoch',
    world: world(['flush'], { duties: ['reconcile'] }),
    without: ['an answer shows one claim'],
  },
  'reconcile finds a lost job': {
    guard: 'scheduler/duties/reconcile.ts',
    test: 'test/model/guards.test.ts · waits again when who enqueued it died',
    world: world(['crashEdge']),
  },
  'reconcile enqueues a fence that fell behind': {
    guard: 'scheduler/duties/reconcile.ts',
    test: 'test/model/guards.test.ts · goes on when its leader died',
    world: world(['crashWorker', 'crashLeader']),
  },
  'reconcile finishes a close': {
    guard: 'scheduler/duties/reconcile.ts',
    test: 'test/model/guards.test.ts · is cancelled in the end',
    world: world(['cancel', 'crashEdge']),
  },
  'what was handed back is requeued': {
    guard: 'scheduler/duties/hand-back.ts',
    test: 'test/model/guards.test.ts · is shown no more once it was handed back',
    world: world(['handBack']),
  },
  'a claim asks whether its session was put out': {
    guard: 'core/queue/scripts/claim.lua',
    test: 'test/model/guards.test.ts · is taken from who is put out, however late it was claimed',
    world: world(['revoke'], { events: 0 }),
  },
  'the mark is laid before claims are read': {
    guard: 'core/flow/put-out.ts',
    test: 'test/model/guards.test.ts · is taken from who is put out, however late it was claimed',
    world: world(['revoke'], { events: 0 }),
  },
  'putting out ends what was shown': {
    guard: 'core/flow/put-out.ts',
    test: 'test/relay/revoked.test.ts · puts a worker out whose token is revoked',
    world: world(['revoke']),
  },
  'who is put out did not crash': {
    guard: 'core/flow/put-out.ts',
    test: 'test/relay/revoked.test.ts · puts a worker out whose token is revoked',
    world: world(['revoke'], { events: 0 }),
  },
  'a duty puts out too': {
    guard: 'scheduler/duties/deny.ts',
    test: 'test/relay/revoked.test.ts · does so for one that has expired',
    world: world(['revoke', 'crashEdge'], { events: 0, duties: [] }),
  },
  'what ends a row writes its message': {
    guard: 'core/registry/migrations/0026-threads.ts',
    test: 'test/edge/threads.test.ts · end with their task whoever ends it',
    world: world([]),
  },
  'what is cut short keeps what was shown': {
    guard: 'core/flow/end/answer.ts',
    test: 'test/edge/threads.test.ts · keep of an answer that is cut short what was shown of it',
    world: world(['cancel'], { duties: [] }),
  },
  'a call is pinned before it is given': {
    guard: 'worker/mcp/provider.ts',
    test: 'test/mcp/provider.test.ts · that was lost before it was delivered is not given',
    world: world(['falseDeath'], { call: true, callers: 0 }),
  },
  'the pin of a call compares the claim': {
    guard: 'core/queue/scripts/deliver.lua',
    test: 'test/queue/fence.test.ts · pins a claim for who does',
    world: world(['falseDeath'], { call: true, callers: 0 }),
    without: ['what the journal knows is not run'],
  },
  'what the journal knows is not run': {
    guard: 'worker/mcp/provider.ts',
    test: 'test/mcp/provider.test.ts · is written down before it runs',
    world: world(['flush'], { call: true, callers: 0 }),
  },
  'the journal is written before the call is given': {
    guard: 'worker/mcp/provider.ts',
    test: 'test/mcp/provider.test.ts · of which the server died in the middle',
    world: world(['flush'], { call: true, callers: 0 }),
  },
  'the journal is asked as it is written': {
    guard: 'worker/mcp/provider.ts',
    test: 'test/mcp/provider.test.ts · of which the yes to its pin came late',
    world: world(['flush'], { call: true, callers: 0 }),
  },
  'another machine runs no call that was not made for it': {
    guard: 'worker/mcp/provider.ts',
    test: 'test/mcp/provider.test.ts · that another machine may have run',
    world: world(['flush', 'move'], { call: true, callers: 0 }),
  },
} as const satisfies Record<string, RuleFacts>;

export type Rule = keyof typeof rules;
