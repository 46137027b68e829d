import { Router, type RequestHandler } from 'express';
import { McpctlError } from '../../core/errors.ts';
import type { OverviewView } from '../../core/operator/overview.ts';
import { escaped, page } from '../admin/pages.ts';
import { addressKey } from '../connections/address.ts';
import type { EdgeDeps } from '../deps.ts';
import { actorOf } from '../http/context.ts';
import { listsInTurn } from '../limits/turns.ts';
import { authenticateBy, tokenOf, type Credential } from '../middleware/authenticate.ts';
import type { WebSessions } from './sessions.ts';

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

/** The numbers of the page's overview. */
function table({ pools, sums, workers, lately }: OverviewView): string {
  const rows = pools.map(({ poolKey, size, activeCount, running, pending }) => {
    const cells = [`${String(activeCount)} of ${String(size)}`, running, pending];
    const numbers = cells.map((cell) => `<td>${String(cell)}</td>`).join('');
    return `<tr><th scope="row">${escaped(poolKey)}</th>${numbers}</tr>`;
  });
  if (rows.length === 0)
    return '<p>No pool that you may see. Publish a model with <code>mcplocal run</code>.</p>';
  const head = ['Pool', 'Serving', 'Running', 'Waiting']
    .map((name) => `<th scope="col">${name}</th>`)
    .join('');
  const facts = [
    `${String(workers.there)} of ${String(workers.total)} workers there`,
    `${String(sums.running)} running, ${String(sums.waiting)} waiting`,
    `${String(lately.tokensPerS)} tokens a second, ${String(lately.failed)} of ${String(lately.ended)} failed in the last ${String(Math.ceil(lately.seconds / 60))} minutes`,
  ];
  return `<p>${facts.join(' · ')}</p>
<table><thead><tr>${head}</tr></thead><tbody>${rows.join('\n')}</tbody></table>`;
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
${table(await deps.overview(actor))}
<p>At ${at} UTC, for ${escaped(actor.userName)}. <a href="/ui/status">Again</a> · <a href="/ui/">The whole page</a></p>`;
    res.type('html').send(page('mcpctl: status', body));
  });
  return router;
}
