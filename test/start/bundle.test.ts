import { expect } from 'chai';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundle } from '../../start/boot/bundle.mjs';
import { createSockets } from '../support/sockets.ts';
import * as whole from './fixture/bundled.ts';

const FIXTURE = 'test/start/fixture/bundled';

/** What a server says of any request before it closes, and what makes a parser think. */
const answers: Readonly<Record<string, string>> = {
  'a length': 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: b\r\n\r\nhello',
  chunks: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\n you\r\n0\r\n\r\n',
  'chunks with a trailer':
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n',
  'neither, to its end': 'HTTP/1.1 200 OK\r\n\r\nuntil it closes',
  'a word before the answer': 'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
  'an old version': 'HTTP/1.0 404 Not Found\r\ncontent-type: text/plain\r\n\r\nno',
  'headers of all kinds': `HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nx-long: ${'é'.repeat(2_000)}\r\ncontent-length: 0\r\n\r\n`,
  'more headers than are read': `HTTP/1.1 200 OK\r\nx-much: ${'a'.repeat(20_000)}\r\n\r\n`,
  'lines that end in LF': 'HTTP/1.1 200 OK\ncontent-length: 2\n\nhi',
  'no HTTP': 'SSH-2.0-OpenSSH_9.6\r\n',
  'a length that is none': 'HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nhello',
  'two lengths': 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!',
  'a length and chunks':
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  'a chunk of no size': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
  'less than its length': 'HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello',
  'half a header': 'HTTP/1.1 200 OK\r\nx-ha',
  nothing: '',
};

type Bundled = typeof whole;

/** What a file, and what it imports at once, loads: folders and files of ours, packages, and Node's own modules. */
function loadedBy(entry: string): { folders: string[]; packages: string[]; own: string[] } {
  const files = new Set([entry]);
  const others = new Set<string>();
  for (const file of files)
    // it grows meanwhile
    for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(atOnce))
      if (name.startsWith('.')) files.add(join(dirname(file), name));
      else others.add(name);
  const folders = new Set([...files].map(dirname));
  const own = [...others].filter((name) => name.startsWith('node:'));
  const packages = [...others].filter((name) => !name.startsWith('node:'));
  return { folders: [...folders].sort(), packages: packages.sort(), own: own.sort() };
}
const atOnce = /^(?:import|export) (?!type )(?:[^;]*? from )?'([^']+)';/gm;

describe('what a worker of a person loads that nobody calls', () => {
  const { folders, packages, own } = loadedBy('worker/run.ts');

  it('is these rooms, and none of what is loaded where it is asked for', () => {
    const below = (root: string): string =>
      folders
        .filter((folder) => folder === root || folder.startsWith(`${root}/`))
        .map((folder) => folder.slice(root.length + 1) || '.')
        .join(' ');
    expect(below('core')).to.equal(
      '. agent judge judge/mend judge/parts mcp mcp/process member queue/link runtime runtime/files runtime/keyring runtime/network runtime/process runtime/settings task text translate',
    );
    expect(below('worker')).to.equal(
      '. backends children local owner providers providers/anthropic providers/http providers/http/wire providers/ollama providers/openai registration sources transports transports/sse wake work',
    );
    expect(folders.filter((folder) => !/^(core|worker)(\/|$)/.test(folder))).to.deep.equal([]);
  });

  it('is these packages, and these modules of Node: to import TLS’s makes all of its authorities', () => {
    expect(packages.join(' ')).to.equal('eventsource-parser fastest-levenshtein ipaddr.js pino undici zod');
    expect(own.map((name) => name.replace('node:', '')).join(' ')).to.equal(
      'child_process crypto events fs fs/promises http net os path stream util v8 vm zlib',
    );
  });
});

