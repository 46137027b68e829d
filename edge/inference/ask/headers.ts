import type { Request } from 'express';
import type { Policy } from '../../../core/task/disconnect.ts';
import { McpctlError, type Fault } from '../../../core/errors.ts';
import type { TaskRow } from '../../../core/task/task.ts';

/** What the headers of a call that makes a task ask for. */
export interface Wishes {
  /** What happens when the caller leaves; undefined = it did not say. */
  policy: Policy | undefined;
  retention: TaskRow['retention'];
  /** The name that a repetition of this call is known by. */
  idempotencyKey: string | undefined;
  /** Answer 202 and let the task go on without the caller. */
  respondAsync: boolean;
  /** How long to wait: for a member, or with `respondAsync` for the end; undefined = it did not say. */
  waitMs: number | undefined;
  /** What keeps the answer alive while it is quiet; undefined = as this edge does. */
  keepAlive: KeepAlive | undefined;
  /** The one member that may run it, by name. */
  pin: string | undefined;
}

export type KeepAlive = 'chunk' | 'comment' | 'off';

const MOST_GRACE_S = 86_400;
const MOST_WAIT_S = 600;

/**
 * Reads the headers that say how a task is to be treated. All faults are told at once; what is not understood
 * is never guessed. Only `Prefer` may hold what we do not know: it is made for that (RFC 7240).
 * @throws McpctlError `invalid_request` naming each header.
 */
export function wishesOf(req: Request): Wishes {
  const faults: Fault[] = [];
  const read = <T>(header: string, parse: (text: string) => T | string): T | undefined => {
    const given = req.headersDistinct[header];
    if (given === undefined) return undefined;
    const parsed = given.length === 1 ? parse(given[0] ?? '') : 'may be there once';
    if (typeof parsed !== 'string') return parsed;
    faults.push({ path: header, message: parsed });
    return undefined;
  };
  const policy = read('x-mcpctl-on-disconnect', policyIn);
  const retention = read('x-mcpctl-retention', retentionIn);
  const key = read('idempotency-key', keyIn);
  const keepAlive = read('x-mcpctl-keepalive', keepAliveIn);
  const pin = read('x-mcpctl-pin', (text) => ({ text }));
  const preferences = preferencesIn(req.get('prefer') ?? '');
  const wait = waitIn(preferences.get('wait'));
  if (typeof wait === 'string') faults.push({ path: 'prefer', message: wait });
  if (faults.length > 0) throw new McpctlError('invalid_request', undefined, { details: faults });
  return {
    policy,
    retention: retention?.retention ?? 'keep',
    idempotencyKey: key?.text,
    respondAsync: preferences.has('respond-async'),
    waitMs: typeof wait === 'number' ? wait : undefined,
    keepAlive: keepAlive?.kind,
    pin: pin?.text,
  };
}

/** `Idempotency-Key` of a call that makes no task. @throws McpctlError `invalid_request` */
export function idempotencyKeyOf(req: Request): string | undefined {
  const given = req.headersDistinct['idempotency-key'];
  if (given === undefined) return undefined;
  const parsed = given.length === 1 ? keyIn(given[0] ?? '') : 'may be there once';
  if (typeof parsed !== 'string') return parsed.text;
  const details = [{ path: 'idempotency-key', message: parsed }];
  throw new McpctlError('invalid_request', undefined, { details });
}

/** What a backend may see of a caller's headers: what the call means to it, never who makes it. */
const passed = ['anthropic-version', 'anthropic-beta', 'openai-beta'] as const;

/**
 * The headers that go to the backend. `x-mcpctl-endpoint` is for the worker alone: it names the call of an
 * operation that has several.
 */
export function passedOn(req: Request, endpoint: string | undefined): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of passed) {
    const value = req.get(name);
    if (value !== undefined && /^[\x20-\x7e]{1,1024}$/.test(value)) headers[name] = value;
  }
  return endpoint === undefined ? headers : { ...headers, 'x-mcpctl-endpoint': endpoint };
}

/** What `Preference-Applied` says; empty = nothing was preferred. */
export function appliedOf({ respondAsync, waitMs }: Wishes): string {
  const wait = waitMs === undefined ? [] : [`wait=${waitMs / 1_000}`];
  return [...(respondAsync ? ['respond-async'] : []), ...wait].join(', ');
}

/** A task that is answered with 202 has no caller who could leave. @throws McpctlError `invalid_request`. */
export function needNoPolicy({ policy }: Wishes): void {
  if (policy === undefined || policy.onDisconnect === 'continue') return;
  const message =
    'a task that is answered with 202 goes on without its caller: leave it out, or say continue';
  throw new McpctlError('invalid_request', undefined, {
    details: [{ path: 'x-mcpctl-on-disconnect', message }],
  });
}

function policyIn(text: string): Policy | string {
  if (text === 'cancel' || text === 'continue') return { onDisconnect: text, graceSeconds: null };
  const seconds = /^grace=([1-9]\d{0,5})$/.exec(text)?.[1];
  if (seconds !== undefined && Number(seconds) <= MOST_GRACE_S)
    return { onDisconnect: 'grace', graceSeconds: Number(seconds) };
  return `must be cancel, continue, or grace=<seconds> with 1 to ${MOST_GRACE_S}`;
}

function retentionIn(text: string): { retention: TaskRow['retention'] } | string {
  return text === 'none' || text === 'keep' ? { retention: text } : 'must be none or keep';
}

function keepAliveIn(text: string): { kind: KeepAlive } | string {
  const isKind = text === 'chunk' || text === 'comment' || text === 'off';
  return isKind ? { kind: text } : 'must be chunk, comment or off';
}

function keyIn(text: string): { text: string } | string {
  return /^[\x20-\x7e]{1,255}$/.test(text) ? { text } : 'must be 1 to 255 printable ASCII characters';
}

/** RFC 7240: preferences by name; of one that is there twice the first counts. */
function preferencesIn(text: string): Map<string, string> {
  const preferences = new Map<string, string>();
  for (const preference of text.split(',')) {
    const [, name = '', value = ''] = /^\s*([^\s=;]+)\s*(?:=\s*([^;]*))?/.exec(preference) ?? [];
    const key = name.toLowerCase();
    if (key !== '' && !preferences.has(key)) preferences.set(key, value.trim().replace(/^"(.*)"$/, '$1'));
  }
  return preferences;
}

function waitIn(value: string | undefined): number | string | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,3}$/.test(value) && Number(value) <= MOST_WAIT_S) return Number(value) * 1_000;
  return `wait must be a whole number of seconds, 0 to ${MOST_WAIT_S}`;
}
