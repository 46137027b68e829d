import type { Response } from 'express';
import type { TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import type { Target } from '../ask/target.ts';

/** What an answer's headers tell of it. */
interface About {
  deps: Pick<EdgeDeps, 'clock'>;
  res: Response;
  row: Pick<TaskRow, 'createdAt' | 'claimedLlm'>;
  /** The pool when the task was made, and not who came later; missing where it was made by another call. */
  members?: Target['members'] | undefined;
}

/**
 * Says who answers (by id or name), how long the task waited for them, and how long all of it took. Nothing once
 * the status is out: a stream that had to be kept alive has no such headers.
 */
export function describeAnswer(
  { deps, res, row, members = [] }: About,
  { llm, claimedAt }: { llm: string; claimedAt: Date | null },
): void {
  if (res.headersSent) return;
  const member = members.find(({ id, name }) => id === llm || name === llm);
  const tookMs = Math.round(deps.clock.elapsed() - res.req.context.startedAt);
  res.set('openai-processing-ms', String(tookMs));
  if (claimedAt) {
    const queueMs = Math.max(0, claimedAt.getTime() - row.createdAt.getTime());
    res.set('x-mcpctl-queue-ms', String(queueMs));
  }
  if (member) res.set('x-mcpctl-worker', member.name).set('x-mcpctl-model', headerText(member.model));
  else if (llm !== '' && llm === row.claimedLlm) res.set('x-mcpctl-worker', headerText(llm));
}

/** Model ids are free text; a header is not. */
export function headerText(text: string): string {
  return encodeURI(text.toWellFormed()).slice(0, 512);
}
