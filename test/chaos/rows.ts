import type { Connection } from '../../core/registry/database/connect.ts';
import { terminalStatuses, type TaskStatus } from '../../core/task/task.ts';
import type { FinalMessage, FinalRow, ToolEvidence } from './lines.ts';

/** Of a turn the last one: those before it are of what was said earlier. */
const canaries = /\{\\"canary\\":\\"([a-z0-9-]+)\\"/g;
const canaryOf = (request: string): string => [...request.matchAll(canaries)].at(-1)?.[1] ?? '?';

/** The tasks made since an instant of the database's clock. */
export function createRows({ db }: Connection) {
  const all = async <T>(sql: string, bindings: readonly unknown[]): Promise<T[]> => {
    const answer: unknown = await db.raw(sql, bindings as string[]);
    return (answer as { rows: T[] }).rows;
  };
  return {
    async now(): Promise<string> {
      const [row] = await all<{ now: string }>('select clock_timestamp()::text as now', []);
      return row?.now ?? 'epoch';
    },
    /** By what each worker takes its tasks. */
    async transports(): Promise<string[]> {
      const rows = await all<{ transport: string }>('select transport from sessions', []);
      return rows.map(({ transport }) => transport);
    },
    async open(since: string): Promise<number> {
      const sql = `select (select count(*) from tasks where created_at >= ?::timestamptz and not status = any(?))::int
          + (select count(*) from chat_turns where created_at >= ?::timestamptz and ended_at is null)::int as n`;
      const [row] = await all<{ n: number }>(sql, [since, terminalStatuses, since]);
      return row?.n ?? 0;
    },
    async crashed(since: string): Promise<number> {
      const sql = `select count(*)::int as n from tasks where created_at >= ?::timestamptz
        and (crashes > 0 or error_code = 'worker_lost')`;
      const [row] = await all<{ n: number }>(sql, [since]);
      return row?.n ?? 0;
    },
    /** How many of these tasks have which status. */
    async statuses(ids: readonly string[]): Promise<Partial<Record<TaskStatus, number>>> {
      const sql = 'select status, count(*)::int as n from tasks where id = any(?::uuid[]) group by status';
      const rows = await all<{ status: TaskStatus; n: number }>(sql, [ids]);
      return Object.fromEntries(rows.map(({ status, n }) => [status, n]));
    },
    async final(since: string): Promise<FinalRow[]> {
      const sql = `select id, request_body as request, status, error_code as "errorCode",
        response_body as "responseBody", attempts, crashes from tasks
        where created_at >= ?::timestamptz and operation <> 'mcp'`;
      const rows = await all<FinalRow & { request: string | null }>(sql, [since]);
      return rows.map(({ request, ...row }) => ({
        ...row,
        canary: canaryOf(request ?? ''),
      }));
    },
    /** Calls of tools. */
    async tools(since: string): Promise<ToolEvidence['rows'][number][]> {
      const sql = `select id, request_body as request, status from tasks
        where created_at >= ?::timestamptz and operation = 'mcp'`;
      const rows = await all<{ id: string; request: string | null; status: TaskStatus }>(sql, [since]);
      return rows.map(({ request, ...row }) => ({
        ...row,
        label: /"label":"([a-z0-9-]+)"/.exec(request ?? '')?.[1] ?? '?',
      }));
    },
    /** All that is in threads in which a turn was taken since then. */
    async messages(since: string): Promise<FinalMessage[]> {
      const sql = `select m.thread_id as "threadId", m.turn_index as "turnIndex", m.role, m.status, m.content,
          m.task_id as "taskId", t.status as "turnStatus"
        from chat_messages m join chat_turns t on t.id = m.turn_id
        where m.thread_id in (select thread_id from chat_turns where created_at >= ?::timestamptz)
        order by m.thread_id, m.turn_index`;
      return await all<FinalMessage>(sql, [since]);
    },
    /** Locks the rows of all tasks that are open, of turns, of sessions and of leases, while that is done. @returns how many tasks. */
    async holding(work: () => Promise<void>): Promise<number> {
      return await db.transaction(async (trx) => {
        const sql = 'select id from tasks where not status = any(?) for update skip locked';
        const { rows } = await trx.raw<{ rows: unknown[] }>(sql, [[...terminalStatuses]]);
        for (const table of ['chat_turns', 'sessions', 'leases', 'redis_generations'])
          await trx.raw(`select 1 from ${table} for update`);
        await work();
        return rows.length;
      });
    },
    /** Ends every session of Postgres but our own. @returns how many. */
    async terminate(): Promise<number> {
      const sql = `select pg_terminate_backend(pid) from pg_stat_activity
        where pid <> pg_backend_pid() and backend_type = 'client backend'`;
      return (await all(sql, [])).length;
    },
  };
}
export type Rows = ReturnType<typeof createRows>;
