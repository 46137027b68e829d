import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** What Redis says when it cannot, for now or for good; and a bug. */
const replies = [
  'LOADING Redis is loading the dataset in memory',
  "OOM command not allowed when used memory > 'maxmemory'.",
  "READONLY You can't write against a read only replica.",
  'ERR something that nobody has thought of',
] as const;

/** Which of its kind fail, and how: unread, or done and its answer replaced. */
const failing: ReadonlyMap<number, 'unread' | 'done'> = new Map([
  [1, 'unread'],
  [3, 'done'],
  [6, 'unread'],
  [10, 'done'],
]);

/** What a new connection begins with: more of it, and nothing else is ever come to. */
const first: ReadonlySet<string> = new Set(['hello', 'auth', 'client', 'info', 'ping']);

const folder = new URL('../../core/queue/scripts/', import.meta.url);
const scriptOf = new Map(
  readdirSync(folder).map((file) => {
    const sha = createHash('sha1')
      .update(readFileSync(new URL(file, folder)))
      .digest('hex');
    return [sha, file.replace('.lua', '')];
  }),
);

export interface FailingRedis {
  port: number;
  /** From now on each kind of command fails now and then, in its first occurrences. */
  begin(): void;
  end(): void;
  /** How often each kind was failed. */
  failed(): ReadonlyMap<string, number>;
  close(): Promise<void>;
}

/** Stands before a Redis, and makes each kind of command fail: each script is one, and each of BullMQ's. */
export async function failingRedis({ host, port }: { host: string; port: number }): Promise<FailingRedis> {
  const seen = new Map<string, number>();
  const failed = new Map<string, number>();
  const sockets = new Set<Socket>();
  let isOn = false;
  let nth = 0;

  const fails = (words: readonly string[]): { how: 'unread' | 'done'; reply: string } | null => {
    if (!isOn) return null;
    const kind = kindOf(words);
    const count = (seen.get(kind) ?? 0) + 1;
    seen.set(kind, count);
    const how = first.has(kind) && count > 1 ? undefined : failing.get(count);
    if (!how) return null;
    failed.set(kind, (failed.get(kind) ?? 0) + 1);
    nth += 1;
    return { how, reply: `-${replies[nth % replies.length] ?? ''}\r\n` };
  };

  const server = createServer((client) => {
    const upstream = connect({ host, port });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    /** Of each command in its order: what is said in place of its answer; null: the answer itself. */
    const due: { reply: string | null; comes: boolean }[] = [];
    let asked = Buffer.alloc(0);
    let answered = Buffer.alloc(0);
    let isSubscriber = false;
    const sayWhatNeedsNoAnswer = (): void => {
      while (due[0] && !due[0].comes) client.write(due.shift()?.reply ?? '');
    };
    client.on('data', (bytes: Buffer) => {
      if (isSubscriber) return void upstream.write(bytes);
      asked = Buffer.concat([asked, bytes]);
      for (let end = endOf(asked, 0); end > 0 && !isSubscriber; end = endOf(asked, 0)) {
        const command = asked.subarray(0, end);
        asked = asked.subarray(end);
        const words = wordsOf(command);
        const fault = fails(words);
        isSubscriber = !fault && /subscribe/i.test(words[0] ?? '');
        if (isSubscriber) {
          upstream.write(Buffer.concat([command, asked]));
          break;
        }
        due.push({ reply: fault?.reply ?? null, comes: fault?.how !== 'unread' });
        if (fault?.how !== 'unread') upstream.write(command);
      }
      sayWhatNeedsNoAnswer();
    });
    upstream.on('data', (bytes: Buffer) => {
      answered = Buffer.concat([answered, bytes]);
      for (let end = endOf(answered, 0); end > 0 && due.length > 0; end = endOf(answered, 0)) {
        const answer = answered.subarray(0, end);
        answered = answered.subarray(end);
        const isPushed = answer[0] === '>'.charCodeAt(0);
        client.write((isPushed ? null : due.shift()?.reply) ?? answer);
        sayWhatNeedsNoAnswer();
      }
      if (!isSubscriber || due.length > 0) return;
      client.write(answered);
      answered = Buffer.alloc(0);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    begin: () => void (isOn = true),
    end: () => void (isOn = false),
    failed: () => failed,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function kindOf(words: readonly string[]): string {
  const [name = '', sha = ''] = words;
  const kind = name.toLowerCase();
  return kind.startsWith('evalsha') ? `${kind} ${scriptOf.get(sha) ?? sha.slice(0, 8)}` : kind;
}

/** Where a RESP value ends, from `at`; -1 when it is not whole. */
function endOf(bytes: Buffer, at: number): number {
  const line = bytes.indexOf('\r\n', at);
  if (line < 0) return -1;
  const count = Number(bytes.toString('latin1', at + 1, line));
  switch (String.fromCharCode(bytes[at] ?? 0)) {
    case '$':
    case '=':
    case '!': {
      const end = count < 0 ? line + 2 : line + 2 + count + 2;
      return end <= bytes.length ? end : -1;
    }
    case '*':
    case '~':
    case '>':
      return endOfMany(bytes, line + 2, count);
    case '%':
      return endOfMany(bytes, line + 2, count * 2);
    default:
      return line + 2;
  }
}

function endOfMany(bytes: Buffer, from: number, count: number): number {
  let end = from;
  for (let n = 0; n < count && end > 0; n += 1) end = endOf(bytes, end);
  return end;
}

/** The first words of a command. */
function wordsOf(command: Buffer): string[] {
  const words: string[] = [];
  let at = command.indexOf('\r\n') + 2;
  while (words.length < 2 && at < command.length) {
    const line = command.indexOf('\r\n', at);
    const length = Number(command.toString('latin1', at + 1, line));
    words.push(command.toString('latin1', line + 2, line + 2 + length));
    at = line + 2 + length + 2;
  }
  return words;
}
