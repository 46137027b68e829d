import type { Request, RequestHandler } from 'express';
import { actorOf, crowdOf, needStillThem } from '../http/context.ts';
import { whenLeft } from '../http/gone.ts';
import { untilClosed } from './caps.ts';
import type { FairGate } from './fair-gate.ts';
import type { Gates } from './gates.ts';

/**
 * @param owner whose crowd it is part of, where that is not `crowdOf`. @returns the way out. @throws McpctlError `too_many_requests`, and
 * what `needStillThem` does.
 */
export async function enterInTurn(
  gate: FairGate,
  req: Request,
  owner = crowdOf(req, actorOf(req)),
): Promise<() => void> {
  const leave = await gate.enter(owner, req.res && whenLeft(req.res));
  try {
    await needStillThem(req);
    return leave;
  } catch (thrown) {
    leave();
    throw thrown;
  }
}

/** Works when it is its user's turn. @throws McpctlError `too_many_requests`, and what `work` does. */
export async function inItsTurn<T>(gate: FairGate, req: Request, work: () => Promise<T>): Promise<T> {
  const leave = await enterInTurn(gate, req);
  try {
    return await work();
  } finally {
    leave();
  }
}

/** Waits for its user's turn, and keeps the place until the answer has left. @throws McpctlError `too_many_requests`. */
export async function takeTurn(gate: FairGate, req: Request): Promise<void> {
  const { res } = req;
  if (res) untilClosed(res, await enterInTurn(gate, req));
}

/** For a route that lists or sums, or looks how a pool is: a few at a time of one user, so that a crowd of them waits for itself. */
export const listsInTurn =
  ({ gates }: { gates: Pick<Gates, 'lists'> }): RequestHandler =>
  async (req, _res, next) => {
    await takeTurn(gates.lists, req);
    next();
  };
