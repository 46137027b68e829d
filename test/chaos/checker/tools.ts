import { isTerminal } from '../../../core/task/task.ts';
import { grouped, type Finding } from './calls.ts';
import type { ToolEvidence } from '../lines.ts';

/** Told of a call that was given to nobody, and may be made again. */
const notRun = new Set([
  'mcp_server_down',
  'queue_timeout',
  'queue_full',
  'too_many_requests',
  'no_active_llm',
]);
/** A caller that was told these knows nothing of it. */
const untold = new Set(['cut', 'outcome_unknown', 'http 500', 'http 502', 'http 503', 'http 504']);

/** A call of a tool runs at most once, and its caller is told so where that is known. */
export function toolFaults({ calls, ran, rows, struckAt, isHarmless }: ToolEvidence): Finding[] {
  const times = grouped(ran, (label) => label);
  const count = (label: string): number => times.get(label)?.length ?? 0;
  const findings: Finding[] = [];
  for (const [label, lines] of times)
    if (lines.length > 1)
      findings.push({ rule: 'twice', says: `call ${label} was run ${String(lines.length)} times` });
  for (const { label, outcome, endedAt } of calls) {
    if (outcome === 'late')
      findings.push({ rule: 'late', says: `call ${label} was told nothing within its bound` });
    else if (outcome === 'counted' && count(label) === 0)
      findings.push({ rule: 'unearned', says: `call ${label} was told success, and never ran` });
    else if (notRun.has(outcome) && count(label) > 0)
      findings.push({ rule: 'unearned', says: `call ${label} was told ${outcome}, and has run` });
    else if (outcome === 'outcome_unknown' && (isHarmless || endedAt < struckAt))
      findings.push({
        rule: 'unknown',
        says: `call ${label} ended as ${outcome}, and nothing had failed that it needs`,
      });
    else if (outcome !== 'counted' && !notRun.has(outcome) && !untold.has(outcome))
      findings.push({ rule: 'malformed', says: `call ${label} was told ${outcome}` });
  }
  for (const { id, label, status } of rows) {
    if (!isTerminal(status))
      findings.push({ rule: 'lost', says: `task ${id} (${label}) is ${status} at the end` });
    if (status === 'completed' && count(label) === 0)
      findings.push({ rule: 'unearned', says: `task ${id} (${label}) is completed, and never ran` });
  }
  return findings;
}
