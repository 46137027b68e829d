import type { Knex } from 'knex';
import { can, type Actor } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import { secretsOf, type SecretUse, type ServerVariable, type Source } from '../../mcp/hosted/source.ts';
import { secret } from '../../resources/people/secret.ts';
import { findRow } from '../resources/rows.ts';
import { needAllowed, originsOf } from '../secrets/refer.ts';

interface Using {
  source: Source | null;
  env: readonly ServerVariable[];
}

const originOf = ({ source }: Using): string | null =>
  source !== null && 'url' in source ? new URL(source.url).origin : null;

/**
 * Whoever refers to a secret may `run` it; that is asked by its name, as there may be none yet. A secret that goes to some origins alone
 * goes to no process: nobody could say where that would send it.
 * @param before what it was, which nobody is asked about again. @throws McpctlError `forbidden`, `invalid_request`
 */
export async function needMayUse(
  trx: Knex.Transaction,
  { parts, before, actor }: { parts: Using; before: Using | null; actor: Actor },
): Promise<void> {
  const origin = originOf(parts);
  const isMoved = before !== null && originOf(before) !== origin;
  const had = before === null || isMoved ? [] : secretsOf(before.source, before.env);
  for (const { place, name, key } of secretsOf(parts.source, parts.env)) {
    if (had.some((use) => use.name === name && use.key === key)) continue;
    if (!can(actor, 'run', { resource: secret, target: { name } }))
      throw new McpctlError(
        'forbidden',
        `Your token may not run the secret '${name}', which it takes to refer to it.`,
      );
    const row = await findRow(trx, secret, { actor, asked: name, hold: 'to write' });
    if (!row) continue;
    if (origin !== null) await needAllowed(trx, row, { origin, path: place });
    else if (originsOf(row).length > 0)
      throw new McpctlError('invalid_request', undefined, {
        details: [
          {
            path: place,
            message: `the secret '${name}' may be sent to its origins alone, and a program could send it anywhere; make another for it`,
          },
        ],
      });
  }
}

/** What the hosted worker is given: the secrets that somebody was allowed to refer to, and no others. */
export async function keepServerSecrets(
  trx: Knex.Transaction,
  { serverId, uses, actor }: { serverId: string; uses: readonly SecretUse[]; actor: Actor },
): Promise<void> {
  const places = uses.map(({ place }) => place);
  await trx('serverSecrets').where({ serverId }).whereNotIn('place', places).delete();
  if (uses.length === 0) return;
  await trx('serverSecrets')
    .insert(
      uses.map(({ place, name, key }) => ({ serverId, place, secret: name, key, allowedBy: actor.userId })),
    )
    .onConflict(['serverId', 'place'])
    .merge({
      secret: trx.raw('excluded.secret'),
      key: trx.raw('excluded.key'),
      allowedBy: trx.raw('excluded.allowed_by'),
    })
    .whereRaw('(server_secrets.secret, server_secrets.key) <> (excluded.secret, excluded.key)');
}