describe('what is left out of the bundles', function () {
  this.timeout(30_000);
  let out = '';
  let leftOut: readonly string[] = [];
  let bundled: Bundled;
  let server: Server;
  let origin = '';
  let answer = '';
  const sockets = createSockets();

  before(async () => {
    out = mkdtempSync(resolve('.boot', 'bundle-'));
    leftOut = await bundle(process.cwd(), out, [`${FIXTURE}.js`]);
    bundled = (await import(pathToFileURL(join(out, `${FIXTURE}.js`)).href)) as Bundled;
    server = createServer((socket) => {
      sockets.keep(socket);
      socket.once('data', () => socket.end(answer, 'latin1'));
    });
    await new Promise<void>((listens) => server.listen(0, '127.0.0.1', listens));
    origin = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  });
  after(async () => {
    await sockets.closeWith(server);
    rmSync(out, { recursive: true, force: true });
  });

  it('is what zod and undici have under these names still', () => {
    expect(leftOut).to.deep.equal([
      'client-h2',

      'llhttp/llhttp_simd-wasm',
      'locales/index',
      'socks5-proxy-agent',
    ]);
  });

  it('is a name of a package that is imported late: of a CommonJS one a bundle has but the default', () => {
    const late = /(?<!typeof )import\('(?!node:)([^.'][^']*)'\)/g;
    const packages = new Set<string>();
    for (const folder of ['cli', 'worker', 'core', 'scheduler', 'edge'])
      for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
        if (file.endsWith('.ts'))
          for (const [, name = ''] of readFileSync(join(folder, file), 'utf8').matchAll(late))
            packages.add(name);
    // The one is a module and has its names; of the other the default is meant.
    expect([...packages].sort()).to.deep.equal(['age-encryption', 'pino-pretty']);
  });

  it('says its name where it is reached after all', () => {
    const locales: { default?: new () => unknown } = bundled.z.locales as object;
    const Left = locales.default;
    expect(Left, 'zod’s languages are in the bundle').to.be.a('function');
    expect(() => Left && new Left()).to.throw('locales/index.js was left out of the bundle');
  });

  it('is not what makes JSON Schema, nor what says in English what is wrong', () => {
    const read = ({ z }: Bundled): unknown => {
      const schema = z.object({
        name: z.string().min(2).describe('who'),
        port: z.int().max(9).optional(),
        at: z.iso.datetime().nullable(),
        url: z.url(),
        kind: z.enum(['a', 'b']),
        of: z.array(z.union([z.literal(1), z.record(z.string(), z.unknown())])),
      });
      const wrong = schema.safeParse({ name: 'x', port: 1.5, at: 'noon', url: 'no', kind: 'c', of: [2] });
      return [z.toJSONSchema(schema, { io: 'input' }), wrong.error?.issues];
    };
    expect(read(bundled)).to.deep.equal(read(whole)).and.not.be.empty;
  });

  it('is not what reads answers: the other parser says of each what the faster one says', async () => {
    const heard = new Set<string>();
    for (const [what, text] of Object.entries(answers)) {
      answer = text;
      const [by, beside] = [await toWorker(bundled, origin), await toWorker(whole, origin)];
      expect(by, what).to.deep.equal(beside);
      heard.add(JSON.stringify(by));
    }
    expect(heard.size, 'the answers are told apart').to.be.above(Object.keys(answers).length / 2);
  });

  it('is not what the way to the edge needs, through a proxy or without', async () => {
    for (const text of ['HTTP/1.1 407 No\r\n\r\n', 'HTTP/1.1 502 No\r\n\r\n']) {
      answer = text;
      const answers = await Promise.all([bundled, whole].map((made) => toEdge(made, origin)));
      expect(answers[0]).to.deep.equal(answers[1]);
    }
    for (const { openNetwork } of [bundled, whole])
      expect(() => openNetwork({ httpProxy: 'socks5://127.0.0.1:1' })).to.throw('must be like http://');
  });

  it('is not what a call of a wake recipe needs', async () => {
    for (const text of ['HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nup', 'HTTP/1.1 500 No\r\n\r\n', 'no']) {
      answer = text;
      const wake = {
        type: 'http',
        url: `${origin}/wake?now`,
        method: 'POST',
        headers: {},
        body: { a: 1 },
        maxWaitSeconds: 5,
      } as const;
      const answers = await Promise.all(
        [bundled, whole].map(({ callHttp }) =>
          callHttp(wake, { kind: 'wake', signal: AbortSignal.timeout(5_000) }),
        ),
      );
      expect(answers[0]).to.equal(answers[1]);
    }
  });
});

/** What a worker learns that asks its backend. */
async function toWorker({ createConnections }: Bundled, origin: string): Promise<unknown> {
  const connection = createConnections({}).fresh(origin);
  try {
    const { statusCode, headers, body } = await connection.request({ method: 'POST', path: '/', body: '{}' });
    const partly = { statusCode, headers };
    try {
      return { ...partly, text: await body.text() };
    } catch (thrown) {
      return { ...partly, broken: faultOf(thrown) };
    }
  } catch (thrown) {
    return { refused: faultOf(thrown) };
  }
}

/** What a CLI or a worker learns that asks an edge, over http and, through a CONNECT, over https. */
async function toEdge({ openNetwork }: Bundled, origin: string): Promise<unknown[]> {
  const ways = [
    { network: openNetwork(), to: origin },
    { network: openNetwork({ httpProxy: origin, httpsProxy: origin }), to: 'https://edge.example' },
    { network: openNetwork({ httpProxy: origin }), to: 'http://edge.example' },
  ];
  const heard: unknown[] = [];
  for (const { network, to } of ways) {
    try {
      const { statusCode, body } = await network.dispatcher.request({ origin: to, path: '/', method: 'GET' });
      heard.push([statusCode, await body.text()]);
    } catch (thrown) {
      heard.push(network.trouble(new URL(to), thrown).replaceAll(/127\.0\.0\.1:\d+ -> \S+/g, ''));
    }
    await network.dispatcher.destroy();
  }
  return heard;
}

const faultOf = (thrown: unknown): string[] =>
  thrown instanceof Error
    ? [thrown.name, 'code' in thrown ? String(thrown.code) : '', thrown.message]
    : [String(thrown)];
