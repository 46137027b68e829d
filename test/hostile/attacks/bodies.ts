import { gzipSync } from 'node:zlib';
import { chunked, inPieces, json, overConnections, posts, type Attack } from '../attack.ts';
import { headOf } from '../raw.ts';
import { attackersProject } from './calls.ts';

const SPACES_BYTES = 44_000_000;

/** Bodies of a chunked request whose chunks are all `chunk`. */
const chunks =
  (head: string, { chunk, times, each }: { chunk: string; times: number; each: number }) =>
  (target: Parameters<Attack['prepare']>[0]): ReturnType<Attack['prepare']> => {
    const piece = Buffer.from(chunk.repeat(each));
    return overConnections(target, { count: 4 }, async (line) => {
      await line.send(headOf(head, head.endsWith('/livez') ? null : target.token, [json, chunked]));
      for (let n = 0; n < times && line.isOn(); n++) await inPieces(line, piece);
    });
  };

/** What bodies are made of, so that few bytes are much work. */
export const bodies: Readonly<Record<string, Attack>> = {
  'upload-after-401': {
    about: 'uploads that go on after they were refused',
    prepare: (target) => {
      const piece = Buffer.alloc(64 * 1024, 0x61);
      return overConnections(target, { count: 4 }, async (line) => {
        await line.send(headOf('POST /v1/chat/completions', 'wrong', [json, 'content-length: 4000000000']));
        for (let n = 0; n < 4_000 && line.isOn(); n++) await line.send(piece);
      });
    },
  },
  'one-byte-chunks-public': {
    about: 'chunks of one byte to a path that needs no token',
    prepare: chunks('POST /livez', { chunk: '1\r\na\r\n', each: 10_000, times: 40 }),
  },
  'one-byte-chunks': {
    about: 'a body of chunks of one byte',
    prepare: chunks('POST /api/v1/tasks', { chunk: '1\r\na\r\n', each: 10_000, times: 40 }),
  },
  'small-chunks': {
    about: 'a body of chunks of eight bytes',
    prepare: chunks('POST /api/v1/tasks', { chunk: '8\r\naaaaaaaa\r\n', each: 5_000, times: 40 }),
  },
  'chunk-extensions': {
    about: 'chunks that are mostly extensions',
    prepare: chunks('POST /api/v1/tasks', {
      chunk: `1;${'e'.repeat(8_000)}\r\na\r\n`,
      each: 1,
      times: 2_000,
    }),
  },
  'gzip-broken-off': {
    about: 'compressed bodies of which the end does not come',
    prepare: (target) => {
      const bomb = gzipSync(Buffer.alloc(SPACES_BYTES, 0x20));
      return overConnections(target, { count: 12 }, async (line) => {
        await line.send(
          headOf('POST /api/v1/tasks', target.token, [json, 'content-encoding: gzip', chunked]),
        );
        await line.send(`${bomb.length.toString(16)}\r\n`);
        await line.send(bomb.subarray(0, bomb.length - 8));
      });
    },
  },
  'gzip-bombs': {
    about: 'whole bodies that inflate to a thousand times their size',
    prepare: posts(12, () => [
      {
        path: '/api/v1/tasks',
        body: gzipSync(Buffer.alloc(SPACES_BYTES, 0x20)),
        headers: ['content-encoding: gzip'],
      },
    ]),
  },
  'many-values': {
    about: 'a chat of 1.3 million empty messages',
    prepare: posts(2, () => [
      {
        path: '/v1/chat/completions',
        body: `{"model":"nobody","messages":[${'{},'.repeat(1_300_000)}{}]}`,
      },
    ]),
  },
  'many-numbers': {
    about: 'embeddings of two million token ids',
    prepare: posts(2, () => [
      { path: '/v1/embeddings', body: `{"model":"nobody","input":[${'7,'.repeat(2_000_000)}7]}` },
    ]),
  },
  'many-quotes': {
    about: 'a text that is only escaped quotes, and one of keys without values',
    prepare: posts(2, () => [
      { path: '/v1/chat/completions', body: `{"model":"nobody","messages":"${'\\"'.repeat(2_000_000)}"}` },
      { path: '/v1/chat/completions', body: `{${'"":0,'.repeat(500_000)}"":0}` },
    ]),
  },
  backslashes: {
    about: 'texts that end in a million backslashes',
    prepare: posts(4, () => [
      { path: '/v1/chat/completions', body: `{"model":"nobody","messages":["${'\\'.repeat(2_000_000)}"]}` },
    ]),
  },
  'middling-bodies': {
    about: 'many bodies that are just small enough to be parsed',
    prepare: posts(40, () => [
      {
        path: '/v1/chat/completions',
        body: `{"model":"nobody","messages":[${'{"role":"user"},'.repeat(2_000)}{}],"x":"${'x'.repeat(400_000)}"}`,
      },
    ]),
  },
  'unknown-keys': {
    about: 'a megabyte of keys that are none',
    prepare: posts(4, () => [
      {
        path: '/api/v1/llms',
        body: `{${Array.from({ length: 60_000 }, (_, n) => `"nam${String(n)}":1`).join()}}`,
      },
    ]),
  },
  'unlike-keys': {
    about: 'an apply of ninety thousand keys, no two alike',
    prepare: posts(4, () => [
      {
        path: '/api/v1/apply',
        body: `{"documents":[{"resource":"project","name":"p",${Array.from({ length: 90_000 }, (_, n) => `"k${String(n)}":1`).join()}}]}`,
      },
    ]),
  },
  'mcp-arguments': {
    about: 'calls of tools that there are not, with megabytes of arguments',
    prepare: posts(8, () => [
      {
        path: `/mcp/projects/${attackersProject}`,
        body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":[${'{},'.repeat(9_000)}"${'x'.repeat(3_000_000)}"]}}}`,
      },
    ]),
  },
  'deep-json': {
    about: 'four million brackets',
    prepare: posts(2, () => [{ path: '/v1/chat/completions', body: '['.repeat(4_000_000) }]),
  },
  'long-key': {
    about: 'one key of a megabyte, and one number of two',
    prepare: posts(4, () => [
      { path: '/api/v1/llms', body: `{"${'name'.repeat(250_000)}":1}` },
      { path: '/v1/embeddings', body: `{"model":"nobody","input":${'1'.repeat(2_000_000)}}` },
    ]),
  },
  multipart: {
    about: 'uploads of many parts, of a type that nobody reads',
    prepare: (target) => {
      const part = '--b\r\ncontent-disposition: form-data; name="a"\r\n\r\nx\r\n';
      const piece = Buffer.from(part.repeat(1_000));
      return overConnections(target, { count: 8 }, async (line) => {
        const type = 'content-type: multipart/form-data; boundary=b';
        await line.send(headOf('POST /v1/embeddings', target.token, [type, 'content-length: 40000000']));
        for (let n = 0; n < 200 && line.isOn(); n++) await line.send(piece);
      });
    },
  },
  'slow-bodies': {
    about: 'bodies of which a byte comes now and then',
    prepare: (target) =>
      overConnections(target, { count: 200 }, async (line) => {
        await line.send(headOf('POST /api/v1/tasks', target.token, [json, 'content-length: 1000000']));
        while (line.isOn()) {
          await line.send('{');
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      }),
  },
};
