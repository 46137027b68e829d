import { messageOf } from '../../core/errors.ts';
import { anySignal } from '../../core/runtime/any-signal.ts';
import { unreadableTask } from '../../core/task/hand-back.ts';
import { memberStateOf } from '../../core/member/member-state.ts';
import type { Frame, Heartbeat } from '../../core/member/protocol.ts';
import type { WakeResult } from '../../core/member/wake.ts';
import { atMost } from '../../core/runtime/clock.ts';
import { fetchFromEdge } from '../work/resting-body.ts';
import { execute, type ExecuteDeps } from '../work/execute.ts';
import type { EdgeClient } from '../edge-client.ts';
import { RunningClaims } from '../work/running.ts';
import { Answer } from './sse/answer.ts';
import { ResultAnswer } from './sse/result-answer.ts';
import { ControlStream } from './sse/control-stream.ts';
import { StateReport } from './sse/state-report.ts';
import { sayWake } from './sse/wake-result.ts';
import type { Ordered, ServedMember, Transport, Wake } from './transport.ts';

export interface SseTransportDeps extends ExecuteDeps {
  edge: EdgeClient;
  session: string;
  boot: string;
  graceMs: number;
  /** How often the edge pings, unless its `hello` says otherwise. Default 20 s. */
  pingMs?: number;
  /** Without it the worker has no recipes, and nothing is woken. */
  wake?: Wake;
  /** Without it the worker runs no MCP servers. */
  ordered?: Ordered | undefined;
  /** The edge does not know the session any more: register again, then `serve`. */
  onGone: () => void;
}

const PING_MS = 20_000;
/** A worker starts all the same while no edge can be reached. */
const FIRST_STREAM_MS = 10_000;
/** The slot of a task that has just ended here may be given back a moment after the edge has heard of the end. */
const SLOT_WITHIN_MS = 2_000;
const ANNOUNCE_MS = 1_000;

const unknown: WakeResult = { ok: false, message: 'Its worker does not serve it any more.' };

type Port = Answer | ResultAnswer;
type InferFrame = Extract<Frame, { kind: 'infer' }>;

/**
 * Takes tasks that an edge took on its behalf, over nothing but HTTP(S) outwards: one stream that says what to do,
 * and one request per answer. For machines that can reach the edge's port and nothing else.
 */
export class SseTransport implements Transport {
  readonly name = 'sse transport';
  readonly kind = 'sse';
  readonly #deps: SseTransportDeps;
  readonly #running = new RunningClaims();
  readonly #answers = new Set<Port>();
  /** Wakes whose outcome is not told yet: to be asked again meanwhile changes nothing. */
  readonly #waking = new Set<string>();
  readonly #stream: ControlStream;
  readonly #report: StateReport;
  #serving: readonly ServedMember[] = [];
  #leave: (() => void)[] = [];
  #leaving = false;
  /** Another process has the session. */
  #yielded = false;
  #stopped: Promise<void> | undefined;

