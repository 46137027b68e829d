import type { Request } from 'express';
import type { EdgeDeps } from '../../deps.ts';
import { Report } from './report.ts';

/** Where an inference is asked for, and by which source its calls are known. */
const inferencePaths = [
  {
    path: /^\/v1\/(chat\/completions|completions|embeddings|responses|messages(\/count_tokens)?)\/?$/i,
    source: 'v1',
  },
  { path: /^\/api\/(chat|generate|embed|embeddings)\/?$/i, source: 'v1' },
  { path: /^\/api\/v1\/llms\/[^/]+\/infer\/?$/i, source: 'infer' },
] as const;

/**
 * A call for an inference that came to its end before its route: without a token, with a body that is too large
 * or of another type, while this edge stops. It is reported like any other (docs/spec.md §6).
 */
export function reportRefused(deps: EdgeDeps, req: Request, thrown: unknown): void {
  if (req.method !== 'POST' || req.context.reported) return;
  const [path = ''] = req.originalUrl.split('?', 1);
  const source = inferencePaths.find((entry) => entry.path.test(path))?.source;
  if (source) new Report(deps, req, { source, llm: '' }).failed(thrown);
}
