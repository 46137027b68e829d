import { Router, type RequestHandler } from 'express';
import { scopeOf, type Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { escaped, page } from '../admin/pages.ts';
import { addressKey } from '../connections/address.ts';
import type { EdgeDeps } from '../deps.ts';
import { actorOf } from '../http/context.ts';
import { listsInTurn } from '../limits/turns.ts';
import { authenticateBy, tokenOf, type Credential } from '../middleware/authenticate.ts';
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

/** Who is nobody is asked to sign in. */
const orSignIn =
  (who: RequestHandler): RequestHandler =>
  async (req, res, next) => {
    try {
      await who(req, res, next);
    } catch (thrown) {
      if (!(thrown instanceof McpctlError) || thrown.code !== 'unauthenticated') throw thrown;
      res.status(401).type('html').send(signIn);
    }
  };

/** `/ui/status`: the numbers alone, without a script, for a cookie or a token. It is a request of theirs like those of programs. */
export function statusRoutes(deps: EdgeDeps, sessions: WebSessions): Router {
  const either: Credential = {
    of: (req) => tokenOf(req) ?? sessions.of(req),
    actorOf: (text, req) =>
      tokenOf(req) === undefined
        ? sessions.actorOf(text, req)
        : deps.authenticator.actorOf(text, () => addressKey(req.ip)),
  };
  const router = Router();
  router.get('/status', orSignIn(authenticateBy(either, deps)), listsInTurn(deps), async (req, res) => {
    const actor = actorOf(req);
    const at = new Date(deps.clock.now()).toISOString().slice(11, 19);
    const body = `<h1>Status</h1>
${await table(deps, actor)}
<p>At ${at} UTC, for ${escaped(actor.userName)}. <a href="/ui/status">Again</a> · <a href="/ui/">The whole page</a></p>`;
    res.type('html').send(page('mcpctl: status', body));
  });
  return router;
}
