import { connect, type Socket } from 'node:net';
import { McpctlError } from '../../core/errors.ts';

/** One kept HTTP/1.1 connection with one call under way: nothing but what measuring needs, so that it costs little. */
export interface Connection {
  /**
   * @param take gets the body as it comes, in pieces
   * @returns the status, when the whole answer is there
   * @throws McpctlError `bad_answer`, `timed_out`
   */
  call(request: Buffer, take: (piece: string) => void): Promise<number>;
  close(): void;
}

const WITHIN_MS = 60_000;
type State = 'head' | 'length' | 'chunkSize' | 'chunk' | 'chunkEnd';

interface Waiting {
  take: (piece: string) => void;
  done: (status: number) => void;
  fail: (error: Error) => void;
}

export async function openConnection({ hostname, port }: URL): Promise<Connection> {
  const socket = await connected(hostname, Number(port));
  let waiting: Waiting | undefined;
  const answers = createReader({
    take: (piece) => waiting?.take(piece),
    end(status) {
      const { done } = waiting ?? {};
      waiting = undefined;
      done?.(status);
    },
  });
  const fail = (why: string): void => {
    const { fail: tell } = waiting ?? {};
    waiting = undefined;
    tell?.(new McpctlError('bad_answer', why));
    socket.destroy();
  };
  socket.on('data', (piece: Buffer) => {
    if (!answers.read(piece.toString('latin1'))) fail('an answer that is not HTTP/1.1');
  });
  socket.on('error', ({ message }) => fail(message));
  socket.on('close', () => fail('the connection was closed in the middle of an answer'));
  socket.setTimeout(WITHIN_MS, () => fail(`no byte for ${String(WITHIN_MS / 1_000)} s`));
  return {
    call: (request, take) =>
      new Promise((done, reject) => {
        if (socket.destroyed) return reject(new McpctlError('bad_answer', 'the connection was closed'));
        waiting = { take, done, fail: reject };
        socket.write(request);
      }),
    close: () => socket.destroy(),
  };
}

function connected(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

interface Reader {
  /** @returns whether it was understood. */
  read(text: string): boolean;
}

/** Takes answers apart as they come, by their length or their chunks. Text is latin1: a byte is a character. */
function createReader(on: { take(piece: string): void; end(status: number): void }): Reader {
  let state: State = 'head';
  let rest = '';
  let left = 0;
  let status = 0;
  const end = (): void => {
    state = 'head';
    on.end(status);
  };
  /** @returns how far it came; `at` when more is needed; -1 when it is not HTTP. */
  const step = (text: string, at: number): number => {
    if (state === 'length' || state === 'chunk') {
      const to = Math.min(text.length, at + left);
      left -= to - at;
      if (to > at) on.take(text.slice(at, to));
      if (left === 0) {
        if (state === 'length') end();
        else state = 'chunkEnd';
      }
      return to;
    }
    const mark = state === 'head' ? '\r\n\r\n' : '\r\n';
    const to = text.indexOf(mark, at);
    if (to < 0) return at;
    const next = to + mark.length;
    if (state === 'chunkEnd') state = 'chunkSize';
    else if (state === 'chunkSize') {
      left = Number.parseInt(text.slice(at, to), 16);
      if (Number.isNaN(left)) return -1;
      if (left > 0) state = 'chunk';
      else {
        if (text.length < next + 2) return at; // no trailers are ever sent
        end();
        return next + 2;
      }
    } else {
      const head = text.slice(at, to).toLowerCase();
      if (!head.startsWith('http/1.1 ')) return -1;
      status = Number(head.slice(9, 12));
      if (/\r\ntransfer-encoding: *chunked/.test(head)) state = 'chunkSize';
      else {
        left = Number(/\r\ncontent-length: *(\d+)/.exec(head)?.[1]);
        if (Number.isNaN(left)) return -1;
        state = 'length';
        if (left === 0) end();
      }
    }
    return next;
  };
  return {
    read(piece) {
      const text = rest === '' ? piece : rest + piece;
      let at = 0;
      while (at < text.length) {
        const to = step(text, at);
        if (to < 0) return false;
        if (to === at) break;
        at = to;
      }
      rest = at < text.length ? text.slice(at) : '';
      return true;
    },
  };
}
