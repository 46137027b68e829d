import { Router } from 'express';
import { can, type Actor } from '../../core/access.ts';
import { messageOf } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import type { Check, EdgeDeps } from '../deps.ts';
import { recognise } from '../middleware/authenticate.ts';

/** A probe is answered within a second, whatever hangs. */
const CHECK_MS = 900;

async function failureOf(check: Check): Promise<string | null> {
  const timeout = new AbortController();
  try {
    return await Promise.race([
      check.run().then(() => null),
      pause(CHECK_MS, timeout.signal).then(() => 'it did not answer in time'),
    ]);
  } catch (thrown) {
    return messageOf(thrown);
  } finally {
    timeout.abort();
  }
}

/** Probes, and whoever else asks, are answered from one look this long: each look is a write. */
const LOOK_KEPT_MS = 500;

/** @returns what each check said, from a look that is at most half a second old. */
function looker({ checks, clock }: EdgeDeps): () => Promise<{ name: string; failure: string | null }[]> {
  let look: { at: number; results: Promise<{ name: string; failure: string | null }[]> } | null = null;
  return () => {
    const now = clock.elapsed();
    if (look === null || now - look.at > LOOK_KEPT_MS) {
      const results = checks.map(async (check) => ({ name: check.name, failure: await failureOf(check) }));
      look = { at: now, results: Promise.all(results) };
    }
    return look.results;
  };
}

/** What is said of the stores is about no pool, as the board is. */
const maySeeChecks = (actor: Actor | undefined): boolean =>
  actor !== undefined && can(actor, 'view', { resource: 'board' });

/** `/livez`: the process turns. `/readyz`: it can serve; what is wrong is told to those with a token that is bound to no pools. */
export function healthRoutes(deps: EdgeDeps): Router {
  const router = Router();
  const look = looker(deps);
  router.get('/livez', (_req, res) => {
    res.json({ status: 'ok' });
  });
  router.get('/readyz', recognise(deps), async (req, res) => {
    const results = await look();
    const ready = !deps.stopping.aborted && results.every((result) => result.failure === null);
    const checks = results.map(({ name, failure }) => ({ name, status: failure ?? 'ok' }));
    const verbose = 'verbose' in req.query && maySeeChecks(req.context.actor);
    const status = ready ? 'ok' : deps.stopping.aborted ? 'stopping' : 'not ready';
    res.status(ready ? 200 : 503).json(verbose ? { status, checks } : { status });
  });
  router.get('/', (_req, res) => {
    res.json({ name: 'mcpctl', api: '/api/v1', openai: '/v1' });
  });
  return router;
}
