import type { ErrorReason } from './task/error-reason.ts';

/**
 * The one catalogue of errors. A code never changes its meaning; docs/errors.md lists each and is tested
 * against this table. Nothing outside this file decides a status, an exit code or an OpenAI error type.
 */

interface CatalogueEntry {
  /** HTTP status on `/api/v1`. */
  status: number;
  /** HTTP status on `/v1`, where it differs (OpenAI SDKs retry 408 and 409: neither is ever sent there). */
  v1Status?: number;
  /** What clients know it by on `/v1`, where OpenAI or its kin have a word for it. */
  v1Code?: string;
  /** OpenAI's `error.type` on `/v1`. */
  type: string;
  /** Whether the same call may succeed if it is made again; becomes `x-should-retry`. */
  retryable: boolean;
  /** Exit code of the CLI: 1 failed, 2 usage, 4 not authenticated. */
  exit: 1 | 2 | 4;
  /** The sentence used when the thrower has nothing better to say. */
  message: string;
}

const invalid = { type: 'invalid_request_error', retryable: false, exit: 1 } as const;
const bad = { status: 400, ...invalid } as const;
const unlike = { status: 422, ...invalid } as const;
const tooLarge = { status: 413, ...invalid } as const;
const server = { type: 'server_error', exit: 1 } as const;
/** Of ours, and made again the same call fails again. */
const lasting = { ...server, retryable: false } as const;
/** Of ours, and it passes. */
const passing = { ...server, retryable: true } as const;
const conflict = { status: 409, v1Status: 400, ...invalid } as const;
const limited = { status: 429, type: 'rate_limit_error', retryable: true, exit: 1 } as const;
const missing = { status: 404, ...invalid } as const;
const refused = { status: 403, type: 'permission_error', retryable: false, exit: 1 } as const;

