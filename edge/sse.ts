import type { Response } from 'express';
import { pause } from '../core/runtime/clock.ts';

/** How long a reader may take nothing before it is dropped. */
const STALLED_READER_MS = 30_000;

/**
 * Writes server-sent events as the strictest clients want them: `data: `, one line, two line feeds. Data is
 * always JSON on one line or `[DONE]`, so nothing that a backend sends can forge a frame.
 */
export class EventWriter {
  readonly #res: Response;

  constructor(res: Response) {
    this.#res = res;
  }

  get opened(): boolean {
    return this.#res.headersSent;
  }

  /** Commits to 200. After this an error can only be a frame. */
  open(): void {
    if (this.opened) return;
    this.#res.status(200).set({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      connection: 'keep-alive',
    });
    this.#res.flushHeaders();
  }

  /** Resolves when the reader keeps up; one that has taken nothing for 30 s is dropped. */
  async write(...data: readonly string[]): Promise<void> {
    this.open();
    const text = data.map((d) => `data: ${onOneLine(d)}\n\n`).join('');
    if (this.#res.destroyed || this.#res.write(text)) return;
    const drained = new AbortController();
    const done = (): void => drained.abort();
    this.#res.once('drain', done).once('close', done);
    await pause(STALLED_READER_MS, drained.signal);
    this.#res.off('drain', done).off('close', done);
    if (!drained.signal.aborted) this.#res.destroy();
  }

  end(): void {
    this.#res.end();
  }
}

/** JSON needs no line breaks; a backend that sends them (pretty-printed) must not break the frame. */
function onOneLine(data: string): string {
  return /[\r\n]/.test(data) ? data.replace(/[\r\n]+/g, ' ') : data;
}
