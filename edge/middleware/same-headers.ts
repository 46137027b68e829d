import type { Request, RequestHandler, Response } from 'express';

/**
 * Of a middleware that gives every answer the same headers: asked once, not a dozen functions for each answer.
 * @param setHeaders must look at nothing of the request, and call `next` at once.
 */
export function sameHeaders(setHeaders: RequestHandler): RequestHandler {
  const headers = new Map<string, string>();
  const answer: Pick<Response, 'removeHeader'> & { setHeader(name: string, value: string): void } = {
    setHeader: (name, value) => void headers.set(name, value),
    removeHeader: (name) => void headers.delete(name),
  };
  void setHeaders({} as Request, answer as unknown as Response, (thrown?: unknown) => {
    if (thrown) throw thrown as Error;
  });
  return (_req, res, next) => {
    for (const [name, value] of headers) res.setHeader(name, value);
    next();
  };
}
