import { expect } from 'chai';
import { cancelled, closeTask } from '../../../core/flow/end/cancel.ts';
import { settleTask } from '../../../core/flow/end/settle.ts';
import { beat, claimTask, isRefusal, endClaim, handBack } from '../../../core/queue/task/claim.ts';
import { isSameAttempt, type Attempt } from '../../../core/queue/task/attempt.ts';
import { show } from '../../../core/queue/task/fence.ts';
import { runScript } from '../../../core/queue/scripts.ts';
import { readPage, type Entry, type Position } from '../../../core/queue/task/stream.ts';
import { createEpochDuty } from '../../../scheduler/duties/epoch.ts';
import { createExpireDuty } from '../../../scheduler/duties/expire.ts';
import { createHandBackDuty } from '../../../scheduler/duties/hand-back.ts';
import { createReapDuty } from '../../../scheduler/duties/reap.ts';
import { createReconcileDuty, type Reconcile } from '../../../scheduler/duties/reconcile.ts';
import { createSettleDuty } from '../../../scheduler/duties/settle.ts';
import { submissionOf } from '../../support/tasks.ts';
import type { Moment } from '../../support/turn-back.ts';
import { POOL, SESSION, type House, type Taken } from './house.ts';
import { Observer } from './observer.ts';
import { until, type Held, type Stop, type Tools } from './stoppable.ts';
import type { TaskRow } from '../../../core/task/task.ts';

export const duties = {
  reap: createReapDuty,
  'hand-back': createHandBackDuty,
  settle: createSettleDuty,
  reconcile: createReconcileDuty,
  expire: createExpireDuty,
};
export type DutyName = keyof typeof duties;

/** A worker's run of a task. */
interface Run {
  job: Taken;
  token: string;
  member: string;
  taskId: string;
  claimId: string;
  epoch: number;
  sent: number;
  /** It was told that its claim is over; as a zombie it may go on nevertheless. */
  lost: boolean;
  handedBack: boolean;
}

/** Who waits for a task, at an edge. */
interface Caller {
  taskId: string;
  at: Position;
  shows: Attempt | null;
  claim: string;
  got: number;
  over: boolean;
}

const signal = new AbortController().signal;
const mendingOf = ({ runAll: run, renew }: Reconcile) => ({ run, renew });
const OK = { kind: 'completed', status: 200, finishReason: 'stop' } as const;

/** One history: edges, workers and leaders do their work, each up to where it is stopped. */
export class Play {
  readonly #house: House;
  readonly #sees: Observer;
  readonly #paused: Held[] = [];
  readonly #silent = new Set<string>();
  readonly tasks: string[] = [];
  readonly callers: Caller[] = [];
  runs: Run[] = [];
  #names = 0;
  /** What Redis may go back to. */
  #kept: Moment | null = null;
  /** No leader has been through this Redis yet: members of their own claim nothing there (core/queue/live/generation.ts). */
  #isDistrusted = false;

  constructor(house: House) {
    this.#house = house;
    this.#sees = new Observer(house);
  }

  look(): Promise<void> {
    return this.#sees.look(this.tasks);
  }

  async #do(stop: Stop | null, work: (tools: Tools) => Promise<unknown>): Promise<void> {
    const paused = await until(this.#house.tools, stop, work);
    if (paused) this.#paused.push(paused);
  }

  async letGo(which: number): Promise<void> {
    const [paused] = this.#paused.splice(which % Math.max(1, this.#paused.length), 1);
    await paused?.letGo();
  }

  async submit(source: TaskRow['source'], stop: Stop | null): Promise<void> {
    const task = this.#house.newTask(source);
    await this.#house.registry.tasks.insert(task);
    this.tasks.push(task.id);
    this.callers.push({
      taskId: task.id,
      at: { epoch: 0, seq: 0 },
      shows: null,
      claim: '',
      got: 0,
      over: false,
    });
    await this.#do(stop, ({ queue }) => queue.dispatch.enqueue(submissionOf(task)));
  }

  async take(member: number): Promise<void> {
    const at = member % this.#house.members.length;
    const token = `token ${(this.#names += 1)}`;
    const job = await this.#house.fetchers[at]?.getNextJob(token, { block: false });
    const llm = this.#house.members[at];
    if (!job || llm === undefined) return;
    const claimId = `claim-${this.#names}`;
    const begun = { epoch: 0, sent: 0, lost: false, handedBack: false };
    this.runs.push({ job, token, member: llm, taskId: job.data.T, claimId, ...begun });
  }

