import { z } from 'zod';
import { doubtsOf, type Standing } from '../../../core/access/standing.ts';
import { McpctlError } from '../../../core/errors.ts';
import type { CatalogueEntry } from '../../../core/resources/catalogue.ts';
import { roleSchema } from '../../../core/resources/people/grant.ts';
import type { Keyed } from '../../keyed.ts';
import type { Client } from '../../net/client.ts';
import type { Output } from '../../say/output.ts';

const subjectSchema = z.object({ kind: z.string(), name: z.string() });
const grantSchema = z
  .object({ role: roleSchema, resource: z.string(), name: z.string().optional() })
  .transform(({ name = null, ...grant }) => ({ ...grant, name }));
const documentSchema = z
  .object({
    name: z.string(),
    subjects: z.array(subjectSchema),
    bindings: z.array(grantSchema),
    operations: z.array(z.string()),
  })
  .transform(({ bindings, ...rest }): Standing => ({ ...rest, grants: bindings }));

/** What a newer server says in another way is passed over. */
const standingOf = ({ raw }: Keyed): Standing[] => {
  const { data } = documentSchema.safeParse(raw);
  return data ? [data] : [];
};

/** Of a document that was just made, beside those that one may see. It is made whatever is said here. */
export async function sayDoubts(
  { client, out }: { client: Client; out: Output },
  entry: CatalogueEntry,
  made: Keyed,
): Promise<void> {
  const [document] = standingOf(made);
  if (!document) return;
  try {
    const standing = (await client.resources.list(entry, {})).flatMap(standingOf);
    for (const doubt of doubtsOf(document, standing)) out.note(`Warning: ${doubt}`);
  } catch (thrown) {
    if (!(thrown instanceof McpctlError)) throw thrown;
  }
}
