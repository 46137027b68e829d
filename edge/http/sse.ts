import type { Response } from 'express';
import { onOneLine } from '../../core/text/json-text.ts';
import { untilTaken, type Delivery } from './delivered.ts';
import { McpctlError } from '../../core/errors.ts';
import type { Form } from '../../core/registry/database/forms.ts';
import type { Position } from '../../core/queue/task/stream.ts';

/** A longer frame is handed to the connection in pieces: one that is taken slowly is taken all the same. */
const PIECE_BYTES = 32 * 1024;

/**
 * Writes server-sent events as the strictest clients want them: `data: `, one line, two line feeds. Data is
 * always JSON on one line or `[DONE]`, so nothing that a backend sends can forge a frame.
 */
export class EventWriter {
  readonly #res: Response;
  readonly #delivery: Delivery;
  readonly #lines: boolean;

  /** @param lines each frame is a line of JSON instead, as Ollama's clients want them. */
  constructor(res: Response, delivery: Delivery = {}, lines = false) {
    this.#res = res;
    this.#delivery = delivery;
    this.#lines = lines;
  }

  get opened(): boolean {
    return this.#res.headersSent;
  }

  /** Commits to 200. After this an error can only be a frame. */
  open(): void {
    if (this.opened) return;
    this.#res.status(200).set({
      'content-type': this.#lines ? 'application/x-ndjson' : 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      // Who asked for the connection to be closed after it (HTTP/1.0 does) reads until then.
      connection: this.#res.shouldKeepAlive ? 'keep-alive' : 'close',
    });
    // With what is written in the same turn they go out in one write: each is a system call.
    const { socket } = this.#res;
    socket?.cork();
    this.#res.flushHeaders();
    process.nextTick(() => socket?.uncork());
  }

  /** One frame, with the id to go on after it where it has one. As `comment`. */
  async write(frame: string | { event?: string; data: string }, id?: string): Promise<void> {
    const parts = typeof frame === 'string' ? { data: frame } : frame;
    await this.#send(this.#lines ? lineText(parts) : frameText(parts, id));
  }

  /** Frames that are made already (`frameText`), in one piece. As `comment`. */
  async writeFrames(text: string): Promise<void> {
    await this.#send(text);
  }

  /** A frame of a named event. */
  async event(name: string, data: string): Promise<void> {
    await this.#send(`event: ${name}\ndata: ${onOneLine(data)}\n\n`);
  }

  /** A line that clients pass over. Resolves when the reader keeps up; one that takes nothing for 30 s is dropped. */
  async comment(text: string): Promise<void> {
    if (!this.#lines) await this.#send(`: ${onOneLine(text)}\n\n`);
  }

  end(): void {
    this.#res.end();
  }

  async #send(text: string): Promise<void> {
    this.open();
    if (text.length <= PIECE_BYTES) return await this.#put(text);
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length && !this.#res.destroyed; at += PIECE_BYTES)
      await this.#put(bytes.subarray(at, at + PIECE_BYTES));
  }

  async #put(piece: string | Buffer): Promise<void> {
    if (this.#res.destroyed || this.#res.writableEnded || this.#res.write(piece)) return;
    await untilTaken(this.#res, 'drain', this.#delivery);
  }
}

/** One frame, with the id to go on after it where it has one. */
export function frameText({ event, data }: { event?: string; data: string }, id?: string): string {
  const named = event === undefined ? '' : `event: ${event}\n`;
  return `${id === undefined ? '' : `id: ${id}\n`}${named}data: ${onOneLine(data)}\n\n`;
}

/** A frame as a line of JSON. */
export function lineText({ data }: { data: string }): string {
  return `${onOneLine(data)}\n`;
}

/**
 * What a frame's `id:` says: the place of its event in the task's stream, and whose event it is. Opaque to callers. It
 * says no claim where an edge of a release before may be asked to go on from it: that one refuses an id which does.
 */
export function eventIdOf({ epoch, seq, tag }: Position, form: Form): string {
  return tag && form >= 2 ? `${epoch}-${seq}-${tag}` : `${epoch}-${seq}`;
}

/** @throws McpctlError `invalid_cursor` unless it has the form of an id that a stream gives out. */
export function positionOf(id: string): Position {
  const [, epoch, seq, tag] = /^([1-9]\d{0,8})-([1-9]\d{0,14})(?:-([\da-f]{10}))?$/.exec(id) ?? [];
  if (epoch === undefined) throw new McpctlError('invalid_cursor');
  return { epoch: Number(epoch), seq: Number(seq), tag };
}