  constructor(deps: SseTransportDeps) {
    this.#deps = deps;
    this.#report = new StateReport({ ...deps, state: () => this.#state() });
    this.#stream = new ControlStream({
      ...deps,
      pingMs: deps.pingMs ?? PING_MS,
      running: () => this.#running.claims(),
      onFrame: (frame) => this.#hear(frame),
      onHello: () => void this.#report.say(),
      onSilent: () => this.#reconnectAnswers(),
    });
  }

  /** The first time it opens the stream, and waits for it for a while. */
  async serve(members: readonly ServedMember[]): Promise<void> {
    this.#unlisten();
    this.#leave = members.map(({ gate }) => gate.onChange(() => void this.announce()));
    this.#serving = members;
    this.#yielded = false;
    if (this.#stream.isConnected()) await this.announce();
    else this.#stream.hurry();
    await this.#stream.open(FIRST_STREAM_MS);
  }

  /** Its edge gives it nothing then, whatever it would take. */
  hold(): void {
    // Said to its edge again, it would outlive the hold.
  }

  async announce(): Promise<void> {
    if (!this.#stream.isConnected()) return; // the hello of the next stream says it
    await atMost(ANNOUNCE_MS, this.#report.say());
  }

  isConnected(): boolean {
    return this.#stream.isConnected();
  }

  giveBack(llmName: string): void {
    this.#running.giveBackOf(llmName);
  }

  running(llmName: string): number {
    return this.#running.ofLlm(llmName);
  }

  /** Its stream is closed by the edge that has the other process's, or will be. */
  yieldSession(): void {
    this.#yielded = true;
    this.#running.giveBack();
  }

  /** Everything that is open may be dead: the machine slept, or is on another network. */
  reopen(): void {
    this.#reconnectAnswers();
    this.#stream.reopen();
  }

  async drain(): Promise<void> {
    this.#leaving = true;
    await this.announce();
    await this.#running.drained();
  }

  async retire(): Promise<void> {
    this.#leaving = true;
    this.#unlisten();
    this.#report.stop();
    await this.#stream.stop();
    await this.#running.drained();
  }

  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  async #stop(): Promise<void> {
    await this.#running.leaveWithin(this.#deps.graceMs, this.drain());
    this.#unlisten();
    this.#report.stop();
    for (const answer of this.#answers) answer.abandon();
    await this.#stream.stop();
  }

  #unlisten(): void {
    for (const leave of this.#leave) leave();
    this.#leave = [];
  }

  #reconnectAnswers(): void {
    for (const answer of this.#answers) answer.reconnect();
  }

  #hear(frame: Frame): void {
    switch (frame.kind) {
      case 'infer':
        return void this.#infer(frame);
      case 'unreadable':
        return void this.#giveBack(frame);
      case 'cancel':
        return this.#running.lose(frame.taskId, frame.claimId);
      case 'wake':
        return void this.#wake(frame);
      case 'server':
        return this.#deps.ordered?.(frame);
    }
  }

  /** Never throws. The request of the answer is opened at once: it is what tells the edge that we live. */
  async #infer(frame: InferFrame): Promise<void> {
    const { taskId, claimId } = frame;
    if (this.#running.has(taskId, claimId)) return; // told twice
    const earlier = this.#running.overtake(taskId);
    const aborting = new AbortController();
    const served = this.#serving.find(({ member }) => member.name === frame.llmName);
    const deps = { ...this.#deps, report: () => this.#report.say() };
    // An edge without claims has no streams of answers either.
    const answer =
      claimId === ''
        ? new ResultAnswer(deps, { taskId, aborting, streaming: frame.streaming })
        : new Answer(deps, { taskId, claimId, aborting });
    this.#answers.add(answer);
    const ended = this.#running.begin({ taskId, claimId, llmName: frame.llmName, aborting });
    try {
      await earlier;
      await this.#run(frame, { served, answer, aborting });
    } catch (thrown) {
      this.#deps.log.error({ taskId, err: thrown }, 'a run failed for a reason of ours');
    } finally {
      answer.abandon(); // a run that lost its claim has nothing more to say
      ended();
      this.#answers.delete(answer);
    }
  }

  /** Never throws. Left unanswered it would be taken for a worker that is dead. An edge without claims is never newer. */
  async #giveBack({ taskId, claimId }: Extract<Frame, { kind: 'unreadable' }>): Promise<void> {
    if (claimId === '') return;
    this.#deps.log.warn({ taskId }, 'a task could not be read; it goes to another member');
    const deps = { ...this.#deps, report: () => this.#report.say() };
    const answer = new Answer(deps, { taskId, claimId, aborting: new AbortController() });
    this.#answers.add(answer);
    try {
      await answer.handBack(unreadableTask);
    } catch (thrown) {
      this.#deps.log.error({ taskId, err: thrown }, 'a task could not be given back for a reason of ours');
    } finally {
      answer.abandon();
      this.#answers.delete(answer);
    }
  }

  async #run(
    frame: InferFrame,
    {
      served,
      answer,
      aborting,
    }: { served: ServedMember | undefined; answer: Port; aborting: AbortController },
  ): Promise<void> {
    if (!served || this.#leaving || this.#yielded || !served.gate.isOpen())
      return await this.#refuse(answer, frame);
    const { member, gate, slots } = served;
    const within = anySignal([aborting.signal, AbortSignal.timeout(SLOT_WITHIN_MS)]);
    const release = await slots.take(within);
    if (!release) return await this.#refuse(answer, frame);
    try {
      const { taskId, claimId, request, requestBytes: bytes, ...head } = frame;
      const { edge, session } = this.#deps;
      const body =
        bytes === undefined
          ? request
          : (signal: AbortSignal) => fetchFromEdge(edge)({ taskId, claimId, session, bytes }, signal);
      const claim = { taskId, claimId, body, head, port: answer, aborting };
      await execute(this.#deps, { member, gate, claim });
    } finally {
      release();
    }
  }

  /** It came while the gate was being closed: somebody else may have it, and nothing is held against anybody. */
  async #refuse(answer: Port, { taskId, llmName }: InferFrame): Promise<void> {
    this.#deps.log.debug({ taskId, llm: llmName }, 'a task came that cannot be taken now; it goes back');
    const message = 'The worker takes no task for this llm now.';
    await answer.handBack({ counts: 'none', code: 'shutting_down', message });
  }

  async #wake({ wakeId, llmName }: Extract<Frame, { kind: 'wake' }>): Promise<void> {
    const { wake, log } = this.#deps;
    if (!wake || this.#waking.has(wakeId)) return;
    this.#waking.add(wakeId);
    try {
      const isServed = this.#serving.some(({ member }) => member.name === llmName);
      const result = isServed ? await wake(llmName) : unknown;
      await sayWake(this.#deps, { wakeId, result });
    } catch (thrown) {
      log.warn({ llm: llmName, why: messageOf(thrown) }, 'a wake failed for a reason of ours');
    } finally {
      this.#waking.delete(wakeId);
    }
  }

  #state(): Omit<Heartbeat, 'providerSessionId'> {
    const paused = this.#serving.length > 0 && this.#serving.every(({ gate }) => gate.state === 'paused');
    const resting = this.#serving.flatMap(({ member, gate }) =>
      gate.restsMs === undefined ? [] : [[member.name, gate.restsMs] as const],
    );
    return {
      state: this.#leaving || paused ? 'draining' : 'serving',
      members: Object.fromEntries(
        this.#serving.map(({ member, gate }) => [member.name, memberStateOf(gate.state)]),
      ),
      ...(resting.length > 0 && { rests: Object.fromEntries(resting) }),
    };
  }
}
