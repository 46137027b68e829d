import type { McpctlError } from '../../../core/errors.ts';
import type { TurnRow } from '../../../core/registry/threads/rows.ts';
import type { EdgeDeps } from '../../deps.ts';
import { deliveryOf } from '../../http/delivered.ts';
import { EventWriter } from '../../http/sse.ts';
import { endWithError } from '../answer/answer.ts';
import { keepWhole } from '../answer/keep-whole.ts';
import type { Call } from '../ask/call.ts';
import { callView } from '../../shown/thread-view.ts';
import type { Wishes } from '../ask/headers.ts';
import type { Form } from '../form/form.ts';

/** How often a caller may hear that its place is another. */
const NEWS_MS = 2_000;

/** Who waits. */
interface Waiting extends Pick<Call, 'res'> {
  request: Pick<Call['request'], 'streaming'>;
  wishes: Pick<Wishes, 'keepAlive'>;
}

/**
 * What a caller hears while it waits in line, as for a member: where it stands, and that the connection lives. A stream hears it
 * after 2 s and whenever that changes, and in between after so much silence; a whole answer as every whole answer does.
 */
export class LineNews {
  readonly #deps: EdgeDeps;
  readonly #waiting: Waiting;
  readonly #writer: EventWriter;
  readonly #isV1: boolean;
  readonly #newForm: () => Form;
  #form: Form | undefined;
  #lookAt: number;
  #quietFrom: number;
  #told = -1;
  #toldCalls = '';

  constructor(deps: EdgeDeps, waiting: Waiting, { isV1, form }: { isV1: boolean; form: () => Form }) {
    this.#deps = deps;
    this.#waiting = waiting;
    this.#writer = new EventWriter(waiting.res, deliveryOf(deps), form().lines);
    this.#isV1 = isV1;
    this.#newForm = form;
    this.#quietFrom = deps.clock.elapsed();
    // Clients of `/v1` may need a real status more than news.
    this.#lookAt = isV1 ? Infinity : this.#quietFrom + NEWS_MS;
  }

  async look(turn: Pick<TurnRow, 'id' | 'threadId' | 'n' | 'status' | 'serverCalls'>): Promise<void> {
    if (turn.status === 'waiting' && turn.serverCalls !== null) await this.tellCalls(turn.id);
    const { clock, config } = this.#deps;
    const { res, request, wishes } = this.#waiting;
    const keepAlive = wishes.keepAlive ?? config.sseKeepAlive;
    const now = clock.elapsed();
    const afterMs = request.streaming && !res.headersSent ? config.admissionMs : config.keepAliveMs;
    const isDue = now >= this.#quietFrom + afterMs;
    if (keepAlive === 'off' || (!isDue && now < this.#lookAt)) return;
    if (!request.streaming) {
      this.#lookAt = Infinity;
      this.#quietFrom = now;
      return keepWhole(this.#deps, { res, v1: this.#isV1, keepAlive });
    }
    const position = await this.#deps.registry.threads.before(turn.threadId, turn.n);
    if (!this.#isV1) this.#lookAt = now + NEWS_MS;
    if (!isDue && position === this.#told) return;
    this.#told = position;
    this.#quietFrom = now;
    // One that waits for results of tools stands in no line.
    const state = turn.status === 'waiting' ? { state: 'waiting' } : { state: 'queued', position };
    const frame = keepAlive === 'chunk' ? this.#formNow().keepAlive(state) : null;
    const comment = [state.state, ...('position' in state ? [state.position] : [])].join(' ');
    await (frame ? this.#writer.write(frame) : this.#writer.comment(comment));
  }

  /** What its agent has called and the server runs, where that is another than was told before. Clients of `/v1` know no such thing. */
  async tellCalls(turnId: string): Promise<void> {
    if (this.#isV1 || !this.#waiting.request.streaming) return;
    const calls = (await this.#deps.registry.threads.callsOf(turnId)).map(callView);
    const known = calls.map(({ id, taskId, status }) => [id, taskId, status].join()).join(';');
    if (known === this.#toldCalls || calls.length === 0) return;
    this.#toldCalls = known;
    this.#quietFrom = this.#deps.clock.elapsed();
    const frame = this.#formNow().keepAlive({ state: 'waiting', calls });
    if (frame) await this.#writer.write(frame);
  }

  async end(error: McpctlError): Promise<void> {
    await endWithError(this.#writer, this.#formNow().error(error));
  }

  #formNow(): Form {
    this.#form ??= this.#newForm();
    return this.#form;
  }
}
