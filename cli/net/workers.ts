import { z } from 'zod';
import type { Keyed } from '../keyed.ts';
import type { Http } from './http.ts';
import { readAnswer } from './views.ts';

/** What is done to a worker from here. */
export type WorkerCall = 'pause' | 'resume' | 'drain' | 'revoke';

/** Of a newer server there may be states that are not known here. */
const workerSchema = z.object({ state: z.string().optional(), running: z.number().optional() });
const invitedSchema = z.looseObject({
  command: z.string(),
  expiresAt: z.string(),
  credentialEndsAt: z.string().nullable().catch(null),
});
const codeSchema = z.looseObject({
  id: z.string(),
  state: z.string(),
  pools: z.array(z.string()),
  name: z.string().nullable().catch(null),
  user: z.string(),
  madeBy: z.string(),
  expiresAt: z.string(),
  usedBy: z.string().nullable().catch(null),
});
const codesSchema = z.object({ items: z.array(codeSchema) });
const requestSchema = z.object({
  machine: z.string(),
  address: z.string(),
  pools: z.array(z.string()),
  status: z.string(),
});

/** A join code, without what is typed of it. */
export interface SeenCode extends Keyed {
  view: z.infer<typeof codeSchema>;
}

export interface WorkerCalls {
  /** By the name of its machine, or its id. @returns how it is then; nothing of one that is revoked. */
  call(name: string, call: WorkerCall): Promise<z.infer<typeof workerSchema>>;
  /** Makes a code that a machine joins with. */
  invite(asked: {
    pools: readonly string[];
    name?: string | undefined;
    user?: string | undefined;
  }): Promise<z.infer<typeof invitedSchema>>;
  /** Codes that were made, newest first. */
  codes(): Promise<SeenCode[]>;
  /** Nobody joins with it any more. */
  withdraw(id: string): Promise<void>;
  /** Who shows that code, and, with an answer, lets it in or not. */
  request(code: string, answer?: 'approve' | 'deny'): Promise<z.infer<typeof requestSchema>>;
}

export function workerCalls(http: Http): WorkerCalls {
  const post = async <T>(schema: z.ZodType<T>, path: string, body: object): Promise<T> =>
    readAnswer(schema, await http.json({ method: 'POST', path: `/api/v1/${path}`, body }));
  return {
    call: async (name, call) => {
      const one = `sessions/${encodeURIComponent(name)}`;
      if (call !== 'revoke') return await post(workerSchema, `${one}/${call}`, {});
      await http.json({ method: 'DELETE', path: `/api/v1/${one}` });
      return {};
    },
    invite: (asked) => post(invitedSchema, 'join-codes', asked),
    codes: async () => {
      const answer = await http.json({ method: 'GET', path: '/api/v1/join-codes' });
      return readAnswer(codesSchema, answer).items.map((view) => ({ key: view.id, raw: view, view }));
    },
    withdraw: async (id) => {
      await http.json({ method: 'DELETE', path: `/api/v1/join-codes/${encodeURIComponent(id)}` });
    },
    request: (code, answer) =>
      post(requestSchema, 'join-requests', { code, ...(answer !== undefined && { answer }) }),
  };
}
