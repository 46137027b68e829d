import { z } from 'zod';
import type { Http } from './http.ts';
import { readAnswer } from './views.ts';

const versionSchema = z.looseObject({
  version: z.number(),
  current: z.boolean(),
  keys: z.array(z.object({ name: z.string(), bytes: z.number() })),
  kid: z.string().optional(),
  createdBy: z.string().optional(),
  createdAt: z.string(),
});
export type SeenVersion = z.infer<typeof versionSchema>;

const kidSchema = z.object({ kid: z.string(), state: z.string(), versions: z.number() });
export type SeenKid = z.infer<typeof kidSchema>;

const revealedSchema = z.object({ version: z.number(), data: z.record(z.string(), z.string()) });
const writtenSchema = z.looseObject({
  name: z.string(),
  version: z.number(),
  revision: z.number(),
  data: z.record(z.string(), z.unknown()),
});
type SeenSecret = z.infer<typeof writtenSchema>;

export interface SecretCalls {
  /** The values themselves. */
  reveal(name: string): Promise<z.infer<typeof revealedSchema>>;
  versions(name: string): Promise<SeenVersion[]>;
  /** @param to the one before the current, unless told. */
  rollback(name: string, to: number | undefined): Promise<SeenSecret>;
  /** Gives keys new values; the others are kept. @returns as it was, and as it is. */
  rotate(
    name: string,
    values: Readonly<Record<string, string>>,
  ): Promise<{ before: SeenSecret; now: SeenSecret }>;
  /** Under which keys secrets are kept. */
  keyring(): Promise<SeenKid[]>;
}

export function secretCalls(http: Http): SecretCalls {
  const at = (name: string, what = ''): string => `/api/v1/secrets/${encodeURIComponent(name)}${what}`;
  return {
    reveal: async (name) =>
      readAnswer(revealedSchema, await http.json({ method: 'POST', path: at(name, '/reveal'), body: {} })),
    versions: async (name) =>
      readAnswer(
        z.object({ items: z.array(versionSchema) }),
        await http.json({ method: 'GET', path: at(name, '/versions') }),
      ).items,
    rollback: async (name, to) => {
      const body = to === undefined ? {} : { to };
      return readAnswer(
        writtenSchema,
        await http.json({ method: 'POST', path: at(name, '/rollback'), body }),
      );
    },
    rotate: async (name, values) => {
      const before = readAnswer(writtenSchema, await http.json({ method: 'GET', path: at(name) }));
      const headers = { 'if-match': `"${before.revision}"` };
      const body = { data: { ...before.data, ...values } };
      const now = await http.json({ method: 'PATCH', path: at(name), body, headers });
      return { before, now: readAnswer(writtenSchema, now) };
    },
    keyring: async () =>
      readAnswer(
        z.object({ items: z.array(kidSchema) }),
        await http.json({ method: 'GET', path: '/api/v1/keyring' }),
      ).items,
  };
}
