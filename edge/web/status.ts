import { Router, type Request, type RequestHandler } from 'express';
import { scopeOf, type Actor } from '../../core/access.ts';
import { escaped, page } from '../admin/pages.ts';
import type { EdgeDeps } from '../deps.ts';
import { recognise } from '../middleware/authenticate.ts';
import { seenIn } from '../shown/llm-view.ts';
import type { WebSessions } from './sessions.ts';

const MOST_POOLS = 100;

const signIn = page(
  'mcpctl: status',
  `<h1>mcpctl</h1>
<form method="post" action="/ui/session">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button>
</form>
<p>Make a token with <code>mcpctl token create</code>. <a href="/ui/">The whole page</a> needs a script.</p>`,
);

async function table(deps: EdgeDeps, actor: Actor): Promise<string> {
  const scope = scopeOf(actor, 'view', 'pool');
  const keys = scope ? await deps.registry.pools.list({ scope, after: undefined, limit: MOST_POOLS }) : [];
  const [pools, counts] = await Promise.all([deps.liveness.loadPools(keys), deps.poolCounts(keys)]);
  const rows = pools.map((pool) => {
    const { size, activeCount } = seenIn(pool, { actor, isPoolSeen: true });
    const { running = 0, pending = 0 } = counts.get(pool.key) ?? {};
    const cells = [`${String(activeCount)} of ${String(size)}`, running, pending];
    const numbers = cells.map((cell) => `<td>${String(cell)}</td>`).join('');
    return `<tr><th scope="row">${escaped(pool.key)}</th>${numbers}</tr>`;
  });
  if (rows.length === 0)
    return '<p>No pool that you may see. Publish a model with <code>mcplocal run</code>.</p>';
  const head = ['Pool', 'Serving', 'Running', 'Waiting']
    .map((name) => `<th scope="col">${name}</th>`)
    .join('');
  return `<table><thead><tr>${head}</tr></thead><tbody>${rows.join('\n')}</tbody></table>`;
}

/** `/ui/status`: the numbers alone, without a script, for a cookie or a token. */
export function statusRoutes(deps: EdgeDeps, sessions: WebSessions): Router {
  const byCookie: RequestHandler = async (req: Request, _res, next) => {
    const cookie = sessions.of(req);
    if (!req.context.actor && cookie !== undefined) req.context.actor = await sessions.actorOf(cookie, req);
    next();
  };
  const router = Router();
  router.get('/status', recognise(deps), byCookie, async (req, res) => {
    const { actor } = req.context;
    res.type('html');
    if (!actor) return void res.status(401).send(signIn);
    const at = new Date(deps.clock.now()).toISOString().slice(11, 19);
    const body = `<h1>Status</h1>
${await table(deps, actor)}
<p>At ${at} UTC, for ${escaped(actor.userName)}. <a href="/ui/status">Again</a> · <a href="/ui/">The whole page</a></p>`;
    res.send(page('mcpctl: status', body));
  });
  return router;
}
