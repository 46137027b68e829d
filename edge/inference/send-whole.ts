import type { Response } from 'express';
import type { McpctlError } from '../../core/errors.ts';
import type { Outcome } from '../../core/outcome.ts';
import type { TaskRow } from '../../core/task.ts';
import type { EdgeDeps } from '../deps.ts';
import { anthropicTypeOf } from '../error-body.ts';
import { isAnthropicDoor, isOllamaDoor, isOpenAiDoor } from '../context.ts';
import { describeAnswer, headerText } from './answer-headers.ts';
import type { Form } from './form/form.ts';
import type { Report } from './report.ts';
import { errorOfRow } from './settle.ts';
import type { Target } from './target.ts';

/** What it takes to answer in one piece. */
export interface WholeAnswering {
  deps: EdgeDeps;
  res: Response;
  report: Pick<Report, 'firstEvent' | 'settled' | 'failed' | 'finish'>;
  /** The pool when the task was made, where this call made it. */
  members?: Target['members'];
  /** How the answer looks. */
  form: Form;
}

/**
 * Answers with the whole body. A backend's own 4xx goes to the caller as it is.
 * @throws McpctlError for any other failure.
 */
export function sendWhole(a: WholeAnswering, row: TaskRow, outcome: Outcome): void {
  const error = errorOfRow(row, outcome);
  const body = 'body' in outcome ? outcome.body : undefined;
  const status = 'status' in outcome ? outcome.status : undefined;
  const refusal = error?.code === 'backend_rejected' && status !== undefined ? { status, body } : null;
  if (error && (!refusal || a.res.headersSent)) throw error;
  if (a.res.headersSent) return endKept(a, body);
  describeAnswer({ ...a, row }, { llm: row.claimedLlm ?? '', claimedAt: row.claimedAt });
  if (error && refusal) return sendRefusal(a, { row, error, ...refusal });
  a.res
    .status(status ?? 200)
    .type('application/json')
    .send(a.form.whole(body ?? ''));
  a.report.finish(status ?? 200, null);
}

/** The status and some line breaks are out already. */
function endKept({ res, report, form }: WholeAnswering, body = ''): void {
  res.end(form.whole(body));
  report.finish(200, null);
}

/** SDKs repeat these by themselves, whatever they mean. */
const repeated = new Set([408, 409]);

function sendRefusal(
  { res, report }: WholeAnswering,
  refusal: { row: TaskRow; error: McpctlError; status: number; body: string | undefined },
): void {
  const { row, error, body } = refusal;
  const ollama = isOllamaDoor(res.req);
  const v1 = ollama || isOpenAiDoor(res.req);
  const status = v1 && repeated.has(refusal.status) ? 400 : refusal.status;
  if (v1) res.set('x-should-retry', 'false');
  if (row.claimedLlm !== null) res.set('x-mcpctl-provider', headerText(row.claimedLlm));
  res
    .status(status)
    .type('application/json')
    .send(
      v1
        ? refusalText(ollama ? 'ollama' : isAnthropicDoor(res.req) ? 'anthropic' : 'openai', {
            error,
            status,
            body,
          })
        : (body ?? ''),
    );
  report.finish(status, error.code);
}

const LONGEST_SENTENCE = 1_000;

/**
 * A refusal that clients can read stays as it is. Others hide what they say where SDKs do not look (`{"error":"…"}`
 * of Ollama, `message` at the top of older vLLMs, plain text, a page): then it is put where they do.
 */
function refusalText(
  door: 'openai' | 'anthropic' | 'ollama',
  { error, status, body = '' }: { error: McpctlError; status: number; body: string | undefined },
): string {
  const said = jsonIn(body);
  const inner = typeof said['error'] === 'object' && said['error'] !== null ? said['error'] : null;
  // A member that was asked in chat refuses in chat's shape.
  if (inner && (door === 'openai' || (door === 'anthropic' && said['type'] === 'error'))) return body;
  const told = inner && 'message' in inner ? inner.message : undefined;
  const sentence = [told, said['error'], said['message'], said['detail']].find(
    (text) => typeof text === 'string',
  );
  const plain = /^\s*[<{[]/.test(body) ? '' : body.trim();
  const message = (sentence ?? (plain === '' ? error.message : plain)).slice(0, LONGEST_SENTENCE);
  if (door === 'ollama') return JSON.stringify({ error: message });
  if (door === 'anthropic')
    return JSON.stringify({ type: 'error', error: { type: anthropicTypeOf(status), message } });
  const type = 'invalid_request_error';
  return JSON.stringify({ error: { message, type, param: null, code: error.code } });
}

function jsonIn(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {}; // plain text, or a page
  }
}
