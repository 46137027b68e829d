import type { Request, RequestHandler } from 'express';
import type { Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import type { Audits } from '../../core/registry/audit/audits.ts';
import type { Groups } from '../../core/registry/identity/groups.ts';
import type { Authenticator } from '../believed/authenticator.ts';
import type { Authority } from '../believed/authority.ts';
import type { TokenUses } from '../believed/token-uses.ts';
import { withOrigin } from '../audit/origin.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { actorOf, crowdOf, needStillThem } from '../http/context.ts';
import { holdAnswer } from '../http/held-answer.ts';
import { loopTurn } from '../../core/text/loop-turns.ts';
import { untilClosed, type Caps } from '../limits/caps.ts';
import { addressKey } from '../connections/address.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Rates } from '../limits/rates.ts';

/** `Authorization: Bearer` and `x-api-key` are one door (docs/spec.md §9). */
export function tokenOf(req: Request): string | undefined {
  const bearer = /^bearer +(\S+) *$/i.exec(req.get('authorization') ?? '')?.[1];
  return bearer ?? req.get('x-api-key')?.trim();
}

/** Whom a call is made as, by who may; said twice it names nobody. */
const AS = 'x-mcpctl-as';

/** A user with more requests on their way than this takes turns with others at the beginning of each. */
const MANY_IN_FLIGHT = 8;

const isLimit = (thrown: unknown): boolean =>
  thrown instanceof McpctlError && thrown.code === 'too_many_requests';

interface DoorDeps {
  caps: Pick<Caps, 'enter'>;
  rates: Pick<Rates, 'ofUser'>;
  authority: Pick<Authority, 'hold'>;
  metrics: Pick<Metrics, 'authFailed'>;
  tokenUses: Pick<TokenUses, 'note'>;
  registry: { groups: Pick<Groups, 'actAs'>; audits: Pick<Audits, 'record'> };
  clock: Clock;
}

/** What a request says who it is by, and whom that speaks for. */
export interface Credential {
  of(req: Request): string | undefined;
  actorOf(credential: string, req: Request): Promise<Actor | undefined>;
  /** Which browser session it stands for, as that is stored. */
  browserOf?(credential: string): string;
}

const byToken = ({ authenticator }: { authenticator: Authenticator }): Credential => ({
  of: tokenOf,
  actorOf: (token, req) => authenticator.actorOf(token, () => addressKey(req.ip)),
});

/** The door of programs. */
export const authenticate = (deps: DoorDeps & { authenticator: Authenticator }): RequestHandler =>
  authenticateBy(byToken(deps), deps);

/** Before anything is shown to them, and so that whom they act as sees it. */
async function tellOfActing({ audits }: DoorDeps['registry'], actor: Actor): Promise<void> {
  const { userId: id, userName: name } = actor;
  await audits.record(actor, { verb: 'impersonate', resource: 'user', id, name });
}

/** Whoever waits longer than this, for a body or a turn, is asked for again before anything is done. */
const BELIEVED_MS = 1_000;

/** The one place where a request gets its actor, or is refused. */
export function authenticateBy(
  credential: Credential,
  { caps, rates, authority, metrics, tokenUses, registry, clock }: DoorDeps,
): RequestHandler {
  const actorIn = async (req: Request, token: string | undefined): Promise<Actor> => {
    let actor: Actor | undefined;
    try {
      actor = token ? await credential.actorOf(token, req) : undefined;
    } catch (thrown) {
      metrics.authFailed(isLimit(thrown) ? 'limited' : 'unavailable');
      throw thrown;
    }
    if (actor) return actor;
    metrics.authFailed(token ? 'invalid' : 'missing');
    req.res?.set('www-authenticate', 'Bearer realm="mcpctl"');
    throw new McpctlError('unauthenticated');
  };
  return async (req, res, next) => {
    const token = credential.of(req);
    const as = req.get(AS);
    let askedAt = 0;
    let them: Actor | undefined;
    const ask = async (): Promise<Actor> => {
      askedAt = clock.elapsed();
      const actor = await actorIn(req, token);
      // Whoever asks for another is never taken for themselves: what cannot be read is refused, and who asked is in the audit.
      req.context.actor ??= withOrigin(req, actor, token);
      const now = withOrigin(req, as === undefined ? actor : await registry.groups.actAs(actor, as), token);
      // In its place: what was begun for them sees what they may by now.
      them = them ? Object.assign(them, now) : now;
      req.context.actor = them;
      return actor;
    };
    const actor = await ask();
    tokenUses.note(actor.tokenId);
    req.context.askAgain = async () => {
      if (clock.elapsed() - askedAt > BELIEVED_MS) await ask();
    };
    if (as !== undefined) res.set({ 'x-mcpctl-actor': actor.userName, [AS]: as });
    const crowd = crowdOf(req, actor);
    const { inFlight, leave } = caps.enter({ userId: crowd, tokenId: actor.tokenId });
    untilClosed(res, leave);
    req.context.browser = token && credential.browserOf?.(token);
    untilClosed(res, holdAnswer(authority, { res }));
    const early = rates.ofUser(crowd, req, res);
    if (early) {
      await early;
      if (res.destroyed) return; // nobody waits for it any more
    }
    // A crowd of one user's requests begins a few a turn, so that what others ask for is not behind all of it.
    if (inFlight > MANY_IN_FLIGHT) await loopTurn(crowd);
    if (as !== undefined) {
      await needStillThem(req);
      await tellOfActing(registry, actorOf(req));
    }
    next();
  };
}

/** For public paths that tell more to those who are known: a missing or wrong token is no fault here. */
export function recognise({ authenticator }: { authenticator: Authenticator }): RequestHandler {
  return async (req, _res, next) => {
    const token = tokenOf(req);
    if (token)
      req.context.actor = await authenticator.actorOf(token, () => addressKey(req.ip)).catch(() => undefined);
    next();
  };
}
