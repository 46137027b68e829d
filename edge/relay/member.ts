import { randomUUID } from 'node:crypto';
import { messageOf } from '../../core/errors.ts';
import { memberBody } from '../../core/translate/member-body.ts';
import type { HandBack } from '../../core/task/hand-back.ts';
import type { LlmRow } from '../../core/llm.ts';
import { backendStateOf, type MemberState } from '../../core/member/member-state.ts';
import type { Frame } from '../../core/member/protocol.ts';
import { claimTask, handBack, isRefusal, type Claimant } from '../../core/queue/task/claim.ts';
import { Consumer, type TakenJob } from '../../core/queue/jobs/consumer.ts';
import { refuse } from '../../core/queue/jobs/refuse.ts';
import { readingMs } from '../../core/runtime/time-of-bytes.ts';
import type { RelayClaims } from './claims.ts';
import type { Carried, RelayDeps } from './relay-deps.ts';
import type { Slots } from '../../core/member/slots.ts';
import { bothOpen, Switch } from '../../core/member/switch.ts';

/** Of a worker that does not say: what one of ours would take (docs/spec.md §5). */
const SLOTS = 4;

export interface RelayMember {
  llmId: string;
  name: string;
  poolKey: string;
  /** Members of one group are of one backend. */
  group: string;
  slots: Slots;
  standing: MemberState;
  gate: Switch;
  consumer: Consumer;
}

/** What a member needs of the session that it belongs to. */
export interface MemberContext {
  deps: RelayDeps;
  carried: Carried;
  claims: RelayClaims;
  /** The server holds the session, and its relay has not heard of it. */
  onHeld: () => void;
  /** @param sent is called when the connection has taken all of it. @returns false when the stream is closed. */
  send: (frame: Frame, sent?: () => void) => boolean;
}

export const groupOf = (row: LlmRow): string => row.slotGroup ?? `llm ${row.id}`;

/** As many as the most generous of its providers says. */
export function slotsOf(rows: readonly LlmRow[], group: string): number {
  const groupRows = rows.filter((row) => groupOf(row) === group);
  return Math.max(...groupRows.map((row) => row.maxConcurrency ?? (row.type === 'ollama' ? 1 : SLOTS)));
}

/** What a registration says of a member; that it rests for a moment, or is kept quiet, stays true until it says otherwise. */
export function standingOf({ status }: LlmRow, before?: MemberState): MemberState {
  if (before === 'quiet' || (status === 'active' && before === 'resting')) return before;
  return backendStateOf(status);
}

export function createMember(context: MemberContext, row: LlmRow, slots: Slots): RelayMember {
  const { deps } = context;
  const { id: llmId, name, poolKey } = row;
  const gate = new Switch();
  const consumer = new Consumer({
    fetchers: deps.fetchers,
    markers: deps.markers,
    keys: deps.keys,
    member: { llmId, poolKey },
    slots,
    gate: bothOpen(gate, deps.trusted),
    claimant: () => ({ ...claimantOf(context, llmId), owner: row.ownerId }),
    run: (job) => run(context, { llmId, name, poolKey, gate }, job),
    clock: deps.clock,
    log: deps.log,
  });
  return { llmId, name, poolKey, group: groupOf(row), slots, standing: standingOf(row), gate, consumer };
}

const claimantOf = ({ carried: { session, boot } }: MemberContext, llmId: string): Claimant => ({
  claimId: randomUUID(),
  session,
  boot,
  llmId,
  via: 'sse',
});

/** Claims a job for the member, if that was not done as it was taken, hands it down, and resolves when the claim is let go of. */
async function run(
  context: MemberContext,
  member: Pick<RelayMember, 'llmId' | 'name' | 'poolKey' | 'gate'>,
  job: TakenJob,
): Promise<void> {
  const { deps, carried, claims, onHeld, send } = context;
  const { llmId, name, poolKey, gate } = member;
  const { taskId, jobId } = job;
  // It may have been closed while the job was on its way.
  const takes = gate.isOpen();
  if (!takes && !job.early) return job.later(0);
  const store = { redis: deps.commands, keys: deps.keys };
  const by = claimantOf(context, llmId);
  const { claimId, answer } = job.early ?? { claimId: by.claimId, answer: null };
  const claimed = answer ?? (await claimTask(store, { taskId, poolKey, jobId }, { ...by, claimId }));
  if (claimed === 'held') onHeld();
  if (isRefusal(claimed))
    return await refuse({ ...store, log: deps.log }, { job, llmId, poolKey, claimId }, claimed);
  const { epoch, body, head } = claimed;
  const claim = { taskId, poolKey, claimId, epoch };
  // It never left this process: nobody's crash. Its job is the requeue's to move.
  if (!takes) return void (await handBack(store, claim, closed));
  const bytes = typeof body === 'string' ? body.length : body.bytes;
  // Nothing waits behind it on the stream, and what it takes to arrive is its worker's to say.
  const isFetched = carried.fetches && typeof body !== 'string';
  const over = new Promise<void>((resolve) => {
    const how = { free: resolve, heard: !carried.beats, readsMs: readingMs(bytes) };
    claims.hold({ claim, llmId, job, runMs: head.runMs }, { ...how, bytes: isFetched ? FRAME_BYTES : bytes });
  });
  const { operation, streaming, headers, runMs } = head;
  const request = typeof body === 'string' ? body : isFetched ? '' : await bodyAtRest(deps, taskId);
  const what = { operation, streaming, headers, request: request ?? '', runMs };
  const fetched = isFetched ? { requestBytes: bytes } : {};
  const sent = (): void => claims.sent(claimId);
  if (
    request === null ||
    !send({ kind: 'infer', taskId, claimId, llmName: name, ...what, ...fetched }, sent)
  ) {
    // It never left this process: nobody's crash.
    await handBack(store, claim, request === null ? unread : gone);
    await claims.over(claimId, { kind: 'handed back' });
  }
  await over;
}

/** What is in a frame beside a request. */
const FRAME_BYTES = 1_024;
const gone: HandBack = { counts: 'none', code: 'shutting_down', message: 'The worker was gone.' };
const closed: HandBack = { counts: 'none', code: 'shutting_down', message: 'The member takes nothing now.' };
const unread: HandBack = { counts: 'none', code: 'unavailable', message: 'Its request could not be read.' };

/** A large body, from the task's row. @returns null when it cannot be read now: the task is to go back. */
async function bodyAtRest({ registry, log }: RelayDeps, taskId: string): Promise<string | null> {
  try {
    return await memberBody(registry, taskId);
  } catch (thrown) {
    log.warn({ taskId, why: messageOf(thrown) }, 'the request of a task could not be read; it goes back');
    return null;
  }
}
