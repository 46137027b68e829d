/** Something that only one of a group may do at a time: to hold the memory of a GPU. */
export interface Taker {
  /** Another one of its group waits: ends when it has had its turn, and what it runs has ended. Never rejects. */
  makeRoom(signal: AbortSignal): Promise<boolean>;
}

/** Who of one group runs. Who asks is served in turn: as long as it starts, nobody takes its place. */
export class Turns {
  #holder: Taker | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Runs `start` once nobody else of the group runs.
   * @returns null when `signal` aborted first.
   */
  take<T>(taker: Taker, signal: AbortSignal, start: () => Promise<T>): Promise<T | null> {
    const turn = this.#last.then(async () => {
      if (this.#holder && this.#holder !== taker && !(await this.#holder.makeRoom(signal))) return null;
      if (signal.aborted) return null;
      this.#holder = taker;
      return await start();
    });
    this.#last = turn.catch(() => undefined); // told to whoever asked for it
    return turn;
  }
}

/** When one that others of its group wait for has had its turn: nobody has used it for so long, or it has run for so long. */
export interface Turn {
  /** Until its first call: whoever had it started has to hear that it serves. */
  firstMs: number;
  idleMs: number;
  longestMs: number;
}

export const usualTurn: Turn = { firstMs: 10_000, idleMs: 2_000, longestMs: 60_000 };
