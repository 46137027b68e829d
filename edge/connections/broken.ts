import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { McpctlError, entryOf, type ErrorCode } from '../../core/errors.ts';
import { apiErrorBody } from '../http/error-body.ts';
import type { Metrics } from '../metrics/metrics.ts';

/** How long the sender of what cannot be read has to read why. */
const READ_MS = 500;

interface Fault {
  code: ErrorCode;
  message?: string;
  cap?: string;
}

const faults: Readonly<Record<string, Fault>> = {
  HPE_HEADER_OVERFLOW: { code: 'headers_too_large', cap: 'header_bytes' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    code: 'body_too_large',
    message: 'The extensions of a chunk are longer than this edge accepts.',
    cap: 'chunk_extensions',
  },
  ERR_HTTP_REQUEST_TIMEOUT: { code: 'invalid_request', message: 'The headers did not arrive in time.' },
};
const unreadable: Fault = { code: 'invalid_request', message: 'This is not HTTP/1.1 as it is written.' };

/** Answers bytes that are no request, or too much of one, as Node's parser says; then the connection is closed. */
export function answerBroken(
  thrown: NodeJS.ErrnoException,
  socket: Socket,
  metrics: Pick<Metrics, 'refused'> | undefined,
): void {
  // A browser connects ahead, and takes whatever comes over such a connection for the answer to what it asks there first.
  const asksNothing = thrown.code === 'ERR_HTTP_REQUEST_TIMEOUT' && socket.bytesRead === 0;
  if (asksNothing || thrown.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const fault = faults[thrown.code ?? ''] ?? unreadable;
  if (fault.cap !== undefined) metrics?.refused(fault.cap);
  const error = new McpctlError(fault.code, fault.message);
  const { status } = entryOf(error.code);
  const text = JSON.stringify(apiErrorBody(error, ''));
  const head = [
    `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ''}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${String(Buffer.byteLength(text))}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`);
  const cut = setTimeout(() => socket.destroy(), READ_MS);
  socket.once('close', () => clearTimeout(cut));
}
