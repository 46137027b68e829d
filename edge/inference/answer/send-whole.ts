import type { Response } from 'express';
import type { Outcome } from '../../../core/task/outcome.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import { sendError } from '../../http/error-body.ts';
import { describeAnswer, headerText } from './headers.ts';
import type { Form } from '../form/form.ts';
import type { Report } from './report.ts';
import { errorOfRow } from '../follow/settle.ts';
import type { Target } from '../ask/target.ts';

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
  const error = errorOfRow(a.deps, row, { outcome });
  const body = 'body' in outcome ? outcome.body : undefined;
  const status = 'status' in outcome ? outcome.status : undefined;
  if (error && (!error.refusal || a.res.headersSent)) throw error;
  if (a.res.headersSent) return endKept(a, body);
  describeAnswer({ ...a, row }, { llm: row.claimedLlm ?? '', claimedAt: row.claimedAt });
  if (error) {
    if (row.claimedLlm !== null) a.res.set('x-mcpctl-provider', headerText(row.claimedLlm));
    return a.report.finish(sendError(a.res.req, a.res, error), error.code);
  }
  sendJson(a.res, status ?? 200, a.form.whole(body ?? ''));
  a.report.finish(status ?? 200, null);
}

/** What `send` of Express comes to here, without what it looks for: a type, an ETag, whether the caller has it already. */
function sendJson(res: Response, status: number, text: string): void {
  res.statusCode = status;
  res.setHeader('content-type', 'application/json; charset=utf-8');
  res.setHeader('content-length', Buffer.byteLength(text));
  res.end(text);
}

/** The status and some line breaks are out already. */
function endKept({ res, report, form }: WholeAnswering, body = ''): void {
  res.req.context.onlyBlanks = false;
  res.end(form.whole(body));
  report.finish(200, null);
}
