import { messageOf } from '../../../core/errors.ts';
import type { HandBack } from '../../../core/task/hand-back.ts';
import type { Outcome } from '../../../core/task/outcome.ts';
import { pause } from '../../../core/runtime/clock.ts';
import type { ClaimPort } from '../../work/claim-port.ts';
import type { AnswerDeps } from './answer.ts';

const AGAIN_MS = 500;
const FOR_MS = 30_000;

/**
 * The port of a task for an edge of the first protocol, which has no claims and no streams of answers: each piece is
 * a request of its own, one after the other, tried for half a minute. There is no fence to tell a repetition: a piece
 * whose answer was lost may be shown twice, which is better than an answer with a hole in it.
 */
export class ResultAnswer implements ClaimPort {
  readonly #deps: AnswerDeps;
  readonly #task: { taskId: string; aborting: AbortController; streaming: boolean };
  #count = 0;
  #lost = false;

  constructor(deps: AnswerDeps, task: { taskId: string; aborting: AbortController; streaming: boolean }) {
    this.#deps = deps;
    this.#task = task;
  }

  get count(): number {
    return this.#count;
  }

  beat(): Promise<boolean> {
    return Promise.resolve(!this.#lost);
  }

  async emit(events: readonly string[]): Promise<void> {
    for (const data of events) {
      if (this.#lost) return;
      this.#count += 1;
      await this.#post({ chunk: { data } });
    }
  }

  /** An edge without claims can pin none. */
  deliver(): Promise<boolean> {
    return Promise.resolve(false);
  }

  async end(outcome: Outcome): Promise<boolean> {
    return await this.#post(this.#last(outcome));
  }

  /** There is nobody to hand it back to: the edge hears why, and tells its caller. */
  async handBack({ message }: HandBack): Promise<'ok' | 'lost' | 'shown'> {
    return (await this.#post({ error: message })) ? 'ok' : 'lost';
  }

  /** Every request is a connection of its own. */
  reconnect(): void {
    return;
  }

  abandon(): void {
    this.#lost = true;
  }

  #last(outcome: Outcome): object {
    if (outcome.kind === 'completed')
      return this.#task.streaming
        ? { chunk: { data: '[DONE]', done: true } }
        : { status: outcome.status, body: jsonOf(outcome.body ?? '') };
    if (outcome.kind === 'failed' && outcome.status !== undefined && !this.#task.streaming)
      return { status: outcome.status, body: jsonOf(outcome.body ?? outcome.message) };
    return { error: outcome.message };
  }

  /** @returns false when the edge does not want it. */
  async #post(body: object): Promise<boolean> {
    const { edge, clock, log } = this.#deps;
    const { taskId, aborting } = this.#task;
    const path = `_provider-task/${encodeURIComponent(taskId)}/result`;
    for (const until = clock.elapsed() + FOR_MS; !this.#lost && clock.elapsed() < until;) {
      try {
        const { status } = await edge.post(path, body);
        if (status < 300) return true;
        if (status < 500 && status !== 429) break;
      } catch (thrown) {
        log.debug({ taskId, why: messageOf(thrown) }, 'a piece of an answer could not be told');
      }
      await pause(AGAIN_MS * (0.5 + clock.random() / 2), aborting.signal);
    }
    this.#lost = true;
    aborting.abort('lost');
    return false;
  }
}

/** An older edge takes JSON; what is none goes as text. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
