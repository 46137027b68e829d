import type { ErrorCode } from '../../core/errors.ts';
import type { Blame } from '../../core/judge/fault.ts';
import type { Capabilities, Operation, TaskOperation } from '../../core/llm.ts';
import type { ToldReason } from '../../core/task/error-reason.ts';
import type { Usage } from '../../core/task/task.ts';

/**
 * The contract of a provider: one backend that a worker talks to. It imports nothing from the providers.
 * Every call takes a signal and ends soon after it aborts, with the backend's connection closed.
 * `test/conformance/provider.ts` runs on every provider.
 */
export interface LlmProvider {
  readonly name: string;
  /** Answers one chat request whole. @throws McpctlError with a `backend_*` code. */
  complete(options: CompletionOptions): Promise<CompletionResult>;
  /** Answers one chat request piece by piece; the last piece carries `finishReason`. */
  stream?(options: CompletionOptions): AsyncIterable<CompletionDelta>;
  /**
   * Passes a caller's request through as the text it is and gives the backend's events as they are. Yields any
   * number of `event`s and `events` (none when not streaming), then exactly one `end` or `failed`; never throws. A provider
   * without it serves through `stream` or `complete` (worker/providers/adapt.ts).
   */
  forward?(call: ForwardCall): AsyncIterable<Reply>;
  /** Serves tasks that are no inference, in place of the rest; as `forward` does. */
  run?(call: MemberCall): AsyncIterable<Reply>;
  /** The models that the backend offers now. @throws McpctlError `backend_error` when it cannot be asked. */
  listModels(signal: AbortSignal): Promise<ModelInfo[]>;
  /** Does the backend answer? Never throws; false when in doubt. */
  isAvailable(signal: AbortSignal): Promise<boolean>;
  /**
   * What the backend can do with a model, asked of the backend and never by having it generate. Bounded by a few
   * seconds and the signal; what cannot be told is left out. Never throws. Cheap while `modelsFingerprint` gives
   * the same text: the last result is kept.
   */
  probe?(model: string, signal: AbortSignal): Promise<ProbeResult>;
  /**
   * A text that changes when the models that the backend offers, or the way they are loaded, change; one or two
   * small requests. Undefined when the backend cannot be asked now. Never throws.
   */
  modelsFingerprint?(signal: AbortSignal): Promise<string | undefined>;
  /** Loads the model, so that the first caller does not wait for it. */
  warmup?(signal: AbortSignal): Promise<void>;
}

export interface ProbeResult {
  /** As they are published; empty when nothing could be learnt. */
  capabilities: Capabilities;
  /** How many requests the backend takes at once, where it says so. */
  slots?: number;
}

export interface CompletionOptions {
  model: string;
  messages: readonly Readonly<Record<string, unknown>>[];
  temperature?: number;
  maxTokens?: number;
  tools?: readonly unknown[];
  signal: AbortSignal;
}

export interface CompletionResult {
  content: string;
  toolCalls: unknown[];
  usage: Usage;
  /** As OpenAI names them: `stop`, `length`, `tool_calls`, `content_filter`. */
  finishReason: string;
}

export interface CompletionDelta {
  content?: string;
  reasoning?: string;
  toolCalls?: unknown[];
  usage?: Usage;
  finishReason?: string;
}

export interface ForwardCall {
  operation: Operation;
  /** The caller's body, as it came; the provider splices in `model` and, when streaming, `include_usage`. */
  body: string;
  streaming: boolean;
  /** The few headers that a backend may see, lower-case names. */
  headers: Readonly<Record<string, string>>;
  /** The backend's own name of the model. */
  model: string;
  /** Silence between two events, or before the answer, after which the backend is given up on. */
  stallMs: number;
  signal: AbortSignal;
}

/** What a member is asked: one task. */
export interface MemberCall extends Omit<ForwardCall, 'operation'> {
  operation: TaskOperation;
  /** For a backend that must do nothing twice. */
  taskId: string;
  /** Pins the claim: what comes after is done by nobody else. @returns false when it was lost. */
  deliver: () => Promise<boolean>;
}

export type Reply =
  | { kind: 'event'; data: string }
  /** Some that came at once. */
  | { kind: 'events'; data: readonly string[] }
  | {
      kind: 'end';
      status: number;
      /** The whole body, as text; undefined when it was streamed. */
      body?: string;
      finishReason?: string;
      usage?: Usage;
      /** What the owner of the backend should know of its way of answering; it goes to nobody else. */
      remark?: string;
    }
  | ({ kind: 'failed' } & ProviderFailure);

export interface ProviderFailure {
  /**
   * As core/judge says it of what a backend answers: `backend_rejected` (with `status` and `body`, which go to the
   * caller as they are), `backend_auth_failed`, `backend_misconfigured`, `too_many_requests`, `backend_not_ready`,
   * `backend_error`. Beside these, `backend_incomplete` for an answer that is not all there, and `backend_timeout`
   * for a backend that was silent for `stallMs`.
   */
  code: ErrorCode;
  /** Whose fault it is, where that was judged; else it is the backend's. */
  blame?: Blame;
  /** A sentence without address or key, the backend's own where it has one. */
  message: string;
  status?: number;
  body?: string;
  /** Seconds, from the backend's Retry-After. */
  retryAfterS?: number;
  /** What the backend said beside the sentence. */
  reason?: ToldReason;
  /** Another member may do better. */
  retryable: boolean;
  /** The text is too long for its model: a member with more room may take it. */
  tooLong?: true;
}

export interface ModelInfo {
  id: string;
  contextLength?: number;
  capabilities?: Capabilities;
}

export type Last = Exclude<Reply, { kind: 'event' | 'events' }>;
