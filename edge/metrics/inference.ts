import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { ErrorCode } from '../../core/errors.ts';
import type { EventMap } from '../../core/task/events.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { tellApart } from '../../core/runtime/told-apart.ts';
import { LEFT } from '../http/context.ts';

/** OpenTelemetry's for the duration of an operation, in seconds, on to what queues and desk GPUs take. */
export const durations = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68,
  655.36,
];

/** OpenTelemetry's, for the time from one token to the next. */
const perToken = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];

/** About seventy series each. */
const MOST_LLMS = 100;
/** A name that nobody calls for so long makes room for another. */
const IDLE_MS = 3_600_000;

const outcomes = [
  'ok',
  'cancelled',
  'rejected',
  'timeout',
  'upstream_error',
  'worker_lost',
  'failed',
] as const;
const kinds = ['public', 'virtual', 'mixed', 'unknown'] as const satisfies readonly Finished['kind'][];
const types = ['input', 'output'] as const;

type Finished = EventMap['inference.finished'];

function outcomeOf({ code, status }: { code: ErrorCode | null; status: number }): (typeof outcomes)[number] {
  if (code === null && status < 400) return 'ok';
  if (code === 'task_cancelled') return 'cancelled';
  if (code === 'queue_timeout' || code === 'run_timeout' || code === 'backend_timeout') return 'timeout';
  if (code === 'worker_lost' || code === 'poison_task') return 'worker_lost';
  if (code?.startsWith('backend_') && code !== 'backend_rejected') return 'upstream_error';
  return status >= 500 && code !== 'no_active_llm' ? 'failed' : 'rejected';
}

/**
 * Counts inferences by the events of the bus: one step when a call ends and one when its task does, none per token.
 * @returns what says that a call has begun; call what that returns when it has ended.
 */
export function inferenceMetrics(registry: Registry, { bus, clock }: { bus: Bus; clock: Clock }) {
  const series = inferenceSeries(registry);
  const llmLabels = tellApart({
    most: MOST_LLMS,
    idleMs: IDLE_MS,
    clock,
    forget: (llm) => forgetLlm(series, llm),
  });
  // A name that no pool knows came from a caller, and callers may make up any number of them.
  const labelOf = (of: { pool: string | null; llm: string; actor?: string | null }): string =>
    of.pool === null ? 'unknown' : llmLabels.label(of.llm, of.actor ?? '');

  bus.on('inference.finished', (event) => {
    const { kind, status, queueMs, ttftMs, durMs, tokensOut } = event;
    const llm = labelOf(event);
    series.requests.inc({ llm, kind, outcome: outcomeOf(event) });
    if (status === 429) series.limited.inc({ llm });
    if (status === LEFT) series.left.inc({ phase: event.left ?? 'waiting' });
    if (event.clientRetry > 0) series.retries.inc({ llm });
    series.total.observe({ llm }, durMs / 1_000);
    if (queueMs !== null) series.queue.observe({ llm }, queueMs / 1_000);
    if (ttftMs === null) return;
    series.first.observe({ llm }, ttftMs / 1_000);
    if (tokensOut !== null && tokensOut > 1)
      series.each.observe({ llm }, (durMs - ttftMs) / (tokensOut - 1) / 1_000);
  });
  // By the task, not by the call: a task is settled once, however many callers heard of it, or none.
  bus.on('task.settled', ({ llm, pool, tokensIn, tokensOut }) => {
    if (tokensIn === null && tokensOut === null) return;
    const label = labelOf({ llm, pool });
    series.tokens.inc({ llm: label, type: 'input' }, tokensIn ?? 0);
    series.tokens.inc({ llm: label, type: 'output' }, tokensOut ?? 0);
  });
  const ended = (): void => series.active.dec();
  return (): (() => void) => {
    series.active.inc();
    return ended;
  };
}

type Series = ReturnType<typeof inferenceSeries>;

function inferenceSeries(registry: Registry) {
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: string[]) =>
    new Counter({ name: `mcpctl_${name}`, help, labelNames, registers });
  const histogram = (name: string, help: string, buckets = durations) =>
    new Histogram({ name: `mcpctl_inference_${name}`, help, labelNames: ['llm'], buckets, registers });
  const active = 'Inference calls under way at this edge, waiting ones too.';
  return {
    active: new Gauge({ name: 'mcpctl_inference_active', help: active, registers }),
    requests: counter(
      'inference_requests_total',
      'Inference calls that ended, also those that made no task. The llm is as asked.',
      ['llm', 'kind', 'outcome'],
    ),
    tokens: counter(
      'inference_tokens_total',
      'Tokens as backends counted them, of tasks that this edge settled.',
      ['llm', 'type'],
    ),
    limited: counter('rate_limited_total', 'Inference calls answered with 429, by a cap or by a backend.', [
      'llm',
    ]),
    retries: counter('retries_seen_total', 'Inference calls that an SDK made again, as it says.', ['llm']),
    left: counter('client_disconnects_total', 'Callers who went away before their answer was whole.', [
      'phase',
    ]),
    queue: histogram('queue_wait_seconds', 'From acceptance to the claim by a member.'),
    first: histogram('time_to_first_token_seconds', 'From a streamed call to its first event.'),
    each: histogram(
      'time_per_output_token_seconds',
      'Of a streamed answer, from its first event to its end, by output token.',
      perToken,
    ),
    total: histogram('duration_seconds', 'From the call to its end.'),
  };
}

function forgetLlm(series: Series, llm: string): void {
  for (const of of [series.queue, series.first, series.each, series.total]) of.remove({ llm });
  for (const of of [series.limited, series.retries]) of.remove({ llm });
  for (const type of types) series.tokens.remove({ llm, type });
  for (const kind of kinds) for (const outcome of outcomes) series.requests.remove({ llm, kind, outcome });
}
