import type { ErrorCode } from '../errors.ts';
import type { BackendState } from '../member/member-state.ts';
import type { TaskRow, TaskStatus } from './task.ts';

/** Who answered, and what they counted. Null until somebody did. */
interface Served {
  /** The llm of the pool that had it last. */
  member: string | null;
  /** The provider session that had it last. */
  worker: string | null;
  tokensIn: number | null;
  tokensOut: number | null;
}

/** Loops over items outside of the scheduler's duties, as metrics name them. */
export type LoopName =
  | 'heartbeats'
  | 'relay-look'
  | 'relay-hand-back'
  | 'relay-dead'
  | 'announce'
  | 'put-out'
  | 'turn-line'
  | 'serve'
  | 'hosted-rows';

/**
 * What every process tells of itself. They are logged, counted, and what tests wait for. No event carries a
 * prompt, an answer, a key or a backend's address.
 */
export interface EventMap {
  /** One per inference call, also for those that made no task (docs/spec.md §6). */
  'inference.finished': {
    reqId: string;
    actor: string | null;
    /** Of the token that it came with: its id, which is no secret, and its name. */
    keyId: string | null;
    tokenName: string | null;
    /** As the caller asked, `invalid` where nothing can be called so. */
    llm: string;
    /** What the pool consists of. */
    kind: 'public' | 'virtual' | 'mixed' | 'unknown';
    pool: string | null;
    taskId: string | null;
    source: string;
    status: number;
    code: ErrorCode | null;
    /** Where a caller who left was in it. */
    left: 'queued' | 'claimed' | 'streaming' | 'waiting' | null;
    queueMs: number | null;
    /** To the first event; null where none was streamed. */
    ttftMs: number | null;
    durMs: number;
    /** How often the caller's SDK had made this call before, as it says. */
    clientRetry: number;
  } & Served;
  /** Every write to the registry (docs/spec.md §9); an audit table later. */
  'registry.written': {
    actor: string;
    tokenName: string;
    reqId: string;
    verb: 'create' | 'edit' | 'delete' | 'reveal' | 'backup' | 'restore';
    resource: string;
    name: string;
    /** The names of the fields that were written, where it is known; never their values. */
    changed?: readonly string[];
    outcome: 'ok' | ErrorCode;
  };
  'task.accepted': { taskId: string; pool: string };
  /** Once per task, by whoever wrote its end into the row; the line of those that nobody waited for. */
  'task.settled': {
    taskId: string;
    status: TaskStatus;
    code: string | null;
    by: 'edge' | 'scheduler';
    source: TaskRow['source'];
    keyId: string | null;
    llm: string;
    pool: string;
    queueMs: number | null;
    /** From acceptance to the end. */
    durMs: number;
  } & Served;
  'task.requeued': { taskId: string; epoch: number; why: string };
  'task.cancelled': { taskId: string };
  /** Worker: one claim, from taking to letting go. */
  'claim.started': { taskId: string; claimId: string; llm: string };
  'claim.finished': {
    taskId: string;
    claimId: string;
    llm: string;
    outcome: string;
    code: string | null;
    events: number;
    ms: number;
  };
  /** Worker: the member's backend failed; it takes nothing until its backend answers again. */
  'member.rests': { llm: string; code: string };
  'member.serves': { llm: string };
  /** Worker: its recipe runs for a sleeping backend, once however many wait. */
  'wake.started': { llm: string; recipe: 'http' | 'command' | 'managed' };
  'wake.finished': { llm: string; ok: boolean; ms: number };
  /** Worker: how a member's backend is, as far as it has changed. */
  'backend.changed': { llm: string; is: BackendState };
  /** Scheduler: what a duty deleted because its time was over. */
  'scheduler.removed': {
    kind:
      'llm' | 'agent' | 'name' | 'task' | 'body' | 'kept_body' | 'events' | 'job' | 'queue' | 'audit_event';
    count: number;
  };
  'session.registered': { sessionId: string; llms: string[] };
  'session.left': { sessionId: string; why: 'goodbye' | 'lost' | 'lapsed' | 'denied' };
  'worker.dead': {
    sessionId: string;
    boot: string;
    why: 'disconnected' | 'silent' | 'replaced';
    tasks: number;
  };
  /** Scheduler: Redis has lost writes, or all of them; what is open is gone through, and then it is trusted again. */
  'redis.went_back': { how: 'empty' | 'older' | 'other' };
  'leader.changed': { holder: string; leading: boolean };
  'duty.finished': { duty: string; ms: number; did: number };
  'duty.failed': { duty: string; error: string };
  /** `left`: items that were due when the budget was spent; `failed`: they rest; `ended`: they never worked. */
  'duty.left': { duty: string; left: number; failed: number; ended: number };
  /** Edge, worker: what one of their loops over items did not do; the same numbers. */
  'loop.left': { loop: LoopName; left: number; failed: number; ended: number };
  'service.ready': { service: string };
  'service.stopping': { service: string; signal: string };
}

export type EventName = keyof EventMap;
