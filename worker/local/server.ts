import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { messageOf } from '../../core/errors.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';
import { MOST_PAUSE_MS } from './how-long.ts';
import { localActions, type LocalAction, type LocalStatus } from './protocol.ts';

export interface LocalServerDeps {
  path: string;
  status: () => LocalStatus;
  /** @param ms for how long, of a pause. */
  act: (action: LocalAction, ms?: number) => Promise<void> | void;
  /** What an MCP server printed last; null: none of that name is run. */
  printedBy: (server: string) => string | null;
  log: Log;
}

const MOST_CONNECTIONS = 16;
const WITHIN_MS = 5_000;

/**
 * Hears the commands of this machine's owner, on a socket that only that user can open. Its absence keeps nobody from
 * serving: what goes wrong is a warning.
 */
export function createLocalServer({ path, status, act, printedBy, log }: LocalServerDeps): Service {
  const answer = (res: ServerResponse, code: number, body: object): void => {
    res.writeHead(code, { 'content-type': 'application/json', connection: 'close' });
    res.end(`${JSON.stringify(body)}\n`);
  };
  const handle = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    req.resume(); // no call has a body
    const { pathname, searchParams } = new URL(req.url ?? '/', 'http://worker');
    if (req.method === 'GET' && pathname === '/status') return answer(res, 200, status());
    const server = /^\/logs\/([a-z0-9-]+)$/.exec(req.method === 'GET' ? pathname : '')?.[1];
    const printed = server === undefined ? null : printedBy(server);
    if (printed !== null) return answer(res, 200, { printed });
    const action = localActions.find((name) => req.method === 'POST' && pathname === `/${name}`);
    if (!action) return answer(res, 404, { error: 'There is nothing at this path.' });
    const ms = Number(searchParams.get('ms'));
    await act(action, ms > 0 && ms <= MOST_PAUSE_MS ? ms : undefined);
    answer(res, 200, status());
  };
  const server = createServer((req, res) => {
    handle(req, res).catch((thrown: unknown) => {
      log.warn({ why: messageOf(thrown) }, 'a local command failed');
      if (!res.headersSent) answer(res, 500, { error: messageOf(thrown) });
      else res.destroy();
    });
  });
  server.maxConnections = MOST_CONNECTIONS;
  server.headersTimeout = WITHIN_MS;
  server.requestTimeout = WITHIN_MS;
  let listens = false;
  return {
    name: 'local commands',
    async start() {
      try {
        if (await isAnswered(path)) {
          log.warn(
            { path },
            'another worker runs with this home, perhaps that of "npm start": stop one of the two; "mcplocal status" and its like speak to that one',
          );
          return;
        }
        rmSync(path, { force: true }); // left behind by a worker that was killed
        await listen(server, path);
        listens = true;
      } catch (thrown) {
        log.warn(
          { path, why: messageOf(thrown) },
          'local commands cannot be heard: "mcplocal status" and its like will not find this worker',
        );
      }
    },
    async stop() {
      if (!listens) return;
      listens = false;
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve())); // removes the socket's file
    },
  };
}

/** The mask holds from the moment that the file is there: nobody else can open it in between. */
async function listen(server: ReturnType<typeof createServer>, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    const before = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off('error', reject);
        server.on('error', () => undefined); // a connection that broke concerns nobody else
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
  chmodSync(path, 0o600);
}

/** Does a living process listen there? */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const done = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.setTimeout(WITHIN_MS, () => done(true)); // stopped, say, but there
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });
}
