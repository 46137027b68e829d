import type { ServerResponse } from 'node:http';

export function sendJson(res: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  res
    .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    .end(text);
}

/** An error as OpenAI's clients read it. */
export function sendError(
  res: ServerResponse,
  status: number,
  error: { message: string; [more: string]: unknown },
): void {
  const type = status < 500 ? 'invalid_request_error' : 'server_error';
  sendJson(res, status, { error: { type, param: null, code: status, ...error } });
}
