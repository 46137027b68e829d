import { Duplex } from 'node:stream';
import { expect } from 'chai';
import { joinWrites } from '../../core/queue/line/join-writes.ts';

/** Takes what it is given, and how many pieces came in each write. */
class Taken extends Duplex {
  readonly writes: string[][] = [];
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes.push([chunk.toString()]);
    done();
  }
  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.writes.push(chunks.map(({ chunk }) => chunk.toString()));
    done();
  }
  override _read(): void {
    // nothing comes from here
  }
}

describe('writes that are joined', () => {
  it('are one for a turn, those of its promises too, in order', async () => {
    const socket = new Taken();
    joinWrites(socket);
    const turn = (what: string): Promise<void> =>
      new Promise((resolve) => {
        setImmediate(() => {
          socket.write(`${what}1`);
          void Promise.resolve().then(() => socket.write(`${what}2`));
          resolve();
        });
      });
    await turn('a');
    await turn('b');
    await turn('c');
    await new Promise((resolve) => setImmediate(resolve)); // the end of its turn
    expect(socket.writes.flat()).to.deep.equal(['a1', 'a2', 'b1', 'b2', 'c1', 'c2']);
    expect(socket.writes.length).to.equal(3);
  });
});
