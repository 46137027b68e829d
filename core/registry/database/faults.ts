import { McpctlError, messageOf } from '../../errors.ts';
import { mayPass, troubleSentence, type Trouble } from '../../trouble.ts';
import { untrusted, wrongName } from '../../runtime/network/trust.ts';

/** What may be told of a statement that Postgres refused: never a value of a row. */
export interface SqlFault {
  /** SQLSTATE, e.g. `23505` unique violation. */
  sqlState: string;
  constraint: string | undefined;
  table: string | undefined;
}

/**
 * What each class of SQLSTATE means, the first that fits: the classes of the SQL standard and of Postgres's own
 * appendix, so that a state which nobody thought of falls where its kin do. Of class 23 (a constraint) we check
 * ourselves before we write: where it still comes, this row cannot be written. 26000 and 42P05 are said of our
 * prepared statements by a pooler that hands each transaction another server and knows nothing of them.
 */
const states: readonly (readonly [RegExp, Trouble])[] = [
  [/^08/, 'away'],
  [/^57P(0[1245])/, 'away'],
  [/^(53100|58030)/, 'full'],
  [/^25006/, 'read-only'],
  [/^(42P01|42703|42883|3F000|26000|42P05)/, 'too old'],
  [/^(28|3D|42501|0P)/, 'refused'],
  // 0A000 is said of a plan that a migration has overtaken; the next is made anew. 72000 of a snapshot that is too old.
  [/^(53|57|58|55|40|72|0A|25P0[34])/, 'not now'],
  [/^(22|23|21|44|54|XX001|XX002)/, 'broken row'],
];
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

/** What a failure of a statement means; undefined where it came from no store but from our own code. */
export function postgresTroubleOf(thrown: unknown): Trouble | undefined {
  if (thrown instanceof AggregateError)
    return thrown.errors.some((one) => postgresTroubleOf(one) === 'away') ? 'away' : undefined;
  const code = codeOf(thrown);
  if (code !== undefined && network.has(code)) return 'away';
  if (isSqlState(code)) return states.find(([state]) => state.test(code))?.[1] ?? 'bug';
  return driver.test(messageOf(thrown)) ? 'away' : undefined;
}

/** What is said of a connection that is not to be used again. */
export function isLost(thrown: unknown): boolean {
  const trouble = postgresTroubleOf(thrown);
  return isReadTimeout(thrown) || trouble === 'away' || trouble === 'read-only';
}

/** Postgres can never hold this one row: what it says of it is about the row, whatever the statement. */
export const isUnstorable = (thrown: unknown): boolean => {
  const state = sqlFaultOf(thrown)?.sqlState;
  return state !== undefined && postgresTroubleOf({ code: state }) === 'broken row';
};

/** Postgres answered, and broke the statement off at its limit of time; of one that waited for a lock it says another thing (`isHeld`). */
export const ranTooLong = (thrown: unknown): boolean => sqlFaultOf(thrown)?.sqlState === '57014';

/**
 * Anything that knex or pg throws, as ours: `unavailable` with a sentence when it may work later, else `internal`; a
 * `SqlFault` is its cause where Postgres said one. Values (they may be prompts) are left behind: pg puts them into `detail`,
 * `where` and the message.
 */
export function asRegistryError(thrown: unknown): unknown {
  if (thrown instanceof McpctlError) return thrown;
  const trouble = postgresTroubleOf(thrown);
  const cause = sqlFaultOf(thrown);
  if (trouble !== undefined && mayPass(trouble))
    return new McpctlError('unavailable', troubleSentence('Postgres', trouble), { retryAfterS: 1, cause });
  return cause === undefined ? thrown : new McpctlError('internal', undefined, { cause });
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
