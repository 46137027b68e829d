import type { Request, RequestHandler } from 'express';
import { actorOf } from '../http/context.ts';
import { whenLeft } from '../http/gone.ts';
import { untilClosed } from './caps.ts';
import type { FairGate } from './fair-gate.ts';
import type { Gates } from './gates.ts';

const enter = (gate: FairGate, req: Request): Promise<() => void> =>
  gate.enter(actorOf(req).userId, req.res && whenLeft(req.res));

/** Works when it is its user's turn. @throws McpctlError `too_many_requests`, and what `work` does. */
export async function inItsTurn<T>(gate: FairGate, req: Request, work: () => Promise<T>): Promise<T> {
  const leave = await enter(gate, req);
  try {
    return await work();
  } finally {
    leave();
  }
}

/** Waits for its user's turn, and keeps the place until the answer has left. @throws McpctlError `too_many_requests`. */
export async function takeTurn(gate: FairGate, req: Request): Promise<void> {
  const { res } = req;
  if (res) untilClosed(res, await enter(gate, req));
}

/** For a route that lists or sums: a few at a time of one user, so that a crowd of them waits for itself. */
export const listsInTurn =
  ({ gates }: { gates: Pick<Gates, 'lists'> }): RequestHandler =>
  async (req, _res, next) => {
    await takeTurn(gates.lists, req);
    next();
  };
