import express, { Router, type Request, type Response } from 'express';
import type { z } from 'zod';
import { can, scopeOf } from '../../core/access.ts';
import { typedCode } from '../../core/access/device-login.ts';
import {
  joinCodeIdSchema,
  joinCodeSchema,
  type joinedSchema,
  joinRequestSchema,
  type joinRequestViewSchema,
  joinSchema,
  type madeJoinCodeSchema,
  type madeJoinCodesSchema,
  type leftSchema,
  spacedJoinCode,
  typedJoinCode,
  type JoinCodeView,
} from '../../core/access/join-code.ts';
import { tellableRequestId } from '../../core/audit/event.ts';
import { McpctlError } from '../../core/errors.ts';
import type { MadeCode } from '../../core/registry/joining/join-codes.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { bodyOf, check } from '../http/parse.ts';
import { written } from '../http/written.ts';
import { listsInTurn } from '../limits/turns.ts';
import { refuseWhenStopping } from '../middleware/stopping.ts';
import { slowStrangers } from '../middleware/strangers.ts';

/** Strangers send two words. */
const MOST_BYTES = 4_096;

/** What a person pastes: this server as they reached it just now. */
const commandFor = (req: Request, code: string): string =>
  `mcplocal join ${req.protocol}://${req.get('host') ?? 'localhost'} --code ${code}`;

async function invite(deps: EdgeDeps, req: Request): Promise<JoinCodeView> {
  const { pools, name, user } = bodyOf(req, joinCodeSchema);
  const what = { verb: 'create', resource: 'join-code', name: name ?? '' } as const;
  const made = await written({ ...deps, req }, what, () =>
    deps.registry.joinCodes.invite({ actor: actorOf(req), pools, name, user }),
  );
  const code = spacedJoinCode(made.code);
  return {
    ...{ code, pools, name: name ?? null, user: made.user },
    expiresAt: made.expiresAt.toISOString(),
    command: commandFor(req, code),
    credentialEndsAt: made.credentialEndsAt?.toISOString() ?? null,
  };
}

const shownCode = ({
  createdAt,
  expiresAt,
  usedAt,
  ...code
}: MadeCode): z.infer<typeof madeJoinCodeSchema> => ({
  ...{ id: code.id, state: code.state, pools: code.pools, name: code.name, user: code.user },
  ...{ madeBy: code.madeBy, createdAt: createdAt.toISOString(), expiresAt: expiresAt.toISOString() },
  ...{ usedAt: usedAt?.toISOString() ?? null, usedBy: code.usedBy },
});

async function withdraw(deps: EdgeDeps, req: Request): Promise<void> {
  const id = joinCodeIdSchema.safeParse(req.params['id']);
  const code = id.success ? await deps.registry.joinCodes.byId(id.data) : undefined;
  const isTheirs =
    code !== undefined &&
    can(actorOf(req), 'delete', {
      resource: 'token',
      target: { ownerId: code.ownerId, tokenId: code.tokenId },
    });
  if (!isTheirs)
    throw new McpctlError('join_code_unknown', 'There is no such code: mcpctl worker codes shows yours.');
  const what = { verb: 'delete', resource: 'join-code', name: code.name ?? '' } as const;
  await written({ ...deps, req }, what, () => deps.registry.joinCodes.withdraw(code.id, actorOf(req)));
}

/** Who asks, and, with an answer, what comes of it. Logins of people are approved on their page alone (routes/devices.ts). */
async function request(deps: EdgeDeps, req: Request): Promise<z.infer<typeof joinRequestViewSchema>> {
  const { code, answer } = bodyOf(req, joinRequestSchema);
  const userCode = typedCode(code);
  if (userCode === undefined)
    throw new McpctlError('invalid_request', 'A code is eight letters, as BCDF-GHJK.');
  const typed = { userCode, actor: actorOf(req) };
  const { deviceLogins } = deps.registry;
  const { machine, address, pools } = await deviceLogins.look(typed);
  if (pools === null)
    throw new McpctlError('forbidden', 'A person logs in with that code: approve it at /admin/device.');
  if (answer === undefined) return { machine, address, pools: [...pools], status: 'waiting' };
  const approve = answer === 'approve';
  const what = { verb: approve ? 'create' : 'delete', resource: 'device login', name: '' } as const;
  await written({ ...deps, req }, what, () => deviceLogins.decide({ ...typed, approve }));
  return { machine, address, pools: [...pools], status: approve ? 'approved' : 'denied' };
}

