import { z } from 'zod';
import { messageOf } from '../../../core/errors.ts';
import { readSse } from '../../../core/text/sse.ts';
import type { OpenAnswer } from '../../edge-client.ts';

/** `moving`: the edge leaves, so another stream is to be opened first · `ended`: it, or the network, ended it ·
 * `silent`: not even a ping came · `asked`: we closed it. */
export type LinkEnd = 'moving' | 'ended' | 'silent' | 'asked';

/** A body of 64 MiB as JSON inside of JSON: each of its characters may become two. */
const LONGEST_FRAME_BYTES = 130 * 1024 * 1024;

/** Pings that may be missed. */
const PATIENCE = 2.5;

const helloSchema = z.object({ pingMs: z.number().min(10).max(600_000).optional() });

/** One control stream, read until it ends. */
export class Link {
  readonly #answer: OpenAnswer;
  readonly #closed = new AbortController();
  readonly #onFrame: (text: string) => void;
  /** Resolves with whether the edge has said hello. */
  readonly hello: Promise<boolean>;
  /** Resolves when it is to be left: the edge is moving, or the stream is over. */
  readonly left: Promise<LinkEnd>;
  #greet: (stands: boolean) => void = () => undefined;
  #leave: (why: LinkEnd) => void = () => undefined;
  #silence: NodeJS.Timeout | undefined;
  #pingMs: number;
  #because: string | undefined;

  constructor(answer: OpenAnswer, { pingMs, onFrame }: { pingMs: number; onFrame: (text: string) => void }) {
    this.#answer = answer;
    this.#onFrame = onFrame;
    this.#pingMs = pingMs;
    this.hello = new Promise((resolve) => (this.#greet = resolve));
    this.left = new Promise((resolve) => (this.#leave = resolve));
    void this.#read();
  }

  isOpen(): boolean {
    return !this.#closed.signal.aborted;
  }

  /** What broke it, where something did. */
  get because(): string | undefined {
    return this.#because;
  }

  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** @param because what broke it, where something did. */
  close(why: LinkEnd, because?: string): void {
    if (!this.isOpen()) return;
    this.#closed.abort();
    clearTimeout(this.#silence);
    this.#answer.close();
    this.#greet(false);
    this.#because = because;
    this.#leave(why);
  }

  async #read(): Promise<void> {
    try {
      this.#listen();
      for await (const { event, data } of readSse(this.#heard(), { most: LONGEST_FRAME_BYTES })) {
        if (event === 'hello') this.#hello(data);
        else if (event === 'moving') this.#leave('moving');
        else if (event === 'task') {
          this.#greet(true); // an older edge may begin with its first task
          this.#onFrame(data);
        }
      }
    } catch (thrown) {
      return this.close('ended', messageOf(thrown));
    }
    this.close('ended');
  }

  async *#heard(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of this.#answer.bytes) {
      this.#listen();
      yield piece;
    }
  }

  #hello(data: string): void {
    let json: unknown;
    try {
      json = JSON.parse(data);
    } catch {
      json = {}; // an edge that says no more than hello
    }
    const hello = helloSchema.safeParse(json);
    if (hello.success && hello.data.pingMs !== undefined) this.#pingMs = hello.data.pingMs;
    this.#listen();
    this.#greet(true);
  }

  /** Counts silence from now on. */
  #listen(): void {
    clearTimeout(this.#silence);
    if (this.isOpen()) this.#silence = setTimeout(() => this.close('silent'), this.#pingMs * PATIENCE);
  }
}
