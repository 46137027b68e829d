import type { Socket } from 'node:net';
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

/** What an attack did: bytes that it sent and was sent, and requests that it made. */
export interface Done {
  bytes: number;
  requests: number;
}

export interface Attack {
  about: string;
  /** It cannot be tried on who answers nothing: it goes on from what it is told. */
  needsAnswers?: true;
  /** Another user's p95 is measured beside it and without it in turn, some times, and held to what it is without. */
  inTurn?: true;
  /** What it sends is made before its time begins. @returns the attack itself. */
  prepare(target: Omit<Target, 'over'>): (over: AbortSignal) => Promise<Done>;
}

export const json = 'content-type: application/json';
export const chunked = 'transfer-encoding: chunked';

/**
 * What the network between an attacker and its edge would carry, over all its connections: a gigabit a second. A loopback
 * carries twenty times that, and then the two cores of a small machine are busy with copying it.
 */
const BYTES_PER_MS = 125_000;
/** Sent at once; what comes behind it waits for its time. */
const BURST_MS = 5;

/** Lets through as many bytes as the network would. */
class Pace {
  #freeAt = 0;

  async admit(bytes: number): Promise<void> {
    const now = performance.now();
    this.#freeAt = Math.max(this.#freeAt, now) + bytes / BYTES_PER_MS;
    const waitMs = this.#freeAt - now - BURST_MS;
    if (waitMs > 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

/** Reads and forgets, no faster than the network would bring it. */
function readPaced(socket: Socket, pace: Pace): void {
  socket.on('data', (piece: Buffer) => {
    socket.pause();
    void pace.admit(piece.length).then(() => socket.resume());
  });
  socket.resume();
}

/** How a connection of an attack sends. */
export interface Line extends Raw {
  over: AbortSignal;
  isOn: () => boolean;
}

/** Opens some connections, works over each, and waits until the time is over; then all are closed. */
export function overConnections(
  target: Omit<Target, 'over'>,
  { count, reads = true }: { count: number; reads?: boolean },
  work: (line: Line, nth: number) => Promise<void>,
): (over: AbortSignal) => Promise<Done> {
  const some = Math.max(1, Math.round(count * target.share));
  return async (over) => {
    const pace = new Pace();
    const raws: Raw[] = [];
    let requests = 0;
    const began = Array.from({ length: some }, async (_, nth) => {
      const raw = await openRaw(target.port, { reads: false });
      if (reads) readPaced(raw.socket, pace);
      raws.push(raw);
      requests += 1;
      const send = async (piece: string | Buffer): Promise<void> => {
        await pace.admit(piece.length);
        if (!over.aborted) await raw.send(piece);
      };
      await work({ ...raw, send, over, isOn: () => raw.isOpen() && !over.aborted }, nth);
    });
    const ended = new Promise<void>((resolve) => {
      if (over.aborted) resolve();
      over.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([Promise.all(began).then(() => ended), ended]);
    const bytes = raws.reduce((sum, { sent, socket }) => sum + sent() + socket.bytesRead, 0);
    for (const { socket } of raws) socket.destroy();
    return { bytes, requests };
  };
}

export interface Post {
  method?: 'POST' | 'PATCH';
  path: string;
  body: string | Buffer;
  headers?: readonly string[];
}

/** A whole request with a body, as bytes. */
export function requestOf(
  { token }: Pick<Target, 'token'>,
  { method = 'POST', path, body, headers = [] }: Post,
): Buffer {
  const length = `content-length: ${String(Buffer.byteLength(body))}`;
  return Buffer.concat([
    Buffer.from(headOf(`${method} ${path}`, token, [json, length, ...headers])),
    Buffer.from(body),
  ]);
}

const PIECE_BYTES = 64 * 1024;

/** Sends bytes in pieces, as long as they are taken. */
export async function inPieces(line: Line, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length && line.isOn(); at += PIECE_BYTES)
    await line.send(bytes.subarray(at, at + PIECE_BYTES));
}

/** Attacks of one request with a body over each of some connections. */
export const posts =
  (count: number, of: () => readonly Post[]): Attack['prepare'] =>
  (target) => {
    const requests = of().map((post) => requestOf(target, post));
    return overConnections(target, { count }, async (line) => {
      for (const request of requests) await inPieces(line, request);
    });
  };

export const untilNext = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
