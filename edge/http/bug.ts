import { McpctlError } from '../../core/errors.ts';
import { sqlFaultOf } from '../../core/registry/database/faults.ts';
import type { Log } from '../../core/runtime/log.ts';

/** Logs what nobody foresaw, in full, with the request that it broke; but never pg's own error, which quotes values. */
export function logBug(log: Log, thrown: unknown, about: { reqId: string; taskId?: string }): void {
  const sql = sqlFaultOf(thrown);
  const wrapped = thrown instanceof McpctlError && thrown.cause instanceof Error && !sql;
  log.error({ err: wrapped ? thrown.cause : thrown, sql, ...about }, 'a request failed');
}
