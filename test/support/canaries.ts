import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { answers, chats, hangs, type Script } from './backend.ts';
import { everythingStored } from './hosted.ts';
import type { Sandbox } from './sandbox.ts';

/** Words that are nowhere else, so that who finds one knows where it came from. */
export interface Canaries {
  /** Bearer tokens, keys of backends, cookies, addresses: never anywhere but where they are used. */
  secrets: Record<string, string>;
  /** What callers asked. */
  prompts: string[];
  /** What owners of agents have their agents told. */
  personas: string[];
  /** What backends said. */
  answers: string[];
  secret(what: string): string;
  prompt(phase: Phase): string;
  persona(what: string): string;
  /** A backend that answers as the phase in the prompt says, and quotes whatever it was told. */
  script: Script;
}

/** What becomes of a call. */
export type Phase = 'well' | 'paced' | 'refused' | 'failed' | 'denied' | 'crashed' | 'garbled' | 'hangs';

const word = (what: string): string => `canary-${what}-${randomBytes(9).toString('hex')}`;

export function createCanaries(): Canaries {
  const canaries: Canaries = {
    secrets: {},
    prompts: [],
    personas: [],
    answers: [],
    secret: (what) => (canaries.secrets[what] = word(what)),
    prompt(phase) {
      const text = word(phase);
      canaries.prompts.push(text);
      return text;
    },
    persona(what) {
      // Not as prompts are written: what becomes of the call is in what its caller said.
      const text = `persona-${what}-${randomBytes(9).toString('hex')}`;
      canaries.personas.push(text);
      return text;
    },
    script(exchange) {
      const { json, headers, body } = exchange.request;
      const canary = word('answer');
      canaries.answers.push(canary);
      const quoted = `${canary}: ${body} with ${String(headers.authorization)} at ${String(headers.host)}`;
      const error = { error: { message: quoted, type: 'quoting' } };
      switch (/canary-(\w+)-/.exec(JSON.stringify(json?.['messages']))?.[1] as Phase) {
        case 'well':
          return chats([canary, ' and well'])(exchange);
        case 'paced':
          return chats([canary, ' more'], { paced: true })({ ...exchange, permit: onlyOnce() });
        case 'refused':
          return answers(400, error)(exchange);
        case 'failed':
          return answers(500, error)(exchange);
        case 'denied':
          return answers(401, error)(exchange);
        case 'crashed':
          return chats([canary, ' more'], { dieAfter: 1 })(exchange);
        case 'garbled':
          return answers(200, quoted)(exchange);
        case 'hangs':
          return hangs()(exchange);
      }
    },
  };
  return canaries;
}

/** The first delta, and then nothing more, for as long as somebody waits. */
function onlyOnce(): () => Promise<boolean> {
  let first = true;
  return () => {
    const goes = first;
    first = false;
    return goes ? Promise.resolve(true) : new Promise(() => undefined);
  };
}

/** Which of these words a text holds. */
export function foundIn(text: string, words: readonly string[]): string[] {
  return words.filter((one) => text.includes(one));
}

export interface Stored {
  /** Lines `<table> <row>` of Postgres, and `<key> <value>` of Redis without the namespace. */
  postgres: string[];
  redis: string[];
}

export async function storedNow(box: Sandbox): Promise<Stored> {
  const lines = (await everythingStored(box)).split('\n');
  const prefix = `${box.namespace}:`;
  return {
    postgres: lines.filter((line) => !line.startsWith(prefix)),
    redis: lines.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length)),
  };
}

/** For how long each of these keys (without the namespace) still lives, in milliseconds; −1 = for ever. */
export async function livesOf(box: Sandbox, keys: readonly string[]): Promise<number[]> {
  const redis = new Redis(box.redisUrl);
  try {
    return await Promise.all(keys.map((key) => redis.pttl(`${box.namespace}:${key}`)));
  } finally {
    redis.disconnect();
  }
}
