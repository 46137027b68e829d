import express, { Router, type Request, type Response } from 'express';
import type { z } from 'zod';
import {
  DEVICE,
  deviceAskSchema,
  deviceBeginSchema,
  spacedCode,
  type deviceBegunSchema,
  type deviceTokenSchema,
  type deviceWaitingSchema,
} from '../../core/access/device-login.ts';
import { tellableRequestId } from '../../core/audit/event.ts';
import { addressKey } from '../connections/address.ts';
import type { EdgeDeps } from '../deps.ts';
import { check } from '../http/parse.ts';
import { refuseWhenStopping } from '../middleware/stopping.ts';
import { slowStrangers } from '../middleware/strangers.ts';

/** Strangers send two words. Nobody stands behind these bodies, so none of the bytes that users may send is theirs. */
const MOST_BYTES = 4_096;

/**
 * `/api/v1/login/device`: for programs without a token, before the door that asks for one. What they are given is decided at
 * `/admin/device`, by somebody who has typed their code.
 */
export function deviceRoutes(deps: EdgeDeps): Router {
  const { deviceLogins } = deps.registry;
  const router = Router();
  const before = [slowStrangers(deps), refuseWhenStopping(deps), express.json({ limit: MOST_BYTES })];
  router.post('/login/device', before, async (req: Request, res: Response) => {
    const {
      machine,
      preset = DEVICE.preset,
      expiresInDays: days = DEVICE.days,
      pools = null,
    } = check(req.body, deviceBeginSchema);
    const address = { address: req.ip ?? 'unknown', addressKey: addressKey(req.ip) };
    const begun = await deviceLogins.begin({ machine, preset, days, pools, ...address });
    res.set('cache-control', 'no-store').status(201);
    res.json({
      deviceCode: begun.deviceCode,
      userCode: spacedCode(begun.userCode),
      verificationPath: '/admin/device',
      expiresInS: DEVICE.lifeMs / 1_000,
      intervalS: DEVICE.intervalS,
    } satisfies z.infer<typeof deviceBegunSchema>);
  });
  router.post('/login/device/token', before, async (req: Request, res: Response) => {
    const { deviceCode } = check(req.body, deviceAskSchema);
    const requestId = tellableRequestId(req.context.requestId, deviceCode);
    const asked = await deviceLogins.collect(deviceCode, { requestId, ip: req.ip ?? null });
    res.set('cache-control', 'no-store');
    if ('waitS' in asked) {
      const waiting = { status: 'pending', intervalS: asked.waitS } as const;
      return void res.status(202).json(waiting satisfies z.infer<typeof deviceWaitingSchema>);
    }
    const { row, text, user } = asked;
    deps.bus.emit('registry.written', {
      ...{ verb: 'create', resource: 'token', name: row.name, outcome: 'ok' },
      ...{ actor: user, tokenName: row.name, reqId: req.context.requestId },
    });
    res.json({
      status: 'approved',
      token: text,
      user,
      name: row.name,
      preset: row.filter.preset,
      pools: row.pools,
      expiresAt: row.expiresAt?.toISOString() ?? null,
    } satisfies z.infer<typeof deviceTokenSchema>);
  });
  return router;
}
