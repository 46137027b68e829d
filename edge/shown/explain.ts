import { seesCallee, type Actor } from '../../core/access.ts';
import type { Candidate, ExplainView } from '../../core/task/explain.ts';
import type { LiveLlm, LivePool } from '../../core/flow/alive/liveness.ts';
import type { Hold, TaskOperation } from '../../core/llm.ts';
import { unfitFor, type Needs } from '../../core/member/fit.ts';
import type { TaskView } from '../../core/task/task.ts';
import { restsMsOf, seenOf } from './llm-view.ts';

type Verdict = Omit<Candidate, 'name'>;

const whyAway: Readonly<Record<string, string>> = {
  publisher_gone: 'Its worker is gone.',
  backend_down: 'Its backend does not answer its worker.',
  unpublished: 'Its worker publishes it no more.',
  denied: 'It was put out of the pool.',
};

const whyHeld: Readonly<Record<Hold, string>> = {
  paused: 'Its worker is paused here, and takes nothing new until it is resumed (mcpctl worker resume).',
  draining: 'Its worker is drained here, and takes nothing new until it is resumed (mcpctl worker resume).',
};

/** How a member stands now, for who would ask it next. */
function standing(member: LiveLlm): Verdict {
  const { status, inactiveReason, misconfigured, statusReason, announced, row } = member;
  if (misconfigured !== null) return { verdict: 'excluded', reason: misconfigured };
  const isDraining = announced.length > 0 && announced.every(({ state }) => state === 'draining');
  if (status === 'hibernating' && !(isDraining && statusReason !== null))
    return {
      verdict: 'waking',
      reason: `It sleeps, and is woken when nobody else serves.${statusReason === null ? '' : ` ${statusReason}`}`,
    };
  if (status === 'inactive') {
    const reason = whyAway[inactiveReason ?? ''] ?? 'It does not serve now.';
    return { verdict: 'away', reason };
  }
  if (row.hold !== null) return { verdict: 'away', reason: whyHeld[row.hold] };
  if (announced.length === 0) {
    const who =
      row.kind === 'public'
        ? 'No hosted worker serves it.'
        : 'Its worker has not said for some seconds that it serves.';
    return { verdict: 'away', reason: who };
  }
  if (isDraining)
    return {
      verdict: 'away',
      reason: statusReason ?? 'Its worker takes nothing new: it is paused, or stops.',
    };
  const restsMs = restsMsOf(member);
  if (restsMs > 0) {
    const s = String(Math.ceil(restsMs / 1_000));
    return { verdict: 'busy', reason: `It rests for ${s} s more: it has just failed a task.` };
  }
  const slots = announced.reduce((all, one) => all + one.slots, 0);
  const running = announced.reduce((all, one) => all + one.running, 0);
  const free = slots - running;
  if (free > 0) return { verdict: 'ready', reason: `${String(free)} of ${String(slots)} slots are free.` };
  return { verdict: 'busy', reason: `All of its ${String(slots)} slots run something.` };
}

const cannot: Readonly<Record<string, string>> = {
  operation: 'Its backend does not serve this kind of call.',
  tokenIds: 'Its backend takes no token ids.',
  tools: 'Its model cannot use tools.',
  vision: 'Its model cannot see pictures.',
  prefill: 'Its backend begins another answer, in place of going on with one.',
  room: 'It has no room for so long a text.',
};

/** @param ways as the request is, and as what it may be translated to; none: whatever it is. */
const fitted = (member: LiveLlm, ways: readonly Needs[]): Verdict => {
  const unfit = ways.map((needs) => unfitFor(member.row.capabilities, needs));
  const [why] = unfit;
  if (!why || unfit.includes(null)) return standing(member);
  return { verdict: 'excluded', reason: cannot[why] ?? 'It cannot do this.' };
};

/** Of a task that was made: chat stands in for what is translated to it (docs/translation.md). */
const waysOf = (operation: TaskOperation): readonly Needs[] =>
  operation === 'mcp'
    ? []
    : [operation, 'chat' as const].map((one) => ({
        ...{ operation: one, tools: false, vision: false, tokenIds: false, aboutTokens: 0 },
      }));