export const catalogue = {
  // 400: the caller can mend it
  invalid_json: { ...bad, message: 'The body is not valid JSON.' },
  invalid_request: { ...bad, message: 'The request has faults; see details.' },
  invalid_id: { ...bad, message: 'The id is not a uuid.' },
  tool_result_mismatch: { ...bad, message: 'The turn has made no call of that id.' },
  invalid_cursor: { ...bad, message: 'The position is malformed; use an id that the stream gave you.' },
  no_capable_member: { ...bad, message: 'No member of this pool can do what the request asks for.' },
  context_length_exceeded: { ...bad, message: 'The text is longer than the members of this pool take.' },
  backup_damaged: { ...bad, message: 'This is no whole backup of mcpctl.' },
  backup_locked: { ...bad, message: 'Another passphrase or identity opens this file.' },
  protocol_unsupported: {
    ...bad,
    message: 'This worker speaks a protocol version that this edge does not; update mcplocal.',
  },
  transport_unavailable: {
    ...bad,
    message: 'This edge has none of the transports that the worker knows; update mcplocal.',
  },
  usage: { status: 400, ...invalid, exit: 2, message: 'The command was not understood; see --help.' },
  invalid_config: { ...bad, message: 'The configuration has faults.' },
  // 401, 403, 404
  unauthenticated: {
    status: 401,
    v1Code: 'invalid_api_key',
    type: 'authentication_error',
    retryable: false,
    exit: 4,
    message: 'A valid token is needed: send "Authorization: Bearer <token>", or run "mcpctl login".',
  },
  forbidden: { ...refused, message: 'Your token does not allow this.' },
  escalation: { ...refused, message: 'Nobody gives or takes a right that they lack themselves.' },
  login_denied: { ...refused, message: 'The login was not approved; begin again with "mcpctl login --web".' },
  origin_not_allowed: { ...refused, message: 'No page of this origin: see MCPCTL_CORS_ORIGINS.' },
  host_not_allowed: { ...refused, message: 'This Host is not served here; add it to MCPCTL_ALLOWED_HOSTS.' },
  route_not_found: { ...missing, message: 'There is nothing at this path.' },
  llm_not_found: { ...missing, v1Code: 'model_not_found', message: 'There is no llm of that name.' },
  pool_not_found: { ...missing, message: 'There is no pool of that name.' },
  task_not_found: { ...missing, message: 'There is no task with that id.' },
  token_not_found: { ...missing, message: 'There is no token of that name or id.' },
  project_not_found: { ...missing, message: 'There is no project of that name.' },
  template_not_found: { ...missing, message: 'No template has that name; see "mcpctl get template".' },
  server_not_found: { ...missing, message: 'There is no MCP server of that name.' },
  mcp_session_not_found: { ...missing, message: 'No such MCP session; initialize again, without its id.' },
  agent_not_found: { ...missing, message: 'There is no agent of that name.' },
  thread_not_found: { ...missing, message: 'There is no thread with that id, or no such turn in it.' },
  prompt_not_found: { ...missing, message: 'There is no prompt of that id or name.' },
  personality_not_found: { ...missing, message: 'The agent has no personality of that name.' },
  user_not_found: { ...missing, message: 'There is no user of that name.' },
  group_not_found: { ...missing, message: 'There is no group of that name.' },
  rbac_not_found: { ...missing, message: 'There is no rbac document of that name.' },
  secret_not_found: { ...missing, message: 'There is no secret of that name.' },
  join_code_unknown: { ...missing, message: 'There is no such join code; ask for another.' },
  worker_not_found: { ...missing, message: 'No such worker that you may see; see mcpctl get worker.' },
  session_not_found: { ...missing, message: 'The provider session is not known here; register again.' },
  // 409: the thing is in the wrong state
  name_taken: { status: 409, v1Status: 400, ...invalid, message: 'That name is taken.' },
  name_reserved: { ...conflict, message: 'A well-known model is called so; an admin says who may use it.' },
  llm_published: { ...conflict, message: 'A worker publishes that llm; change it there.' },
  agent_published: { ...conflict, message: 'A worker publishes that agent; change it there.' },
  briefing_required: { ...conflict, message: 'Call begin_session first, then repeat this call.' },
  llm_in_use: { ...conflict, message: 'Agents are pinned to that llm; change or delete those first.' },
  thread_busy: {
    ...conflict,
    v1Code: 'conversation_locked',
    message: 'A turn of this thread is still open; wait for it, or cancel it.',
  },
  tools_pending: { ...conflict, message: 'A turn waits for results of tools; send them.' },
  tool_result_differs: { ...conflict, message: 'That call has another result already; it stays.' },
  session_revoked: { ...refused, message: 'This worker was revoked; it may come back as another.' },
  session_in_use: {
    ...conflict,
    message:
      'Another running worker uses this provider session; was the session file copied? Delete it on one of the machines.',
  },
  pool_not_yours: {
    ...conflict,
    message: 'The pool belongs to another owner, who has not allowed you to join it.',
  },
  not_appliable: { ...conflict, message: 'No document makes that; it comes and goes in another way.' },
  in_other_set: { ...conflict, message: 'Another set has applied that; take it out of that set first.' },
  prune_refused: { ...conflict, message: 'More would be deleted than was confirmed.' },
  in_use: { ...conflict, message: 'Others refer to it; delete or change those first.' },
  secret_in_use: { ...conflict, message: 'Llms refer to that secret; give those another key first.' },
  last_admin: { ...conflict, message: 'Nobody would be left who may do everything; name another admin.' },
  name_retired: { ...conflict, message: 'Somebody was called so until lately; choose another name.' },
  restore_conflict: { ...conflict, message: 'Others of these names are here; skip or replace them.' },
  backup_newer: { ...conflict, message: 'The backup was made by a newer release; update this one first.' },
  backup_key_missing: { ...conflict, message: 'The key of these secrets is not here.' },
  task_open: { ...conflict, message: 'The task has not ended; wait for it, or cancel it.' },
  claim_lost: { ...conflict, message: 'That claim on the task is no longer current.' },
  task_cancelled: { status: 409, v1Status: 503, ...lasting, message: 'The task was cancelled.' },
  mcp_result_gone: { status: 410, ...invalid, message: 'That result has expired; call its tool again.' },
  gone: { status: 410, ...invalid, message: 'That position is no longer kept; get the task instead.' },
  device_code_expired: { status: 410, ...invalid, message: 'The code was used, or is over ten minutes old.' },
  join_code_used: { status: 410, ...invalid, message: 'The join code was used; ask for another.' },
  join_code_expired: { status: 410, ...invalid, message: 'The join code has expired; ask for another.' },
  stale_revision: {
    status: 412,
    ...invalid,
    message: 'The resource was changed meanwhile; get it again and repeat the change.',
  },
  body_too_large: { ...tooLarge, message: 'The body is larger than this edge accepts.' },
  thread_full: {
    ...tooLarge,
    message: 'The thread holds as much as one may; begin another, or delete this one.',
  },
  unsupported_media_type: { status: 415, ...invalid, message: 'Send application/json, in UTF-8.' },
  tool_rounds_exceeded: { ...unlike, message: 'The turn has called tools sixteen times.' },
  tools_expired: { ...unlike, message: 'No results of its tools came within a day.' },
  idempotency_mismatch: { ...unlike, message: 'This key was used for another request; use a new one.' },
  headers_too_large: { status: 431, ...invalid, message: 'The headers are over 16 KiB; send shorter ones.' },
  too_many_requests: {
    ...limited,
    v1Code: 'rate_limit_exceeded',
    message: 'Too many requests at once; try again after the time in Retry-After.',
  },
  slow_down: { ...limited, message: 'You ask too often; wait for as long as Retry-After says.' },
  quota_exceeded: {
    ...limited,
    retryable: false,
    message: 'You have as many of these as one user may have here.',
  },
  turn_queue_full: { ...limited, message: 'As many turns of this thread wait as may; send again later.' },
  queue_full: { ...limited, message: 'The queue of this pool is full; try again later.' },
  // 5xx
  internal: {
    status: 500,
    ...passing,
    message: 'Something went wrong here; the request id finds it in the log.',
  },
  secret_undecryptable: {
    status: 500,
    ...lasting,
    message: 'The secret cannot be opened here; its operator must mend the keys, or write it anew.',
  },
  secrets_disabled: {
    status: 503,
    ...lasting,
    message:
      'No key for secrets is set here; its operator sets MCPCTL_SECRETS_KEYS_FILE or MCPCTL_SECRETS_KEY.',
  },
  backend_error: {
    status: 502,
    v1Code: 'upstream_error',
    ...passing,
    message: 'The backend failed before it had answered.',
  },
  backend_auth_failed: {
    status: 502,
    ...lasting,
    message: 'The backend refused the key that its worker has; its owner must mend it.',
  },
  backend_misconfigured: {
    status: 502,
    ...lasting,
    message: 'The backend does not take what its owner has configured; its owner must mend it.',
  },
  backend_not_ready: {
    status: 503,
    v1Code: 'upstream_not_ready',
    ...passing,
    message: 'The backend is not ready yet; try again shortly.',
  },
  address_refused: {
    status: 502,
    ...lasting,
    message:
      'The address of this llm is in a private network that the hosted worker may not call; its operator can allow it with MCPCTL_HOSTED_ALLOW.',
  },
  backend_rejected: { status: 502, ...lasting, message: 'The backend refused the request.' },
  backend_incomplete: {
    status: 502,
    v1Code: 'upstream_error',
    ...passing,
    message: 'The backend stopped before it had finished the answer.',
  },
  backend_timeout: { status: 504, ...passing, message: 'The backend was silent for too long.' },
  unstorable_result: { status: 502, ...lasting, message: 'The answer could not be stored.' },
  worker_lost: { status: 502, ...passing, message: 'The worker was lost while it answered.' },
  poison_task: {
    status: 502,
    ...lasting,
    message: 'Three workers died while they ran this task; it is not tried again.',
  },
  outcome_unknown: { status: 502, ...lasting, message: 'Nobody knows how the call ended.' },
  result_too_large: { status: 502, ...lasting, message: 'The tool answered with too much.' },
  prompt_link_dead: { status: 502, ...passing, message: 'The link of this prompt is dead.' },
  tool_failed: { status: 502, ...lasting, message: 'The tool answered with an error.' },
  mcp_server_failed: { status: 502, ...lasting, message: 'The MCP server broke MCP.' },
  mcp_server_down: { status: 503, ...passing, message: 'The MCP server does not run now.' },
  mcp_result_withheld: { status: 502, ...lasting, message: 'It ran; its result cannot be shown safely.' },
  shutting_down: { status: 503, ...passing, message: 'This process is shutting down; call again.' },
  no_active_llm: {
    status: 503,
    v1Code: 'no_worker_available',
    ...passing,
    message: 'No active llm serves this pool now.',
  },
  wake_failed: { status: 503, ...passing, message: 'The backend of this llm sleeps and could not be woken.' },
  unavailable: {
    status: 503,
    ...passing,
    message: 'Redis or Postgres cannot be reached now; try again shortly.',
  },
  settle_pending: {
    status: 503,
    ...lasting,
    message: 'The answer is complete but not yet recorded; get the task to see its outcome.',
  },
  queue_timeout: { status: 504, ...lasting, message: 'No member took the task within its time limit.' },
  run_timeout: {
    status: 504,
    v1Code: 'timeout',
    ...lasting,
    message: 'The task ran longer than its time limit.',
  },
  // only ever seen at a client
  server_unreachable: { status: 503, ...passing, message: 'The server cannot be reached.' },
  bad_answer: { status: 502, ...lasting, message: 'The server gave an answer that was not understood.' },
  timed_out: { status: 504, ...passing, message: 'The wait ended before the task did.' },
  already_running: { status: 409, ...invalid, message: 'Another one is running already.' },
  setup_failed: { status: 500, ...lasting, message: 'The setup could not be completed.' },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof catalogue;

/**
 * Codes that were once used. Never reuse one.
 * @internal docs/errors.md lists them
 */
export const retiredCodes: readonly string[] = [];

export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(catalogue, code);

export const entryOf = (code: ErrorCode): CatalogueEntry => catalogue[code];

/** One fault of a request or a configuration. */
export interface Fault {
  path: string;
  message: string;
}

/** What a backend said of what its caller sent. */
export interface Refusal {
  /** A 4xx. */
  status: number;
  /** As it came. */
  body: string;
}

export interface ErrorExtra {
  details?: readonly Fault[];
  /** Seconds after which a call may succeed; becomes `Retry-After`. */
  retryAfterS?: number;
  /** The task that the error is about; becomes `x-mcpctl-task-id`. */
  taskId?: string;
  /** Of a backend: its caller is told this in place of what we say. */
  refusal?: Refusal;
  /** Of a backend, beside what we say. */
  reason?: ErrorReason | null;
  cause?: unknown;
}

/**
 * The only error that our code throws on purpose. `message` may be shown to a caller, so it never carries a
 * stack, a key, a backend's address or a prompt.
 */
export class McpctlError extends Error {
  readonly code: ErrorCode;
  readonly details: readonly Fault[] | undefined;
  readonly retryAfterS: number | undefined;
  readonly taskId: string | undefined;
  readonly refusal: Refusal | undefined;
  readonly reason: ErrorReason | undefined;

  constructor(code: ErrorCode, message?: string, extra: ErrorExtra = {}) {
    super(message ?? catalogue[code].message, extra.cause === undefined ? undefined : { cause: extra.cause });
    this.name = 'McpctlError';
    this.code = code;
    this.details = extra.details;
    this.retryAfterS = extra.retryAfterS;
    this.taskId = extra.taskId;
    this.refusal = extra.refusal;
    this.reason = extra.reason ?? undefined;
  }

  get status(): number {
    return catalogue[this.code].status;
  }
}

/** The message of anything thrown, for logs and for wrapping. */
export const messageOf = (thrown: unknown): string =>
  thrown instanceof Error ? thrown.message : String(thrown);