  async claim(run: Run): Promise<void> {
    if (run.epoch !== 0 || run.lost || this.#isDistrusted) return;
    const by = { claimId: run.claimId, session: SESSION, boot: 'b1', llmId: run.member };
    const ref = { taskId: run.taskId, poolKey: POOL, jobId: run.job.id ?? '' };
    const answer = await claimTask(this.#house.queue, ref, by);
    if (typeof answer === 'string') await this.#done(run);
    else if (isRefusal(answer))
      this.#forget(run); // put aside, and not put back: a lost job
    else {
      run.epoch = answer.epoch;
      this.#sees.claimed(run.taskId, { claim: run.claimId, epoch: run.epoch });
    }
  }

  /** @param again the last one once more: its answer was lost. */
  async emit(run: Run, again = false): Promise<void> {
    if (run.epoch === 0) return;
    const { fence, stream, channel } = this.#house.queue.keys.pool(POOL).task(run.taskId);
    const n = again ? Math.max(1, run.sent) : run.sent + 1;
    const data = `${run.taskId} ${run.claimId} ${n}`;
    const args = [run.claimId, n, 60_000, 1_000_000, channel, 1, data];
    const answer = await runScript(this.#house.queue.redis, 'emit', { keys: [fence, stream], args });
    this.#heard(run, answer === 1);
    if (answer === 1) run.sent = n;
  }

  async end(run: Run, twice: boolean): Promise<void> {
    if (run.epoch === 0) return;
    const ref = { taskId: run.taskId, poolKey: POOL, claimId: run.claimId, events: run.sent };
    const deps = { ...this.#house.queue, eventKeepMs: 60_000 };
    const isCurrent = await endClaim(deps, ref, OK);
    this.#heard(run, isCurrent);
    if (twice) expect(await endClaim(deps, ref, OK), 'an end that is sent twice').to.equal(isCurrent);
    if (isCurrent) await this.#done(run);
  }

  async handBack(run: Run, counts: 'attempt' | 'none'): Promise<void> {
    if (run.epoch === 0) return;
    const claim = { taskId: run.taskId, poolKey: POOL, claimId: run.claimId, epoch: run.epoch };
    const why = { counts, code: 'backend_error', message: 'It broke.' };
    const answer = await handBack(this.#house.queue, claim, why);
    if (answer === 'ok' && run.handedBack) return; // said again it opens nothing
    this.#heard(run, answer !== 'lost');
    if (answer === 'ok') run.lost = run.handedBack = true; // whatever it still says is a zombie's
  }

  async beat(run: Run): Promise<void> {
    if (run.epoch === 0) return;
    const claim = { taskId: run.taskId, poolKey: POOL, claimId: run.claimId, epoch: run.epoch };
    const alive = await beat(this.#house.queue, claim);
    this.#heard(run, alive);
    if (!alive) await this.#done(run);
  }

  kill(run: Run): void {
    this.#forget(run);
    this.#silent.add(run.taskId);
  }

  /** Its beats do not arrive, but it goes on. */
  mute(run: Run): void {
    this.#silent.add(run.taskId);
  }

  #heard(run: Run, taken: boolean): void {
    if (taken) this.#sees.spoke(run.taskId, { wasLost: run.lost });
    else run.lost = true;
  }

  async #done(run: Run): Promise<void> {
    await run.job.moveToCompleted(null, run.token, false).catch(() => undefined); // somebody else's by now
    this.#forget(run);
  }

  #forget(run: Run): void {
    this.runs = this.runs.filter((r) => r !== run);
  }

  /** Its edge reads one entry and does what edge/inference/answer/answer.ts does. */
  async hear(caller: Caller): Promise<void> {
    const { redis, keys } = this.#house.queue;
    const { stream } = keys.pool(POOL).task(caller.taskId);
    const [entry] = (await readPage(redis, stream, caller.at)).entries;
    if (!entry || caller.over) return;
    const { epoch, seq, tag } = entry;
    caller.at = { epoch, seq };
    if (entry.kind === 'events')
      for (const data of entry.data) await this.#write(caller, { epoch, tag }, data);
    else if (entry.kind === 'end') await this.#tellEnd(caller, entry);
    else caller.over = true;
  }

  async #write(c: Caller, attempt: Attempt, data: string): Promise<void> {
    const { redis, keys } = this.#house.queue;
    const ref = { taskId: c.taskId, poolKey: POOL };
    if (c.over) return;
    if (!c.shows && (await show(redis, keys, { ref, attempt }))) c.shows = attempt;
    if (!c.shows) return;
    if (!isSameAttempt(c.shows, attempt)) return void (c.over = true);
    const [, claim = '', n] = data.split(' ');
    if (c.got > 0) expect(claim, 'I7: one claim in an answer').to.equal(c.claim);
    expect(Number(n), 'I7: every event once').to.equal(c.got + 1);
    this.#sees.shown(c.taskId, claim);
    Object.assign(c, { claim, got: c.got + 1 });
  }

  async #tellEnd(c: Caller, end: Extract<Entry, { kind: 'end' }>): Promise<void> {
    const { ending } = end;
    const task = { id: c.taskId, poolName: POOL, turnId: null };
    const row = await settleTask(this.#house.flow(this.#house.tools, 'edge'), task, ending);
    c.over = true;
    if (row.status !== 'completed' || row.claimId !== ending.claim) return;
    if (c.got > 0 && c.shows && isSameAttempt(c.shows, end))
      expect(ending.claim, 'I7: an answer ends with its own end').to.equal(c.claim);
    this.#sees.toldCompleted(c.taskId, ending.claim);
  }

  async cancel(taskId: string, stop: Stop | null): Promise<void> {
    await this.#do(stop, async (tools) => {
      const row = await tools.registry.tasks.byId(taskId);
      if (!row || row.status !== 'pending') return;
      const closed = await closeTask(this.#house.flow(tools, 'edge'), row, cancelled);
      const { redis, keys } = this.#house.queue;
      const state = await redis.hget(keys.pool(POOL).task(taskId).fence, 'state');
      if (typeof closed === 'object' && state === 'closed') this.#sees.closed(taskId);
    });
  }

  async duty(name: DutyName, stop: Stop | null): Promise<void> {
    await this.#house.age([...this.#silent]);
    this.#silent.clear();
    await this.#do(stop, (tools) => duties[name](this.#house.dutyDeps(tools)).run(signal));
  }

  /** The time to wait of a task is over, and the duty looks. */
  async expire(taskId: string, stop: Stop | null): Promise<void> {
    const late = `update tasks set queue_deadline = now() - interval '1 minute' where id = ?`;
    await this.#house.connection.db.raw(late, [taskId]);
    await this.duty('expire', stop);
  }

  /** BullMQ gives a job out once more. */
  async lapse(): Promise<void> {
    const { redis, keys } = this.#house.queue;
    const prefix = `${keys.namespace}:${keys.pool(POOL).queue()}`;
    await redis.rpoplpush(`${prefix}:active`, `${prefix}:wait`);
  }

  async loseRedis(): Promise<void> {
    await this.#house.loseRedis();
    await this.#house.present();
    this.#sees.redisLost();
  }

  async remember(): Promise<void> {
    this.#kept ??= await this.#house.remember();
  }

  /** Redis is again as it was at an earlier moment, if there was one. */
  async loseTail(): Promise<void> {
    if (!this.#kept) return;
    await this.#house.loseTail(this.#kept);
    this.#kept = null;
    this.#isDistrusted = true;
    // A claim that was told it is over may be the one that its task has.
    for (const run of this.runs) run.lost = run.handedBack = false;
    this.#sees.redisLost();
  }

  /** The leader looks whether Redis is the one that it was, and goes through it if not. */
  async notice(stop: Stop | null): Promise<void> {
    await this.#house.age([...this.#silent]);
    this.#silent.clear();
    await this.#do(stop, async (tools) => {
      const deps = this.#house.dutyDeps(tools);
      await createEpochDuty(deps, mendingOf(createReconcileDuty(deps))).run(signal);
      this.#isDistrusted = false;
    });
  }

