import type { ErrorCode } from './errors.ts';
import type { TaskStatus, Usage } from './task.ts';

/**
 * What every process tells of itself. They are logged, counted, and what tests wait for. No event carries a
 * prompt, an answer, a key or a backend's address.
 */
export interface EventMap {
  /** One per inference call, also for those that made no task (SPEC §6). */
  'inference.finished': {
    requestId: string;
    actor: string | null;
    tokenName: string | null;
    llm: string;
    pool: string | null;
    taskId: string | null;
    source: string;
    status: number;
    code: ErrorCode | null;
    queueMs: number | null;
    firstTokenMs: number | null;
    totalMs: number;
    usage: Usage | null;
    /** How often the caller's SDK had made this call before, as it says. */
    clientRetry: number;
  };
  /** Every write to the registry (SPEC §9); an audit table later. */
  'registry.written': {
    actor: string;
    tokenName: string;
    requestId: string;
    verb: 'create' | 'edit' | 'delete';
    resource: string;
    name: string;
    outcome: 'ok' | ErrorCode;
  };
  'task.accepted': { taskId: string; pool: string };
  'task.settled': { taskId: string; status: TaskStatus; code: string | null; by: 'edge' | 'scheduler' };
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
  'wake.started': { llm: string; recipe: 'http' | 'command' };
  'wake.finished': { llm: string; ok: boolean; ms: number };
  /** Worker: how a member's backend is, as far as it has changed. */
  'backend.changed': { llm: string; is: 'serving' | 'asleep' | 'down' };
  'session.registered': { sessionId: string; llms: string[] };
  'session.left': { sessionId: string; why: 'goodbye' | 'lapsed' };
  'worker.dead': {
    sessionId: string;
    boot: string;
    why: 'disconnected' | 'silent' | 'replaced';
    tasks: number;
  };
  'leader.changed': { holder: string; leading: boolean };
  'duty.finished': { duty: string; ms: number; did: number };
  'duty.failed': { duty: string; error: string };
  'service.ready': { service: string };
  'service.stopping': { service: string; signal: string };
}

export type EventName = keyof EventMap;
