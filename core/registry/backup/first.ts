import type { Knex } from 'knex';
import type { Actor } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import type { Definition } from '../../resources/define.ts';
import { llm } from '../../resources/llm.ts';
import { actorWith } from '../identity/actors.ts';
import { publishedIn } from './published.ts';
import { builtInIds } from './restore-one.ts';

/** An installation that nobody has made anything in: whoever is at the machine restores into it, without a token. */

const notEmpty = (what: string): McpctlError =>
  new McpctlError(
    'restore_conflict',
    `This installation is not empty: ${what}. Restore into it with "mcpctl restore", which asks what becomes of what is here, or name another database or schema.`,
  );

/**
 * Who a first restore is done as: the one user that a release has made.
 * @throws McpctlError `restore_conflict` where there is another, `user_not_found` where there is none.
 */
export async function firstAdmin(db: Knex): Promise<Actor> {
  const users = await db('users').orderBy('id').limit(2).select<{ id: string; name: string }[]>('id', 'name');
  const [user, other] = users;
  if (other) throw notEmpty('it has, or had, users besides its first one');
  const token =
    user &&
    (await db('tokens')
      .where({ userId: user.id, preset: 'full' })
      .whereNull('pools')
      .whereNull('revokedAt')
      .whereRaw(`(expires_at is null or expires_at > now()) and bindings = '[]' and operations = '[]'`)
      .orderBy('id')
      .first<{ id: string } | undefined>('id'));
  const actor = token && (await actorWith(db, token.id));
  if (!actor)
    throw new McpctlError(
      'user_not_found',
      'There is no first admin with a token yet; run the release with MCPCTL_BOOTSTRAP_TOKEN first.',
    );
  return actor;
}

/** Behind the turn that all writes of identity take. @throws McpctlError `restore_conflict` for the first thing that somebody made. */
export async function needEmpty(
  trx: Knex.Transaction,
  { by, definitions }: { by: Actor; definitions: readonly Definition[] },
): Promise<void> {
  const made = definitions.filter(({ backup, word }) => backup === 'with' && word !== 'server');
  for (const { word, plural } of made) {
    const query = trx(plural).whereNotIn('id', [...builtInIds, by.userId]);
    const published = publishedIn[word];
    if (published !== undefined) query.whereRaw(`not exists (${published})`);
    if ((await query.first<unknown>('id')) !== undefined) throw notEmpty(`there is a ${word} in it`);
  }
  const called: unknown = await trx(llm.plural).where({ kind: 'public' }).first('id');
  if (called !== undefined) throw notEmpty('there is a public llm in it');
}