  /** Faults stop: what is held up goes on, and everybody works until nothing is open. @returns how many rounds. */
  async calmDown(): Promise<number> {
    while (this.#paused.length > 0) await this.letGo(0);
    await this.#house.present();
    for (let round = 1; ; round++) {
      await this.#round(round);
      await this.look();
      const open = await this.#house.registry.tasks.openAmong(this.tasks);
      if (open.size === 0) return round;
      expect(round, `I5: open for ever: ${[...open].join()}`).to.be.lessThan(16);
    }
  }

  async #round(round: number): Promise<void> {
    await this.notice(null);
    for (const run of [...this.runs]) await this.beat(run);
    for (const run of [...this.runs]) await this.claim(run);
    for (const run of [...this.runs]) {
      await this.emit(run);
      await this.end(run, false);
    }
    for (const caller of this.callers) for (let n = 0; n < 4; n++) await this.hear(caller);
    for (const name of ['reap', 'hand-back', 'settle', 'reconcile'] as const) await this.duty(name, null);
    for (let n = 0; n < 4; n++) await this.take(round + n);
  }

  /** All of it once more changes nothing. */
  async again(): Promise<void> {
    for (const name of ['reap', 'hand-back', 'settle', 'reconcile'] as const) {
      await this.#house.age();
      const did = await duties[name](this.#house.dutyDeps(this.#house.tools)).run(signal);
      expect(did, `I6: ${name} when all is done`).to.equal(0);
    }
  }
}
