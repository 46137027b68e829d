import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { scriptNames, textOf, type ScriptName } from '../../core/queue/scripts.ts';
import { standBefore } from './stand-before.ts';

/** What Redis says when it cannot, for now or for good; and a bug. */
const replies = [
  'LOADING Redis is loading the dataset in memory',
  "OOM command not allowed when used memory > 'maxmemory'.",
  "READONLY You can't write against a read only replica.",
  'ERR something that nobody has thought of',
] as const;

/** How one fails: unread; done and its answer replaced; or, a script of ours, in its middle: what it has done until then stays done. */
type How = 'unread' | 'done' | 'inside';
/** Which of its kind fail. */
const failing: ReadonlyMap<number, How> = new Map([
  [1, 'unread'],
  [2, 'inside'],
  [3, 'done'],
  [5, 'inside'],
  [6, 'unread'],
  [8, 'inside'],
  [10, 'done'],
  [11, 'inside'],
  [13, 'inside'],
]);
/** Calls of Redis in a script are failed up to this one, each time a later one. */
const DEEPEST = 8;

/** What a new connection begins with: more of it, and nothing else is ever come to. */
const first: ReadonlySet<string> = new Set(['hello', 'auth', 'client', 'info', 'ping']);

const scriptOf = new Map(
  scriptNames.map((name) => {
    const text = textOf(name);
    return [createHash('sha1').update(text).digest('hex'), { name, text }];
  }),
);

/** As over a Redis that was taught by an edge which knows no script of this name. */
export async function untaught<T>(redis: Redis, name: ScriptName, act: () => Promise<T>): Promise<T> {
  const sha = createHash('sha1').update(textOf(name)).digest('hex');
  const evalsha = redis.evalsha.bind(redis) as (...args: unknown[]) => Promise<unknown>;
  const instead = (...args: unknown[]): Promise<unknown> =>
    args[0] === sha ? Promise.reject(new Error('NOSCRIPT No matching script.')) : evalsha(...args);
  Object.assign(redis, { evalsha: instead });
  try {
    return await act();
  } finally {
    Object.assign(redis, { evalsha });
  }
}

/** The script, broken off at its nth call of Redis. */
export const brokenOff = (text: string, nth: number, error: string): string =>
  `local left = ${String(nth)}
local function call(...)
  left = left - 1
  if left == 0 then error({ err = ${JSON.stringify(error)} }) end
  return redis.call(...)
end
local function pcall_(...)
  left = left - 1
  if left == 0 then error({ err = ${JSON.stringify(error)} }) end
  return redis.pcall(...)
end
${text.replaceAll('redis.call(', 'call(').replaceAll('redis.pcall(', 'pcall_(')}`;

interface Failure {
  how: How;
  /** What is said in place of its answer. */
  reply?: string;
  /** The script that is run in place of the one that was asked for. */
  instead?: string;
}

export interface FailingRedis {
  port: number;
  /** From now on each kind of command fails now and then, in its first occurrences: our scripts in their middle, too. */
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
  let isOn = false;
  let nth = 0;
  let depth = 0;

  const fails = (words: readonly string[]): Failure | null => {
    if (!isOn) return null;
    const kind = kindOf(words);
    const count = (seen.get(kind) ?? 0) + 1;
    seen.set(kind, count);
    const how = first.has(kind) && count > 1 ? undefined : failing.get(count);
    const script = /^evalsha$/i.test(words[0] ?? '') ? scriptOf.get(words[1] ?? '') : undefined;
    if (!how || (how === 'inside' && !script)) return null;
    nth += 1;
    const error = replies[nth % replies.length] ?? '';
    const name = how === 'inside' ? `${kind}, inside` : kind;
    failed.set(name, (failed.get(name) ?? 0) + 1);
    if (how !== 'inside' || !script) return { how, reply: `-${error}\r\n` };
    depth = (depth % DEEPEST) + 1;
    return { how, instead: brokenOff(script.text, depth, error) };
  };

  const { port: own, close } = await standBefore({ host, port }, (client, upstream) => {
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
        if (fault?.instead !== undefined) upstream.write(evalOf(command, fault.instead));
        else if (fault?.how !== 'unread') upstream.write(command);
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
  return {
    port: own,
    begin: () => void (isOn = true),
    end: () => void (isOn = false),
    failed: () => failed,
    close,
  };
}

function kindOf(words: readonly string[]): string {
  const [name = '', sha = ''] = words;
  const kind = name.toLowerCase();
  return kind.startsWith('evalsha') ? `${kind} ${scriptOf.get(sha)?.name ?? sha.slice(0, 8)}` : kind;
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

/** An EVALSHA, as an EVAL of this text. */
function evalOf(command: Buffer, text: string): Buffer {
  let at = command.indexOf('\r\n');
  const count = command.subarray(0, at);
  at += 2;
  for (let n = 0; n < 2; n += 1) {
    const line = command.indexOf('\r\n', at);
    at = line + 2 + Number(command.toString('latin1', at + 1, line)) + 2;
  }
  const words = `\r\n$4\r\nEVAL\r\n$${String(Buffer.byteLength(text))}\r\n${text}\r\n`;
  return Buffer.concat([count, Buffer.from(words), command.subarray(at)]);
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
