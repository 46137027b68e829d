import type { Request } from 'express';
import { McpctlError, type ErrorCode } from '../../core/errors.ts';
import type { TaskRow, Usage } from '../../core/task.ts';
import type { EdgeDeps } from '../deps.ts';

/** Collects what `inference.finished` says of one call, and says it once. */
export class Report {
  readonly #deps: EdgeDeps;
  readonly #req: Request;
  readonly #source: TaskRow['source'];
  llm: string;
  pool: string | null = null;
  taskId: string | null = null;
  firstTokenMs: number | null = null;
  #queueMs: number | null = null;
  #usage: Usage | null = null;
  #said = false;

  constructor(deps: EdgeDeps, req: Request, { source, llm }: { source: TaskRow['source']; llm: string }) {
    this.#deps = deps;
    this.#req = req;
    this.#source = source;
    this.llm = llm;
    req.context.reported = true;
  }

  /** Notes when the first event went out. */
  firstEvent(): void {
    this.firstTokenMs ??= Math.round(this.#deps.clock.elapsed() - this.#req.context.startedAt);
  }

  settled(row: TaskRow): void {
    this.#usage = row.usage;
    if (row.claimedAt) this.#queueMs = Math.max(0, row.claimedAt.getTime() - row.createdAt.getTime());
  }

  finish(status: number, code: ErrorCode | null): void {
    if (this.#said) return;
    this.#said = true;
    const { context } = this.#req;
    this.#deps.bus.emit('inference.finished', {
      requestId: context.requestId,
      actor: context.actor?.userName ?? null,
      tokenName: context.actor?.tokenName ?? null,
      llm: this.llm.slice(0, 128),
      pool: this.pool,
      taskId: this.taskId,
      source: this.#source,
      status,
      code,
      queueMs: this.#queueMs,
      firstTokenMs: this.firstTokenMs,
      totalMs: Math.round(this.#deps.clock.elapsed() - context.startedAt),
      usage: this.#usage,
      clientRetry: retryCountOf(this.#req),
    });
  }

  failed(thrown: unknown): void {
    const error = thrown instanceof McpctlError ? thrown : new McpctlError('internal');
    this.finish(error.status, error.code);
  }
}

/** OpenAI's and Anthropic's SDKs tell: so a storm of retries can be told from real load. */
function retryCountOf(req: Request): number {
  const said = req.get('x-stainless-retry-count') ?? '';
  return /^\d{1,3}$/.test(said) ? Number(said) : 0;
}
