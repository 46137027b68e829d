import type { Socket } from 'node:net';
import type { RequestHandler } from 'express';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Rates } from '../limits/rates.ts';
import { isProbe } from './host.ts';

/** Who keeps a connection to probe over it asks no more often than this. */
const PROBE_MS = 500;

/**
 * Before what is answered without a token. A probe is not held to the rate of its address unless it follows another one
 * over its connection: behind one address there may be many, and a platform that gets no answer restarts the edge.
 */
export function slowStrangers({ rates, clock }: { rates: Rates; clock: Clock }): RequestHandler {
  const probedAt = new WeakMap<Socket, number>();
  return async (req, res, next) => {
    if (isProbe(req)) {
      const now = clock.elapsed();
      const before = probedAt.get(req.socket);
      probedAt.set(req.socket, now);
      if (before === undefined || now - before > PROBE_MS) return next();
    }
    const early = rates.ofStranger(req, res);
    if (early) {
      await early;
      if (res.destroyed) return;
    }
    next();
  };
}
