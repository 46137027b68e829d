import express, { Router, type Request, type Response } from 'express';
import { z } from 'zod';
import { spacedCode, typedCode } from '../../core/access/device-login.ts';
import { entryOf, McpctlError } from '../../core/errors.ts';
import type { WaitingDevice } from '../../core/registry/people/device-logins.ts';
import type { EdgeDeps } from '../deps.ts';
import { actorOf } from '../http/context.ts';
import { written } from '../http/written.ts';
import { decidedPage, devicePage, waitingPage } from './device-pages.ts';
import { html } from './pages.ts';

const formSchema = z.object({
  code: z.string().max(64),
  answer: z.enum(['approve', 'deny']).optional(),
});

function formOf(req: Request): { userCode: string; answer: 'approve' | 'deny' | undefined } {
  const { data } = formSchema.safeParse(req.body);
  const userCode = data && typedCode(data.code);
  if (userCode === undefined)
    throw new McpctlError('invalid_request', 'A code is eight letters, as BCDF-GHJK.');
  return { userCode, answer: data?.answer };
}

/**
 * `/admin/device`: whoever is signed in types the code that a program shows, sees who asks for what, and approves. No link
 * carries a code, and nothing but a form of this page decides: to have somebody approve another's login is the known attack.
 */
export function deviceApproval(deps: EdgeDeps): Router {
  const { registry, denied } = deps;
  const router = Router();
  const form = express.urlencoded({ extended: false, limit: 4_096 });
  /** Who typed it is told on the same page what is wrong. */
  const orSay = async (req: Request, res: Response, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (thrown) {
      if (!(thrown instanceof McpctlError) || thrown.code === 'internal') throw thrown;
      denied.count(req, thrown);
      const { message: fault, code, retryAfterS } = thrown;
      if (retryAfterS !== undefined) res.set('retry-after', String(retryAfterS));
      html(res.status(entryOf(code).status), devicePage({ fault }));
    }
  };
  router.get('/device', (_req, res) => html(res, devicePage({})));
  router.post('/device', form, (req, res) =>
    orSay(req, res, async () => {
      const { userCode } = formOf(req);
      const waiting = await registry.deviceLogins.look({ userCode, actor: actorOf(req) });
      html(res, waitingPage({ code: spacedCode(userCode), waiting, user: actorOf(req).userName }));
    }),
  );
  router.post('/device/decide', form, (req, res) =>
    orSay(req, res, async () => {
      const { userCode, answer } = formOf(req);
      if (answer === undefined) throw new McpctlError('invalid_request', 'Approve it, or deny it.');
      const approve = answer === 'approve';
      const what = { verb: approve ? 'create' : 'delete', resource: 'device login', name: '' } as const;
      const decide = (): Promise<WaitingDevice> =>
        registry.deviceLogins.decide({ userCode, approve, actor: actorOf(req) });
      const { machine } = await written({ ...deps, req }, what, decide);
      html(res, decidedPage({ machine, approve }));
    }),
  );
  return router;
}
