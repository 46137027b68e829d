import { Router, type Request, type Response } from 'express';
import { canToAll } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { nameSchema } from '../../core/names.ts';
import { revealSchema, rollbackSchema, secret } from '../../core/resources/people/secret.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { bodyOf, showRevision } from '../http/parse.ts';
import { written } from '../http/written.ts';
import { viewsOf } from '../resources/routes.ts';
import { listsInTurn } from '../limits/turns.ts';

/** What cannot be a name is nobody's. */
function nameOf(req: Request): string {
  const parsed = nameSchema.safeParse(req.params['name']);
  if (!parsed.success) throw new McpctlError('secret_not_found');
  return parsed.data;
}

/**
 * The one place where a value leaves this server. What is told of it here, done or refused, names who, by which token, and
 * which secret; it is told before anything is sent.
 */
async function reveal(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const name = nameOf(req);
  bodyOf(req, revealSchema);
  const answer = await written(
    { ...deps, req },
    { verb: 'reveal', resource: secret.word, name },
    async () => {
      if (!deps.config.secretsReveal)
        throw new McpctlError(
          'forbidden',
          'No value of a secret is shown here (MCPCTL_SECRETS_REVEAL is off).',
        );
      return deps.registry.secrets.reveal(name, actorOf(req));
    },
  );
  res.set('cache-control', 'no-store').json(answer);
}

async function versions({ registry }: EdgeDeps, req: Request) {
  const [current, ...former] = await registry.secrets.versions(nameOf(req), actorOf(req));
  const all = [
    ...(current ? [{ ...current, current: true }] : []),
    ...former.map((v) => ({ ...v, current: false })),
  ];
  return {
    items: all.map(({ createdAt, ...version }) => ({ ...version, createdAt: createdAt.toISOString() })),
  };
}

async function rollback(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const [name, actor] = [nameOf(req), actorOf(req)];
  const { to } = bodyOf(req, rollbackSchema);
  const what = { verb: 'edit', resource: secret.word, name } as const;
  const { row } = await written({ ...deps, req }, what, () =>
    deps.registry.secrets.rollback(name, { to, actor }),
  );
  const [view] = await viewsOf(deps, secret, { rows: [row], actor });
  showRevision(res, row).json(view);
}

/** Of all secrets together, so for who may see them all. */
async function keys({ registry, keyring }: EdgeDeps, req: Request) {
  if (!canToAll(actorOf(req), 'view', secret))
    throw new McpctlError(
      'forbidden',
      'Only who may view every secret may see under which keys they are kept.',
    );
  const keys = keyring.now();
  const counts = await registry.secrets.keys();
  const kids = [...new Set([...(keys ? keys.byKid.keys() : []), ...counts.keys()])];
  const stateOf = (kid: string) =>
    kid === keys?.active.kid ? 'active' : keys?.byKid.has(kid) ? 'held' : 'missing';
  return { items: kids.map((kid) => ({ kid, state: stateOf(kid), versions: counts.get(kid) ?? 0 })) };
}

/** What a secret has besides create, read, update and delete. */
export function secretRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/keyring', listsInTurn(deps), async (req, res) => void res.json(await keys(deps, req)));
  router.get('/secrets/:name/versions', listsInTurn(deps), async (req, res) => {
    res.json(await versions(deps, req));
  });
  router.post('/secrets/:name/reveal', (req, res) => reveal(deps, req, res));
  router.post('/secrets/:name/rollback', (req, res) => rollback(deps, req, res));
  return router;
}