/** Who sees no more of a pool than one llm is not told whether there are others. */
const hiddenOf = ({ key, members }: LivePool, actor: Actor, seen: readonly LiveLlm[]): string =>
  members.length > seen.length && seesCallee(actor, { poolKey: key, llm: null })
    ? ` ${String(members.length - seen.length)} more may not be seen by you.`
    : '';

/** Who has left the pool and takes what waits in it; nothing that is asked anew. @param pin of a task that is for one of them. */
const drainersOf = ({ former }: LivePool, actor: Actor, pin: string | null): Candidate[] =>
  seenOf(actor, former)
    .filter(({ row, announced }) => announced.length > 0 && (pin === null || row.id === pin))
    .map((member) => ({
      name: member.row.name,
      verdict: 'drains',
      reason: `It has left this pool, and takes what was asked here before. ${standing(member).reason}`,
    }));

/** Who of a pool would take a call now. @param ways what the call asks of a member, in one of them. */
export function explainPool(pool: LivePool, actor: Actor, ways: readonly Needs[] = []): ExplainView {
  const seen = seenOf(actor, pool.members);
  const drainers = drainersOf(pool, actor, null);
  const candidates = seen.map((member) => ({ name: member.row.name, ...fitted(member, ways) }));
  const count = (verdict: Candidate['verdict']): number =>
    candidates.filter((one) => one.verdict === verdict).length;
  const ready = count('ready');
  const summary =
    ready > 0
      ? `${String(ready)} of ${String(candidates.length)} would take a call at once; who asks for work first gets it.`
      : count('busy') > 0
        ? 'All that serve are busy: a call waits in the queue.'
        : count('waking') > 0
          ? 'Nobody serves now: a call wakes one that sleeps, and waits for it.'
          : count('excluded') > 0 && count('excluded') === pool.members.length
            ? 'Nobody can do this: it would be refused.'
            : 'Nobody serves it now: a call waits until somebody does, or its time is over.';
  const left =
    drainers.length === 0 ? '' : ` ${String(drainers.length)} that left it still take what waited before.`;
  return { summary: summary + left + hiddenOf(pool, actor, seen), candidates: [...candidates, ...drainers] };
}

/** Who of its pool has, had, or would take a task. */
export function explainTask(
  pool: LivePool,
  task: Pick<TaskView, 'claimedLlm' | 'attemptLog' | 'status' | 'operation' | 'completedAt'>,
  { actor, pinned }: { actor: Actor; pinned: string | null },
): ExplainView {
  const seen = seenOf(actor, pool.members);
  const chosen = task.claimedLlm;
  const lost = new Map((task.attemptLog ?? []).map((attempt) => [attempt.llm, attempt]));
  // Who has left may have taken it, too.
  const takers = [...seen, ...seenOf(actor, pool.former).filter(({ row }) => row.name === chosen)];
  const drainers = task.status === 'pending' ? drainersOf(pool, actor, pinned) : [];
  const candidates = takers.map((member): Candidate => {
    const { name } = member.row;
    const attempt = lost.get(name);
    if (name === chosen) {
      const when = task.completedAt === null ? 'has it' : 'answered it';
      return { name, verdict: 'chosen', reason: `It ${when}: it asked for work first with a free slot.` };
    }
    if (pinned !== null && member.row.id !== pinned)
      return { name, verdict: 'excluded', reason: 'The call was for one member, and this is another.' };
    if (attempt)
      return {
        name,
        verdict: 'failed',
        reason: `Attempt ${String(attempt.n)} ended with ${attempt.reason}.`,
      };
    return { name, ...fitted(member, waysOf(task.operation)) };
  });
  const { status } = task;
  const waits = status === 'pending' ? explainPool(pool, actor).summary : '';
  const ended =
    chosen === null
      ? `No member has it: it is ${status}.`
      : `${chosen} was chosen; the others are as they stand now.`;
  return {
    summary: waits === '' ? ended + hiddenOf(pool, actor, seen) : waits,
    candidates: [...candidates, ...drainers],
  };
}
