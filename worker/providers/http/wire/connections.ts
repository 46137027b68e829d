import type { LookupFunction, Socket } from 'node:net';
import { buildConnector, Client, type Dispatcher } from 'undici';
import { passOverContinue } from './unasked.ts';

/** How long a connection is kept without a call, in milliseconds. Servers close theirs after 2 s, 5 s or never. */
const idleMs = 1_500;
/** So much earlier than the backend says that it will close (`keep-alive: timeout=…`), in milliseconds. */
const marginMs = 1_000;
/** How many are kept without a call, of one provider. Those that carry a call are as many as there are calls. */
const mostIdle = 256;
/**
 * A request over a connection that the backend had closed is told so after one round trip, in milliseconds at most.
 * Whatever breaks later breaks under a backend that was at work.
 */
const staleMs = 1_000;
const connectMs = 5_000;

/** What a test may make smaller. */
export interface Keeping {
  idleMs?: number;
  mostIdle?: number;
  staleMs?: number;
}

/** How a connection is made, where it is not the usual way; as node's `net.connect` and `tls.connect` take it. */
export interface Connecting {
  /** Not asked for a host that is an IP address already, nor for a connection that was kept. */
  lookup?: LookupFunction;
  /** Certificate authorities, PEM, instead of the usual ones. */
  ca?: string;
}

interface Hears {
  begun?: (() => void) | undefined;
  heard?: (() => void) | undefined;
}

/** One connection to a backend, which carries one call at a time. */
export interface Connection {
  /**
   * Sends the request, over a new connection where there is none yet. @throws what undici throws.
   * @param hears `begun` is called once, with the first bytes that come back: undici tells of a head when all of it is
   * there. `heard` is called where it says before that it is at it.
   */
  request(options: Dispatcher.RequestOptions, hears?: Hears): Promise<Dispatcher.ResponseData>;
  /**
   * Whether the request that failed so may be sent again: it went out over a connection that had carried another,
   * and the backend closed that without a byte of an answer, so soon that it was closing already.
   */
  wasStale(thrown: unknown): boolean;
}

export interface Connections {
  /** The one used last, or a fresh one: there is no limit to how many calls run at once. */
  take(origin: string): Connection;
  /** One that carried no call before. */
  fresh(origin: string): Connection;
}

interface Idle {
  origin: string;
  client: Client;
  connection: Connection;
}

/**
 * The connections to a backend, kept for the next call once an answer was read to its end. undici's own pool says
 * neither whether a connection was used before nor how many it keeps, hence one client for each.
 */
export function createConnections(connecting: Connecting, keeping: Keeping = {}): Connections {
  const idle: Idle[] = [];
  const connect = buildConnector({ timeout: connectMs, ...connecting });
  const keepMs = keeping.idleMs ?? idleMs;

  const fresh = (origin: string): Connection => {
    let socket: Socket | undefined;
    const hearing: Hearing = {};
    // Local models are silent for minutes: undici's own limits (5 minutes each) are off, patience.ts has ours.
    const client = new Client(origin, {
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: keepMs,
      keepAliveMaxTimeout: keepMs,
      keepAliveTimeoutThreshold: marginMs,
      connect(options, done) {
        connect(options, (...made) => {
          socket = made[1] ?? undefined;
          if (socket) listen(socket, hearing);
          done(...made);
        });
      },
    });
    const connection = connectionOver(client, () => socket, {
      staleWithinMs: keeping.staleMs ?? staleMs,
      hearing,
    });
    const kept = { origin, client, connection };
    // undici says so a turn of the event loop after the end of the answer: by then a backend that closes has closed.
    client.on('drain', () => {
      if (!isOpen(socket)) return;
      if (idle.length < (keeping.mostIdle ?? mostIdle)) idle.push(kept);
      else void client.destroy();
    });
    client.on('disconnect', () => {
      const at = idle.indexOf(kept);
      if (at >= 0) idle.splice(at, 1);
    });
    return connection;
  };
  return {
    fresh,
    take(origin) {
      const at = idle.findLastIndex((one) => one.origin === origin);
      return idle.splice(at, at < 0 ? 0 : 1)[0]?.connection ?? fresh(origin);
    },
  };
}

const closedCodes = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

/** Who waits for the first byte of the answer that is asked for. */
interface Hearing {
  isAwaited?: boolean;
  begun?: (() => void) | undefined;
  heard?: (() => void) | undefined;
}

/** Has what comes of an answer heard before undici reads it. */
function listen(socket: Socket, hearing: Hearing): void {
  const { bytesRead } = socket;
  passOverContinue(socket, {
    isAwaited: () => hearing.isAwaited === true,
    heard: () => hearing.heard?.(),
  });
  socket.on('readable', () => {
    if (socket.bytesRead <= bytesRead || socket.readableLength === 0) return;
    const { begun } = hearing;
    hearing.isAwaited = false;
    hearing.begun = undefined;
    begun?.();
  });
}

function connectionOver(
  client: Client,
  socket: () => Socket | undefined,
  { staleWithinMs, hearing }: { staleWithinMs: number; hearing: Hearing },
): Connection {
  let used: Socket | undefined;
  let readBefore = 0;
  let sentAt = 0;
  return {
    request(options, { begun, heard } = {}) {
      hearing.begun = begun;
      hearing.heard = heard;
      hearing.isAwaited = true;
      const now = socket();
      used = isOpen(now) ? now : undefined;
      readBefore = used?.bytesRead ?? 0;
      sentAt = performance.now();
      return client.request(options);
    },
    wasStale(thrown) {
      // undici connects anew where the socket had gone before the request was written: that one is not used.
      if (used === undefined || used !== socket() || used.bytesRead !== readBefore) return false;
      if (performance.now() - sentAt >= staleWithinMs) return false;
      return thrown instanceof Error && 'code' in thrown && closedCodes.has(String(thrown.code));
    },
  };
}

function isOpen(socket: Socket | undefined): socket is Socket {
  return socket !== undefined && !socket.destroyed;
}
