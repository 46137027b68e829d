import { Router } from 'express';
import { McpctlError } from '../../core/errors.ts';

/** What people paste as a base URL although it is a whole address. */
const pasted = /^\/(chat\/completions|completions|embeddings|responses|messages|models)\/./i;
const doubled = /^\/v1(\/|$)/i;

/** Why nothing is at a path under `/v1`, as a sentence that helps whoever set the client up. */
function hintFor(method: string, path: string): string {
  if (doubled.test(path))
    return 'The base URL has /v1 twice: this client adds it by itself, so give it the address without /v1.';
  if (pasted.test(path))
    return 'The base URL seems to hold the path of a call: end it at /v1, the client adds the rest.';
  if (/^\/api\//i.test(path))
    return 'Ollama’s protocol is at /api: give this client the address without /v1.';
  if (/^\/(chat\/completions|completions|embeddings|responses|messages(\/count_tokens)?)\/?$/i.test(path))
    return `Use POST, not ${method}.`;
  return 'docs/openai.md lists what this door serves.';
}

/** Any other path under `/v1`: JSON, and what may be wrong. @throws McpctlError `route_not_found`. */
export function unknownRoutes(): Router {
  const router = Router();
  router.use((req) => {
    const path = req.path.slice(0, 200);
    throw new McpctlError(
      'route_not_found',
      `There is nothing at ${req.method} /v1${path}. ${hintFor(req.method, path)}`,
    );
  });
  return router;
}
