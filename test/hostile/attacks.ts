import { gzipSync } from 'node:zlib';
import { headOf, openRaw, type Raw } from './raw.ts';

/** What an attacker has: a loopback port, a token of its own, an id of a large task of its own. */
export interface Target {
  port: number;
  token: string;
  largeTask: string;
  /** A share of the whole: a short run does a part of each. */
  share: number;
  /** Aborts when the time of the attack is over. */
  over: AbortSignal;
}

/** What an attack did: bytes that it sent, requests that it made, and what it was told. */
export interface Done {
  bytes: number;
  requests: number;
}

export interface Attack {
  about: string;
  run(target: Target): Promise<Done>;
}

/** What a user may have of unread answers, and so has asked for: MCPCTL_MAX_USER_BYTES. */
const OWN_CAP_BYTES = 200_000_000;

const json = 'content-type: application/json';
const chunked = 'transfer-encoding: chunked';

/** Opens some connections, works over each, and waits until the time is over; then all are closed. */
async function over(
  target: Target,
  { count, reads = true }: { count: number; reads?: boolean },
  work: (raw: Raw) => Promise<void>,
): Promise<Done> {
  const { port, over: signal } = target;
  const some = Math.max(1, Math.round(count * target.share));
  const raws: Raw[] = [];
  await Promise.all(
    Array.from({ length: some }, async () => {
      const raw = await openRaw(port, { reads });
      raws.push(raw);
      await work(raw);
    }),
  );
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const bytes = raws.reduce((sum, raw) => sum + raw.sent(), 0);
  for (const { socket } of raws) socket.destroy();
  return { bytes, requests: some };
}

/** What sends one request with a body. */
const post =
  (target: Target, what: { path: string; body: string | Buffer; headers?: readonly string[] }) =>
  async (raw: Raw): Promise<void> => {
    const { path, body, headers = [] } = what;
    const length = `content-length: ${String(Buffer.byteLength(body))}`;
    await raw.send(headOf(`POST ${path}`, target.token, [json, length, ...headers]));
    await raw.send(Buffer.from(body));
  };