/** Its rows go at once, but for llms that agents are pinned to, as they do when it has long been gone. */
async function leave(deps: EdgeDeps, req: Request): Promise<z.infer<typeof leftSchema>> {
  const { registry, authenticator, authority, putOut } = deps;
  const { userName: user, tokenName: name } = actorOf(req);
  const left = await written({ ...deps, req }, { verb: 'delete', resource: 'token', name }, () =>
    registry.workerCredentials.leave(actorOf(req)),
  );
  authenticator.forget();
  await authority.ask();
  for (const { session } of left) await putOut.session(session);
  const llms = left.flatMap((one) => one.llms);
  const ids = llms.map(({ id }) => id);
  const deleted = new Set((await registry.sessions.deleteGone(0, ids)).map(({ id }) => id));
  const names = (isDeleted: boolean): string[] =>
    llms.filter(({ id }) => deleted.has(id) === isDeleted).map((llm) => llm.name);
  return { user, name, llms: names(true), kept: names(false) };
}

/** For who has a token: to let a worker in, and, for the worker itself, to leave. */
export function joiningRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.post('/join-codes', async (req, res) => {
    const made = await invite(deps, req);
    res.set('cache-control', 'no-store').status(201).json(made);
  });
  router.get('/join-codes', listsInTurn(deps), async (req, res) => {
    const actor = actorOf(req);
    // What may be seen of tokens may be seen of what becomes one.
    const scope = scopeOf(actor, 'view', 'token');
    if (!scope) throw new McpctlError('forbidden', `Your token '${actor.tokenName}' may not view tokens.`);
    const codes = await deps.registry.joinCodes.list(scope);
    res.json({ items: codes.map(shownCode) } satisfies z.infer<typeof madeJoinCodesSchema>);
  });
  router.delete('/join-codes/:id', async (req, res) => {
    await withdraw(deps, req);
    res.status(204).end();
  });
  router.post('/join-requests', async (req, res) => void res.json(await request(deps, req)));
  router.post('/leave', async (req, res) => void res.json(await leave(deps, req)));
  return router;
}

/** `/api/v1/join`: before the door that asks for a token, as who joins has none. */
export function joinRoutes(deps: EdgeDeps): Router {
  const router = Router();
  const before = [slowStrangers(deps), refuseWhenStopping(deps), express.json({ limit: MOST_BYTES })];
  router.post('/join', before, async (req: Request, res: Response) => {
    const { code: typed, machine } = check(req.body, joinSchema);
    const code = typedJoinCode(typed);
    if (code === undefined)
      throw new McpctlError(
        'join_code_unknown',
        'A join code is twelve letters and digits, as 7F3K-Q2ZD-M8RT.',
      );
    const requestId = tellableRequestId(req.context.requestId, code);
    const origin = { requestId, ip: req.ip ?? null };
    const { row, text, host } = await deps.registry.joinCodes.exchange({ code, machine, origin });
    deps.bus.emit('registry.written', {
      ...{ verb: 'create', resource: 'token', name: row.name, outcome: 'ok' },
      ...{ actor: row.user, tokenName: row.name, reqId: req.context.requestId },
    });
    res.set('cache-control', 'no-store').status(201);
    res.json({
      token: text,
      user: row.user,
      name: row.name,
      host,
      pools: row.pools ?? [],
      expiresAt: row.expiresAt?.toISOString() ?? null,
    } satisfies z.infer<typeof joinedSchema>);
  });
  return router;
}
