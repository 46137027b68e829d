import type { Response } from 'express';
import type { Frame } from '../../core/member/protocol.ts';
import { EventWriter } from '../http/sse.ts';

/** How often the stream says something when there is nothing to say; `hello` tells it. */
export const PING_MS = 20_000;

/** What was sent last may still arrive. */
const LINGER_MS = 1_000;

/**
 * The way down to a worker: an SSE response that stays open. What is sent goes out in order, one after the other; a
 * worker that takes nothing for 30 s is dropped.
 */
export class ControlStream {
  readonly #res: Response;
  readonly #writer: EventWriter;
  #sending: Promise<void> = Promise.resolve();
  #quietSince: number | undefined;

  constructor(res: Response) {
    this.#res = res;
    this.#writer = new EventWriter(res);
  }

  get isOpen(): boolean {
    return !this.#res.destroyed && !this.#res.writableEnded;
  }

  /** Calls back once, when the worker or the network has ended it, or we have. */
  onClose(closed: () => void): void {
    if (this.#res.destroyed) closed();
    else this.#res.once('close', closed);
  }

  hello(): Promise<void> {
    return this.#send(() => this.#writer.event('hello', JSON.stringify({ pingMs: PING_MS })));
  }

  frame(frame: Frame): Promise<void> {
    return this.#send(() => this.#writer.event('task', JSON.stringify(frame)));
  }

  /** The last word: why the worker may serve no more. Resolves when the stream is closed, told or not. */
  async endWith(message: string): Promise<void> {
    const cut = setTimeout(() => this.close(), LINGER_MS);
    await this.#send(() => this.#writer.event('ended', JSON.stringify({ message })));
    clearTimeout(cut);
    this.close();
  }

  moving(): Promise<void> {
    return this.#send(() => this.#writer.event('moving', '{}'));
  }

  /** Says something if nothing was said for so long. @param now by the clock's `elapsed()`. */
  pingAfter(ms: number, now: number): void {
    this.#quietSince ??= now;
    if (now - this.#quietSince < ms) return;
    this.#quietSince = now;
    void this.#send(() => this.#writer.comment('ping'));
  }

  /** Also one whose worker takes nothing ends. */
  close(): void {
    if (!this.isOpen) return;
    this.#writer.end();
    const cut = setTimeout(() => this.#res.destroy(), LINGER_MS);
    this.#res.once('close', () => clearTimeout(cut));
    this.#res.socket?.destroySoon();
  }

  #send(write: () => Promise<void>): Promise<void> {
    this.#sending = this.#sending.then(() => (this.isOpen ? write() : undefined));
    return this.#sending;
  }
}
