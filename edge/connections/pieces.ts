import { IncomingMessage } from 'node:http';
import { GrowingBytes } from '../../core/text/growing-bytes.ts';

/**
 * After so many small pieces of one turn no more is read of their connection in it: the system has the next 64 KiB ready, and a
 * turn would be as long as what a reader has room for.
 */
const SMALL_A_TURN = 1_000;
/** What is shorter is not worth being handed over by itself: a chunk of a byte takes six, and there are ten thousand in a read. */
const SMALL_BYTES = 64;

/** A request that knows in how many pieces its body has come so far. */
interface InPieces {
  pieces: number;
}

/**
 * The requests of one application. Node's parser hands over each chunk of a body as it finds it, and lets whoever waits
 * for one run before it looks at the next: a read of 64 KiB of chunks of a byte woke its reader ten thousand times in one
 * turn of the loop. Here small pieces that came together are handed over together, when what was read has been parsed; all
 * are counted as they came.
 */
export function askedInPieces(): typeof IncomingMessage {
  return class Asked extends IncomingMessage implements InPieces {
    pieces = 0;
    #small: GrowingBytes | undefined;
    #smallInTurn = 0;

    /** As the parser calls it. @returns whether more may be read. */
    override push(piece: Uint8Array | null, encoding?: BufferEncoding): boolean {
      if (piece === null) {
        this.#handOver();
        return super.push(null);
      }
      this.pieces += 1;
      if (piece.byteLength >= SMALL_BYTES) {
        this.#handOver();
        return super.push(piece, encoding);
      }
      this.#small ??= new GrowingBytes(Infinity);
      if (this.#small.length === 0) setImmediate(() => this.#handOver());
      this.#small.append(piece);
      this.#smallInTurn += 1;
      const hasRoom = this.readableLength + this.#small.length < this.readableHighWaterMark;
      return hasRoom && this.#smallInTurn < SMALL_A_TURN;
    }

    #handOver(): void {
      this.#smallInTurn = 0;
      const small = this.#small;
      if (!small || small.length === 0) return;
      const joined = Buffer.from(small.view());
      small.clear();
      if (!this.destroyed) super.push(joined);
    }
  };
}

/** How many pieces of its body have come so far, each counted as it came. */
export const piecesOf = (req: IncomingMessage & Partial<InPieces>): number => req.pieces ?? 0;
