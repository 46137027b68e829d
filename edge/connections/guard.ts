import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { entryOf, McpctlError } from '../../core/errors.ts';
import type { Settings } from '../../core/runtime/settings/settings.ts';
import { apiErrorBody, openAiErrorBody } from '../http/error-body.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { addressKey } from './address.ts';
import { answerBroken } from './broken.ts';
import { closeGently, endsWithItsAnswer } from './last-answer.ts';

export interface Guarding {
  limits: Settings<'maxConnections' | 'maxAddressConnections' | 'maxConnectionRequests' | 'trustProxy'>;
  metrics?: Pick<Metrics, 'refused'> | undefined;
  app: RequestListener;
  /** Whether a connection may be kept after an answer. */
  keeps: () => boolean;
}

/** One connection, while it is open. */
interface Held {
  /** Answers that are not complete. */
  answers: Set<ServerResponse>;
  /** Why its first request is refused: there were too many connections when it came. */
  over: McpctlError | undefined;
  /** Its last answer is on its way; what else comes is not looked at. */
  ended: boolean;
}

/** How long a connection over the limit may take to ask for something, so that it can be told so. */
const OVER_MS = 1_000;
/** How many may be told so at a time; the others are cut. */
const MOST_OVER = 64;
const RETRY_AFTER_S = 5;
/** Each costs time, however short it is; a browser sends thirty. */
const MOST_HEADERS = 200;

/**
 * Stands between the sockets and the application: few requests on their way over a connection, few connections from an
 * address, and not too many in all. What is over is told so with 429 and cut; requests behind it are not looked at.
 */
export function guard(server: Server, guarding: Guarding): void {
  const guarded = new Guard(server, guarding);
  server.on('connection', (socket) => guarded.connection(socket));
  server.on('request', (req, res) => guarded.request(req, res));
  // What a client expects beyond `100-continue` is not known here, and may be left out.
  server.on('checkExpectation', (req, res) => void server.emit('request', req, res));
  server.on('clientError', (thrown: NodeJS.ErrnoException, socket: Socket) => guarded.broken(thrown, socket));
}

class Guard {
  readonly #server: Server;
  readonly #guarding: Guarding;
  readonly #connections = new Map<Socket, Held>();
  readonly #ofAddress = new Map<string, number>();
  /** Connections over the limit that are to be told so. */
  #over = 0;

  constructor(server: Server, guarding: Guarding) {
    this.#server = server;
    this.#guarding = guarding;
  }

  connection(socket: Socket): void {
    const address = addressKey(socket.remoteAddress);
    const over = this.#whyOver(address);
    if (over && this.#over >= MOST_OVER) return void socket.destroy();
    const connection: Held = { answers: new Set(), over, ended: false };
    this.#connections.set(socket, connection);
    this.#count(address, 1);
    closeGently(socket);
    const timer = over && setTimeout(() => socket.destroy(), OVER_MS);
    this.#over += over ? 1 : 0;
    socket.once('close', () => {
      clearTimeout(timer);
      this.#over -= over ? 1 : 0;
      this.#connections.delete(socket);
      this.#count(address, -1);
      closeAnswers(connection);
    });
  }

  request(req: IncomingMessage, res: ServerResponse): void {
    const connection = this.#connections.get(req.socket);
    // Behind a last answer, which may still wait for its turn: kept, these would be memory without end.
    if (!connection || connection.ended) {
      connection?.answers.add(res);
      return void req.socket.destroy();
    }
    const over = connection.over ?? this.#whyTooMany(connection, req);
    if (hasBody(req)) endsWithItsAnswer(req, res, this.#guarding.keeps);
    connection.answers.add(res);
    res.once('close', () => connection.answers.delete(res));
    if (!over) return this.#guarding.app(req, res);
    connection.ended = true;
    refuse(req, res, over);
  }

  broken(thrown: NodeJS.ErrnoException, socket: Socket): void {
    const connection = this.#connections.get(socket);
    const begun = [...(connection?.answers ?? [])].some((res) => res.headersSent);
    if (connection?.ended || begun) return void socket.destroy();
    if (connection) connection.ended = true;
    answerBroken(thrown, socket, this.#guarding.metrics);
  }

  #whyOver(address: string): McpctlError | undefined {
    const { maxConnections, maxAddressConnections, trustProxy } = this.#guarding.limits;
    if (this.#connections.size >= maxConnections) {
      this.#server.closeIdleConnections(); // they can come again, and then there is room
      const message = `This edge has ${maxConnections} connections, the most that it holds (MCPCTL_MAX_CONNECTIONS). Try again later.`;
      return this.#refusal('connections', message);
    }
    // Behind a proxy all have its address.
    if (trustProxy > 0 || (this.#ofAddress.get(address) ?? 0) < maxAddressConnections) return undefined;
    const message = `Your address has ${maxAddressConnections} connections here, the most that one may (MCPCTL_MAX_ADDRESS_CONNECTIONS). Close some, or use them again.`;
    return this.#refusal('address_connections', message);
  }

  #whyTooMany({ answers }: Held, { rawHeaders }: IncomingMessage): McpctlError | undefined {
    if (rawHeaders.length > 2 * MOST_HEADERS) {
      this.#guarding.metrics?.refused('headers');
      const message = `The request has more than ${String(MOST_HEADERS)} headers; send fewer.`;
      return new McpctlError('headers_too_large', message);
    }
    const { maxConnectionRequests } = this.#guarding.limits;
    if (answers.size < maxConnectionRequests) return undefined;
    const message = `This connection has ${maxConnectionRequests} requests on their way, the most that one may (MCPCTL_MAX_CONNECTION_REQUESTS). Read their answers, or open another one.`;
    return this.#refusal('connection_requests', message);
  }

  #refusal(cap: string, message: string): McpctlError {
    this.#guarding.metrics?.refused(cap);
    return new McpctlError('too_many_requests', message, { retryAfterS: RETRY_AFTER_S });
  }

  #count(address: string, n: number): void {
    const count = (this.#ofAddress.get(address) ?? 0) + n;
    if (count > 0) this.#ofAddress.set(address, count);
    else this.#ofAddress.delete(address);
  }
}

/** Node tells only the answer whose turn it is that its connection has gone. */
function closeAnswers({ answers }: Held): void {
  for (const res of answers) {
    if (res.closed || res.socket !== null) continue;
    res.destroy();
    res.emit('close');
  }
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

/** In the shape of the door that was asked for. */
function refuse(req: IncomingMessage, res: ServerResponse, error: McpctlError): void {
  const requestId = randomUUID();
  const v1 = /^\/v1([/?]|$)/i.test(req.url ?? '');
  const body = v1 ? openAiErrorBody(error, { v1, requestId }) : apiErrorBody(error, requestId);
  const text = JSON.stringify(body);
  res.shouldKeepAlive = false;
  res.writeHead(entryOf(error.code).status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    ...(error.retryAfterS === undefined ? {} : { 'retry-after': String(error.retryAfterS) }),
    'x-request-id': requestId,
    connection: 'close',
  });
  res.end(text);
}
