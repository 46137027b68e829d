import type { Request } from 'express';
import { McpctlError, type ErrorCode } from '../../../core/errors.ts';
import type { EventMap } from '../../../core/task/events.ts';
import { isCallable } from '../../../core/names.ts';
import { servedBy } from '../../../core/task/settled-event.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import { LEFT } from '../../http/context.ts';
import { untilClosed } from '../../limits/caps.ts';
import type { EdgeDeps } from '../../deps.ts';
import type { Target } from '../ask/target.ts';

type Finished = EventMap['inference.finished'];

const nobody = { member: null, worker: null, tokensIn: null, tokensOut: null, queueMs: null };

/** Collects what `inference.finished` says of one call, and says it once. */
export class Report {
  readonly #deps: EdgeDeps;
  readonly #req: Request;
  readonly #source: TaskRow['source'];
  llm: string;
  pool: string | null = null;
  taskId: string | null = null;
  /** As the task ended. */
  row: TaskRow | null = null;
  #ttftMs: number | null = null;
  #members: Target['members'] = [];
  #served: ReturnType<typeof servedBy> | null = null;
  /** The row says how the task ended, so who had it is known for sure. */
  #settled = false;
  #isFinished = false;

  constructor(deps: EdgeDeps, req: Request, { source, llm }: { source: TaskRow['source']; llm: string }) {
    this.#deps = deps;
    this.#req = req;
    this.#source = source;
    this.llm = llm;
    req.context.reported = true;
    if (req.res) untilClosed(req.res, deps.metrics.began());
  }

  /** Where it goes, and as what its task is known: of a turn that is its agent with the personality. */
  to({ llmName, target }: { llmName: string; target: Pick<Target, 'poolKey' | 'members'> }): void {
    this.llm = llmName;
    this.pool = target.poolKey;
    this.#members = target.members;
  }

  /** The task that it is answered from. */
  by({ id, llmName, poolName }: Pick<TaskRow, 'id' | 'llmName' | 'poolName'>): void {
    this.llm = llmName;
    this.pool = poolName;
    this.taskId = id;
  }

  /** Notes when the first event went out. */
  firstEvent(): void {
    this.#ttftMs ??= Math.round(this.#deps.clock.elapsed() - this.#req.context.startedAt);
  }

  settled(row: TaskRow): void {
    this.row = row;
    this.#served = servedBy(row);
    this.#settled = true;
  }

  finish(status: number, code: ErrorCode | null): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    const { context } = this.#req;
    this.#deps.bus.emit('inference.finished', {
      reqId: context.requestId,
      actor: context.actor?.userName ?? null,
      keyId: context.actor?.tokenId ?? null,
      tokenName: context.actor?.tokenName ?? null,
      llm: isCallable(this.llm) ? this.llm : 'invalid',
      kind: this.#kind(),
      pool: this.pool,
      taskId: this.taskId,
      source: this.#source,
      status,
      code,
      left: status === LEFT ? this.#phase() : null,
      ttftMs: this.#ttftMs,
      durMs: Math.round(this.#deps.clock.elapsed() - context.startedAt),
      clientRetry: retryCountOf(this.#req),
      ...(this.#served ?? nobody),
    });
  }

  /** Of who had it, or of all who could have had it. */
  #kind(): Finished['kind'] {
    const had = this.#members.find(({ name }) => name === this.#served?.member);
    const kinds = new Set((had ? [had] : this.#members).map(({ kind }) => kind));
    return kinds.size > 1 ? 'mixed' : ([...kinds][0] ?? 'unknown');
  }

  #phase(): NonNullable<Finished['left']> {
    if (this.#ttftMs !== null) return 'streaming';
    if (!this.#settled) return 'waiting';
    return this.#served?.worker == null ? 'queued' : 'claimed';
  }

  failed(thrown: unknown): void {
    const error = thrown instanceof McpctlError ? thrown : new McpctlError('internal');
    this.finish(error.status, error.code);
  }
}

/** OpenAI's and Anthropic's SDKs tell: so a storm of retries can be told from real load. */
function retryCountOf(req: Request): number {
  const header = req.get('x-stainless-retry-count') ?? '';
  return /^\d{1,3}$/.test(header) ? Number(header) : 0;
}

/** A reader of a task's stream makes no call of its own: `inference.finished` tells of the one that did. */
export const unreported: Pick<Report, 'firstEvent' | 'settled' | 'failed' | 'finish'> = {
  firstEvent: () => undefined,
  settled: () => undefined,
  failed: () => undefined,
  finish: () => undefined,
};