/** Of `findings`, and of our own. Each is bounded in count and time, and goes to a loopback address alone. */
export const attacks: Readonly<Record<string, Attack>> = {
  'upload-after-401': {
    about: 'uploads that go on after they were refused',
    run: (target) => {
      const piece = Buffer.alloc(64 * 1024, 0x61);
      return over(target, { count: 4 }, async (raw) => {
        await raw.send(headOf('POST /v1/chat/completions', 'wrong', [json, 'content-length: 4000000000']));
        for (let n = 0; n < 4_000 && raw.isOpen() && !target.over.aborted; n++) await raw.send(piece);
      });
    },
  },
  'one-byte-chunks-public': {
    about: 'chunks of one byte to a path that needs no token',
    run: (target) =>
      over(target, { count: 4 }, async (raw) => {
        await raw.send(headOf('POST /livez', null, [json, chunked]));
        for (let n = 0; n < 40 && raw.isOpen(); n++) await raw.send('1\r\na\r\n'.repeat(10_000));
      }),
  },
  'one-byte-chunks': {
    about: 'a body of chunks of one byte',
    run: (target) =>
      over(target, { count: 4 }, async (raw) => {
        await raw.send(headOf('POST /api/v1/tasks', target.token, [json, chunked]));
        for (let n = 0; n < 40 && raw.isOpen(); n++) await raw.send('1\r\na\r\n'.repeat(10_000));
      }),
  },
  'chunk-extensions': {
    about: 'chunks that are mostly extensions',
    run: (target) => {
      const chunk = `1;${'e'.repeat(8_000)}\r\na\r\n`;
      return over(target, { count: 4 }, async (raw) => {
        await raw.send(headOf('POST /api/v1/tasks', target.token, [json, chunked]));
        for (let n = 0; n < 2_000 && raw.isOpen(); n++) await raw.send(chunk);
      });
    },
  },
  'gzip-broken-off': {
    about: 'compressed bodies of which the end does not come',
    run: (target) => {
      const bomb = gzipSync(Buffer.alloc(44_000_000, 0x20));
      return over(target, { count: 12 }, async (raw) => {
        await raw.send(headOf('POST /api/v1/tasks', target.token, [json, 'content-encoding: gzip', chunked]));
        await raw.send(`${bomb.length.toString(16)}\r\n`);
        await raw.send(bomb.subarray(0, bomb.length - 8));
      });
    },
  },
  'gzip-bombs': {
    about: 'whole bodies that inflate to a thousand times their size',
    run: (target) => {
      const bomb = gzipSync(Buffer.alloc(44_000_000, 0x20));
      return over(
        target,
        { count: 12 },
        post(target, { path: '/api/v1/tasks', body: bomb, headers: ['content-encoding: gzip'] }),
      );
    },
  },
  pipelining: {
    about: 'thousands of requests over a connection whose answers are not read',
    run: (target) => {
      const requests = headOf('GET /api/v1/llms', target.token).repeat(1_000);
      return over(target, { count: 4, reads: false }, async (raw) => {
        for (let n = 0; n < 30 && raw.isOpen(); n++) await raw.send(requests);
      });
    },
  },
  'many-values': {
    about: 'a chat of 1.3 million empty messages',
    run: (target) =>
      over(
        target,
        { count: 2 },
        post(target, {
          path: '/v1/chat/completions',
          body: `{"model":"nobody","messages":[${'{},'.repeat(1_300_000)}{}]}`,
        }),
      ),
  },
  'many-numbers': {
    about: 'embeddings of two million token ids',
    run: (target) =>
      over(
        target,
        { count: 2 },
        post(target, {
          path: '/v1/embeddings',
          body: `{"model":"nobody","input":[${'7,'.repeat(2_000_000)}7]}`,
        }),
      ),
  },
  'unknown-keys': {
    about: 'a megabyte of keys that are none',
    run: (target) => {
      const keys = Array.from({ length: 60_000 }, (_, n) => `"nam${String(n)}":1`).join();
      return over(target, { count: 4 }, post(target, { path: '/api/v1/llms', body: `{${keys}}` }));
    },
  },
  'deep-json': {
    about: 'four million brackets',
    run: (target) =>
      over(target, { count: 2 }, post(target, { path: '/v1/chat/completions', body: '['.repeat(4_000_000) })),
  },
  'long-key': {
    about: 'one key of a megabyte, and one number of two',
    run: (target) =>
      over(target, { count: 4 }, async (raw) => {
        await post(target, { path: '/api/v1/llms', body: `{"${'name'.repeat(250_000)}":1}` })(raw);
        await post(target, {
          path: '/v1/embeddings',
          body: `{"model":"nobody","input":${'1'.repeat(2_000_000)}}`,
        })(raw);
      }),
  },
  'unread-answers': {
    about: 'one task of 8 MB read by 40 connections that do not read',
    run: (target) =>
      over(target, { count: 40, reads: false }, (raw) =>
        raw.send(headOf(`GET /api/v1/tasks/${target.largeTask}`, target.token)),
      ).then((done) => ({ ...done, bytes: done.bytes + OWN_CAP_BYTES })),
  },
  'wrong-tokens': {
    about: 'ten thousand tokens that are none',
    run: (target) =>
      over(target, { count: 20 }, async (raw) => {
        for (let n = 0; n < 500 && raw.isOpen() && !target.over.aborted; n++) {
          await raw.send(headOf('GET /api/v1/whoami', `wrong-${String(raw.socket.localPort)}-${String(n)}`));
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      }),
  },
  'kept-connections': {
    about: 'more connections than one address may have, kept and idle',
    run: (target) => over(target, { count: 2_000 }, () => Promise.resolve()),
  },
  'slow-bodies': {
    about: 'bodies of which a byte comes now and then',
    run: (target) =>
      over(target, { count: 200 }, async (raw) => {
        await raw.send(headOf('POST /api/v1/tasks', target.token, [json, 'content-length: 1000000']));
        await raw.send('{');
      }),
  },
  'long-headers': {
    about: 'headers without end',
    run: (target) =>
      over(target, { count: 20 }, async (raw) => {
        await raw.send('GET /livez HTTP/1.1\r\nhost: localhost\r\n');
        for (let n = 0; n < 100 && raw.isOpen(); n++)
          await raw.send(`x-${String(n)}: ${'h'.repeat(1_000)}\r\n`);
      }),
  },
};
