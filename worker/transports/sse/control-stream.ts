import { messageOf } from '../../../core/errors.ts';
import { MOST_RUNNING, parseFrame, wireHeaders, type Frame } from '../../../core/member/protocol.ts';
import { anySignal } from '../../../core/runtime/any-signal.ts';
import { pause, type Clock } from '../../../core/runtime/clock.ts';
import type { Log } from '../../../core/runtime/log.ts';
import { Backoff } from '../../backoff.ts';
import type { EdgeClient } from '../../edge-client.ts';
import { Link, type LinkEnd } from './link.ts';

export interface ControlStreamDeps {
  edge: EdgeClient;
  session: string;
  boot: string;
  clock: Clock;
  log: Log;
  /** How often an edge pings unless its `hello` says otherwise. */
  pingMs: number;
  /** The claims that this process runs now. */
  running: () => readonly { taskId: string; claimId: string }[];
  onFrame: (frame: Frame) => void;
  /** A stream stands: say how the members are. */
  onHello: () => void;
  /** The edge does not know the session: register again, then `reopen`. */
  onGone: () => void;
  /** A stream fell silent: whatever else was open may be as dead. */
  onSilent: () => void;
}

/** A stream that stood this long was a good one: what comes after it is a first try again. */
const STEADY_MS = 5_000;
/** While the old stream still stands, the new one is tried for this often. */
const MOVING_MS = 1_000;
const HELLO_WITHIN_MS = 15_000;

/** Keeps one control stream to the edge open, for ever: how an sse worker hears of its tasks (docs/spec.md §3). */
export class ControlStream {
  readonly #deps: ControlStreamDeps;
  readonly #backoff: Backoff;
  readonly #stopping = new AbortController();
  /** The one that is read now; while moving, until the new one stands. */
  #link: Link | undefined;
  /** Undefined: nothing yet. */
  #lastWhy: string | null | undefined;
  #running: Promise<void> | undefined;
  #stood: () => void = () => undefined;
  readonly #first = new Promise<void>((resolve) => (this.#stood = resolve));

  constructor(deps: ControlStreamDeps) {
    this.#deps = deps;
    this.#backoff = new Backoff(deps.clock);
  }

  /** Begins; resolves when the first stream stands, or `withinMs` have gone by. A second call does nothing. */
  async open(withinMs: number): Promise<void> {
    if (this.#running) return;
    this.#running = this.#keepOpen();
    const stood = new AbortController();
    const over = anySignal([stood.signal, this.#stopping.signal]);
    await Promise.race([this.#first.then(() => stood.abort()), pause(withinMs, over)]);
  }

  isConnected(): boolean {
    return this.#link?.isOpen() === true;
  }

  /** Leaves the stream of now and opens another at once, as a first try: the machine slept, or registered again. */
  reopen(): void {
    this.#link?.close('asked');
    this.#backoff.reset();
  }

  /** If none stands, the next try begins now. */
  hurry(): void {
    if (!this.isConnected()) this.#backoff.reset();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#link?.close('asked');
    await this.#running;
  }

  async #keepOpen(): Promise<void> {
    const { signal } = this.#stopping;
    const { clock, log } = this.#deps;
    while (!signal.aborted) {
      const since = clock.elapsed();
      const { how, why } = await this.#live();
      if (how === 'asked') continue;
      if (how === 'moving' || clock.elapsed() - since > STEADY_MS) this.#backoff.reset();
      if (how === 'silent') this.#deps.onSilent();
      if (how === 'moving') log.debug('the edge is leaving; another stream is opened');
      else if (!signal.aborted) this.#tell(why);
      if (this.#link?.isOpen() === true) await this.#whileOld();
      else await this.#backoff.wait(signal);
    }
    this.#link?.close('asked');
  }

  /** Opens a stream and stays with it, until it is to be left or could not be opened. */
  async #live(): Promise<{ how: LinkEnd | 'refused'; why: string }> {
    const { signal } = this.#stopping;
    const opened = await this.#connect(signal);
    if (typeof opened === 'string') return { how: 'refused', why: opened };
    const old = this.#link;
    this.#link = opened;
    old?.close('asked');
    this.#tell(null);
    this.#stood();
    this.#deps.onHello();
    const how = await opened.left;
    return { how, why: how === 'silent' ? 'it fell silent' : (opened.because ?? 'it ended the stream') };
  }

  /** @returns a stream whose `hello` has come, or why there is none. */
  async #connect(signal: AbortSignal): Promise<Link | string> {
    const { edge, session, boot, running, pingMs } = this.#deps;
    const claims = running().slice(0, MOST_RUNNING);
    const closing = new AbortController();
    const within = setTimeout(() => closing.abort(), HELLO_WITHIN_MS);
    const either = anySignal([signal, closing.signal]);
    try {
      const answer = await edge.open({
        method: 'GET',
        path: '_provider-stream',
        headers: {
          accept: 'text/event-stream',
          [wireHeaders.session]: session,
          [wireHeaders.instance]: boot,
          [wireHeaders.fetches]: '1',
          ...(claims.length === 0
            ? {}
            : { [wireHeaders.running]: claims.map((c) => `${c.taskId}:${c.claimId}`).join(',') }),
        },
        signal: either,
      });
      if (answer.status !== 200) {
        answer.close();
        return this.#refused(answer.status);
      }
      const link = new Link(answer, { pingMs, onFrame: (text) => this.#hear(text) });
      either.addEventListener('abort', () => link.close('asked'), { once: true });
      return (await link.hello) ? link : 'the edge opened a stream and said nothing on it';
    } catch (thrown) {
      return messageOf(thrown);
    } finally {
      clearTimeout(within);
    }
  }

  #refused(status: number): string {
    switch (status) {
      case 404:
        this.#deps.onGone();
        return 'the edge does not know the session; registering again';
      case 409:
        this.#deps.onGone(); // a registration hears who has it
        return (
          'another running worker uses this provider session. Was the session file copied from another machine? ' +
          'Then delete it here (provider-session in MCPCTL_HOME) and start again; trying on meanwhile'
        );
      case 401:
      case 403:
        this.#deps.onGone(); // a registration hears why, and whether this worker is to stop
        return `the edge refuses the token (HTTP ${String(status)})`;
      default:
        return `the edge answered HTTP ${String(status)}`;
    }
  }

  /** The old stream still stands and carries frames: no hurry to leave it, but it will not last. */
  async #whileOld(): Promise<void> {
    const old = this.#link;
    const { clock } = this.#deps;
    const over = anySignal([this.#stopping.signal, ...(old ? [old.closed] : [])]);
    await pause(MOVING_MS * (0.25 + 0.75 * clock.random()), over);
  }

  #hear(text: string): void {
    const frame = parseFrame(text);
    if (frame) this.#deps.onFrame(frame);
    else this.#deps.log.debug('the edge said something that this worker does not know');
  }

  /** One line per change: null, it stands; else why it does not. */
  #tell(why: string | null): void {
    if (why === this.#lastWhy) return;
    const { log } = this.#deps;
    if (why === null)
      log.info(this.#lastWhy === undefined ? 'connected to the edge' : 'connected to the edge again');
    else log.warn({ why }, 'the edge is not connected; trying again');
    this.#lastWhy = why;
  }
}
