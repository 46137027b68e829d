import type { Request, RequestHandler } from 'express';
import { actorOf } from '../http/context.ts';
import { whenLeft } from '../http/gone.ts';
import { untilClosed } from './caps.ts';
import type { FairGate } from './fair-gate.ts';
import type { Gates } from './gates.ts';

/** Waits for its user's turn, and keeps the place until the answer has left. @throws McpctlError `too_many_requests`. */
export async function takeTurn(gate: FairGate, req: Request): Promise<void> {
  const { res } = req;
  if (res) untilClosed(res, await gate.enter(actorOf(req).userId, whenLeft(res)));
}

/** For a route that lists or sums: a few at a time of one user, so that a crowd of them waits for itself. */
export const inTurn =
  ({ gates }: { gates: Pick<Gates, 'lists'> }): RequestHandler =>
  async (req, _res, next) => {
    await takeTurn(gates.lists, req);
    next();
  };
