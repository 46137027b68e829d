import { McpctlError, messageOf } from '../errors.ts';
import { untrusted, wrongName } from '../runtime/trust.ts';

/** What may be told of a statement that Postgres refused: never a value of a row. */
export interface SqlFault {
  /** SQLSTATE, e.g. `23505` unique violation. */
  sqlState: string;
  constraint: string | undefined;
  table: string | undefined;
}

/**
 * SQLSTATEs that say "not now": connection lost, shutting down, too many connections, statement timed out,
 * read-only standby; and "not you": wrong password or database, which only an operator can mend.
 */
const away = /^(08...|57P0[1-5]|53300|57014|25006|28...|3D000)$/;
const network: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ETIMEDOUT',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
  'EACCES',
  // A certificate that lapsed or was changed while we ran: an operator can mend it.
  ...untrusted,
  wrongName,
  'CERT_HAS_EXPIRED',
]);
/** pg gives these no code; its texts are all there is to tell them by. */
const driver =
  /timeout exceeded when trying to connect|Query read timeout|Connection terminated|not queryable|Client was closed|after calling end on the pool|Connection ended unexpectedly|connection timeout|does not support SSL/i;

const codeOf = (thrown: unknown): string | undefined => {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
};

const isSqlState = (code: string | undefined): code is string =>
  code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !network.has(code);

/** True for pg's own timeout: the connection still waits for that answer and must not be used again. */
export function isReadTimeout(thrown: unknown): boolean {
  return messageOf(thrown).includes('Query read timeout');
}

/** Postgres could not be asked, or has not answered. */
export function isAway(thrown: unknown): boolean {
  if (thrown instanceof AggregateError && thrown.errors.some(isAway)) return true;
  const code = codeOf(thrown);
  if (code !== undefined && network.has(code)) return true;
  if (isSqlState(code)) return away.test(code);
  return driver.test(messageOf(thrown));
}

/**
 * Anything that knex or pg throws, as ours: `unavailable` when Postgres could not be asked, else `internal`
 * with a `SqlFault` as its cause. Values (they may be prompts) are left behind: pg puts them into `detail`,
 * `where` and the message.
 */
export function asRegistryError(thrown: unknown): unknown {
  if (thrown instanceof McpctlError) return thrown;
  if (isAway(thrown)) return new McpctlError('unavailable', undefined, { retryAfterS: 1 });
  const code = codeOf(thrown);
  if (!isSqlState(code)) return thrown;
  const from = thrown as { constraint?: string; table?: string };
  const cause: SqlFault = { sqlState: code, constraint: from.constraint, table: from.table };
  return new McpctlError('internal', undefined, { cause });
}

/** For an operator, who has no request id to look for. */
export function sentenceOf(thrown: unknown): string {
  const fault = sqlFaultOf(thrown);
  if (!fault) return messageOf(thrown);
  const where = [fault.table, fault.constraint].filter((name) => name !== undefined).join(', ');
  return `Postgres refused a statement: SQLSTATE ${fault.sqlState}${where === '' ? '' : ` (${where})`}.`;
}

/** The refusal of Postgres behind an error of the registry; undefined when there is none. */
export function sqlFaultOf(thrown: unknown): SqlFault | undefined {
  if (!(thrown instanceof McpctlError)) {
    const code = codeOf(thrown);
    if (!isSqlState(code)) return undefined;
    const from = thrown as { constraint?: string; table?: string };
    return { sqlState: code, constraint: from.constraint, table: from.table };
  }
  const cause = thrown.cause as Partial<SqlFault> | undefined;
  return typeof cause?.sqlState === 'string' ? (cause as SqlFault) : undefined;
}
