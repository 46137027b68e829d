import { z } from 'zod';
import { grantable } from '../../access/grants.ts';

export const roleSchema = z.enum(['view', 'create', 'edit', 'delete', 'run']);

const resourceSchema = z
  .string()
  .refine(
    (word) => grantable.includes(word),
    `is no resource that is granted; there are ${grantable.join(', ')}`,
  );

/** A binding of an rbac document, as people write it: `run:llm:gpt` on the command line. */
export const grantSchema = z.strictObject({
  role: roleSchema,
  resource: resourceSchema,
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._@:/-]{0,127}$/, 'a name is 1 to 128 of A-Z a-z 0-9 . _ @ : / -')
    .optional(),
});
