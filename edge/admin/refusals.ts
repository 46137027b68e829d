import type { ErrorRequestHandler } from 'express';
import { entryOf, McpctlError } from '../../core/errors.ts';
import type { EdgeDeps } from '../deps.ts';
import { isPage } from './guards.ts';
import { html, messagePage } from './pages.ts';

/** A person gets a refusal as a page; what is not ours to say goes to the edge's own handler. */
export const refusalsAsPages =
  ({ denied }: Pick<EdgeDeps, 'denied'>): ErrorRequestHandler =>
  (thrown, req, res, next) => {
    if (!(thrown instanceof McpctlError) || thrown.code === 'internal' || res.headersSent || !isPage(req))
      return next(thrown);
    denied.count(req, thrown);
    const { status } = entryOf(thrown.code);
    html(res.status(status), messagePage('This cannot be shown', thrown.message));
  };
