import { isErrorCode, McpctlError, messageOf, type ErrorCode } from '../../../core/errors.ts';
import type { LetGo } from '../../../core/task/let-go.ts';
import type { Outcome } from '../../../core/task/outcome.ts';
import type { StreamEnd, StreamFailure } from '../../../core/member/protocol.ts';
import { beat, endClaim, handBack } from '../../../core/queue/task/claim.ts';
import { doneOf, sendControl } from '../../../core/queue/live/control.ts';
import { Emitter } from '../../../core/queue/task/emitter.ts';
import type { SpokenClaim, UplinkDeps } from './claim-of.ts';

/** What a worker may say of its backend, or of an MCP server; anything else is a backend that failed. */
const sayable: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'backend_error',
  'backend_auth_failed',
  'backend_misconfigured',
  'backend_not_ready',
  'backend_rejected',
  'backend_incomplete',
  'backend_timeout',
  'too_many_requests',
  'invalid_json',
  'invalid_request',
  'no_capable_member',
  'shutting_down',
  'run_timeout',
  'outcome_unknown',
  'result_too_large',
  'mcp_server_failed',
  'mcp_server_down',
]);

/** As a worker beats. */
const BEAT_MS = 1_000;

const codeOf = (code: string): ErrorCode => (isErrorCode(code) && sayable.has(code) ? code : 'backend_error');

export type Said = 'ended' | 'handed_back' | 'lost';

/** Says what a worker says of its claim, on the fence; and tells the relay when the claim is over. */
export class Speaker {
  readonly #deps: UplinkDeps;
  readonly #spoken: SpokenClaim;
  readonly #onLost: () => void;
  #emitter: Emitter | undefined;
  #nextSeq = 0;
  #beating = false;

  constructor(deps: UplinkDeps, spoken: SpokenClaim, onLost: () => void) {
    this.#deps = deps;
    this.#spoken = spoken;
    this.#onLost = onLost;
  }

  /** @throws McpctlError `invalid_request` when the events do not follow each other. */
  async emit(seq: number, data: string): Promise<void> {
    if (this.#emitter && seq !== this.#nextSeq) {
      throw new McpctlError(
        'invalid_request',
        `Event ${String(seq)} does not follow event ${String(this.#nextSeq - 1)}.`,
      );
    }
    if (data.trim() === '[DONE]')
      throw new McpctlError('invalid_request', '[DONE] is no event; end with an "end" line.');
    this.#nextSeq = seq + 1;
    this.#emitter ??= this.#emitterFrom(seq);
    await this.#emitter.emit(data);
  }

  /** One at a time: a Redis that is away must not collect them. */
  beat(): void {
    if (this.#beating) return;
    this.#beating = true;
    beat(this.#deps, this.#spoken.claim)
      .then((current) => {
        if (!current) this.#onLost();
      })
      .catch((thrown: unknown) => this.#deps.log.debug({ why: messageOf(thrown) }, 'a beat failed'))
      .finally(() => (this.#beating = false));
  }

  async end({ status, body, finishReason, usage }: StreamEnd): Promise<Said> {
    return await this.#last({
      kind: 'completed',
      status: status ?? 200,
      ...(body === undefined || body === null ? {} : { body }),
      ...(finishReason ? { finishReason } : {}),
      ...(usage ? { usage } : {}),
    });
  }

  /** A backend's failure that another member may do better goes back, unless something of it was shown. */
  async fail(failure: StreamFailure): Promise<Said> {
    const { message, status, body, retryable, retryAfterS, reason } = failure;
    const code = codeOf(failure.code);
    const beside = {
      ...(retryAfterS === undefined || retryAfterS === null ? {} : { retryAfterS }),
      ...(reason === undefined ? {} : { reason }),
    };
    if (retryable) {
      await this.#emitter?.flush();
      const counts = code === 'shutting_down' ? 'none' : 'attempt';
      const answer = await handBack(this.#deps, this.#spoken.claim, { counts, code, message, ...beside });
      if (answer === 'lost') return 'lost';
      if (answer === 'ok') {
        await this.#tell({ kind: 'handed back' });
        return 'handed_back';
      }
    }
    return await this.#last({
      kind: 'failed',
      code,
      message,
      ...(status === undefined || status === null ? {} : { status }),
      ...(body === undefined || body === null ? {} : { body }),
      ...beside,
    });
  }

  async #last(outcome: Outcome): Promise<Said> {
    const { claim } = this.#spoken;
    const ended = await this.#spokenFor(() =>
      this.#emitter ? this.#emitter.end(outcome) : endClaim(this.#storeDeps(), claim, outcome),
    );
    await this.#tell(outcome);
    return ended ? 'ended' : 'lost';
  }

  /** Its worker has said the last it had to: until Redis has all of it, it is spoken for here. */
  async #spokenFor<T>(work: () => Promise<T>): Promise<T> {
    const beats = setInterval(() => this.beat(), BEAT_MS);
    try {
      return await work();
    } finally {
      clearInterval(beats);
    }
  }

  /** A message that is lost costs the relay a look at the fence. */
  async #tell(letGo: LetGo): Promise<void> {
    const { claim, fence } = this.#spoken;
    const message = doneOf(claim, letGo);
    try {
      await sendControl(this.#deps, { session: fence.session, boot: fence.boot, message });
    } catch (thrown) {
      this.#deps.log.debug(
        { taskId: claim.taskId, why: messageOf(thrown) },
        'the relay was not told of an end',
      );
    }
  }

  #storeDeps() {
    const { redis, keys, config } = this.#deps;
    return { redis, keys, eventBytes: config.eventBytes, eventKeepMs: config.eventKeepMs };
  }

  #emitterFrom(first: number): Emitter {
    return new Emitter({ ...this.#storeDeps(), claim: this.#spoken.claim, first, onLost: this.#onLost });
  }
}
