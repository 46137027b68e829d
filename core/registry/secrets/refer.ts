import type { Knex } from 'knex';
import { z } from 'zod';
import { can, type Actor } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import type { ApiKeyRef } from '../../llm.ts';
import { canonical } from '../canonical.ts';
import { keySizesSchema, secret } from '../../resources/people/secret.ts';
import { findRow, type ResourceRow } from '../resources/rows.ts';

/** An llm as it is to be, as far as it uses a secret. */
interface Referring {
  id: string;
  url: string | null;
  apiKeyRef: ApiKeyRef | null;
}

const originsSchema = z.array(z.string());
const originOf = (url: string): string => new URL(url).origin;

/** The secret's name and key, where it is one that is referred to. */
const secretIn = (ref: ApiKeyRef | null) => (ref && 'secretRef' in ref ? ref.secretRef : null);

/** Whether what an llm is to be asks anew whether it may have its key: another one, or another place to send it to. */
export function refersAnew({
  from,
  to,
}: {
  from: Omit<Referring, 'id'>;
  to: Omit<Referring, 'id'>;
}): boolean {
  const after = to.apiKeyRef;
  if (canonical(from.apiKeyRef) !== canonical(after)) return true;
  return after !== null && (from.url === null || to.url === null || originOf(from.url) !== originOf(to.url));
}

/** Whether somebody was allowed to refer so; a release that knew no secrets wrote rows without asking. */
export async function isReferred(
  trx: Knex.Transaction,
  { id, apiKeyRef }: Omit<Referring, 'url'>,
): Promise<boolean> {
  if (secretIn(apiKeyRef) === null) return true;
  return (await trx('secretRefs').where({ llmId: id }).first<unknown>('llmId')) !== undefined;
}

/**
 * What lies on the machine of hosted workers has no name in the registry, nobody who says who may refer to it, and no origins:
 * it is sent to wherever the llm is. So it is for who may do as much with every secret.
 * @throws McpctlError `forbidden`
 */
function needMayNameHostKeys(actor: Actor | undefined): void {
  if (actor && (['run', 'edit'] as const).every((verb) => can(actor, verb, { resource: secret }))) return;
  throw new McpctlError(
    'forbidden',
    'To have an llm use a variable or a file of the hosted worker takes run and edit of every secret; refer to a secret instead (apiKeyRef.secretRef).',
  );
}

/**
 * Keeps which key an llm uses, in the transaction that writes the llm. Who names a variable or a file may do so; whoever refers to one may `run` it, the value is
 * there, and the llm is where it may be sent. Locks the secret behind the llm.
 * @throws McpctlError `invalid_request` for a secret that is not there or may not be seen, a key that it lacks, an origin
 *   that it may not be sent to; `forbidden` where it may be seen only, and of a variable or a file.
 */
export async function referToKey(
  trx: Knex.Transaction,
  { id, url, apiKeyRef }: Referring,
  actor: Actor | undefined,
): Promise<void> {
  const asked = secretIn(apiKeyRef);
  if (asked === null || url === null) {
    if (apiKeyRef !== null) needMayNameHostKeys(actor);
    return void (await trx('secretRefs').where({ llmId: id }).delete());
  }
  if (!actor) throw new McpctlError('forbidden', 'Nobody is asked here whether they may refer to a secret.');
  const { name, key } = asked;
  const row = await findRow(trx, secret, { actor, asked: name, hold: 'to write' });
  if (!row) throw fault('apiKeyRef.secretRef.name', `there is no secret named '${name}'`);
  if (!can(actor, 'run', { resource: secret, target: { name } }))
    throw new McpctlError(
      'forbidden',
      `Your token may not run the secret '${name}', which it takes to refer to it.`,
    );
  if (!keySizesSchema.parse(row.values['keys']).some((each) => each.name === key))
    throw fault('apiKeyRef.secretRef.key', `the secret '${name}' has no key of that name`);
  await needAllowed(trx, row, { origin: originOf(url), path: 'url' });
  const reference = { llmId: id, secretId: row.id, key, allowedBy: actor.userId };
  await trx('secretRefs').insert(reference).onConflict('llmId').merge(['secretId', 'key', 'allowedBy']);
}

/** Where a secret may be sent; none: nobody has said yet. */
export function originsOf({ values }: ResourceRow): readonly unknown[] {
  const allowed = originsSchema.parse(values['allowedOrigins']);
  return allowed.length > 0 || values['origin'] === null ? allowed : [values['origin']];
}

/**
 * Where no origins are said, what refers to it first says where it goes from then on. @param to `path` is what the fault is about.
 * @throws McpctlError `invalid_request`
 */
export async function needAllowed(
  trx: Knex.Transaction,
  row: ResourceRow,
  { origin, path }: { origin: string; path: string },
): Promise<void> {
  const origins = originsOf(row);
  if (origins.length === 0) {
    await trx('secrets').where({ id: row.id }).update({ origin });
    return;
  }
  if (origins.includes(origin)) return;
  throw fault(
    path,
    `'${origin}' is none of the origins that the secret '${String(row.values['name'])}' may be sent to`,
  );
}

const fault = (path: string, message: string): McpctlError =>
  new McpctlError('invalid_request', undefined, { details: [{ path, message }] });
