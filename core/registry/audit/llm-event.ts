import type { Knex } from 'knex';
import { changesOf } from '../../audit/changes.ts';
import type { Author } from '../../audit/event.ts';
import type { LlmRow } from '../../llm.ts';
import { llm } from '../../resources/llm.ts';
import { record } from './record.ts';

/** A write of one llm: made, changed or deleted, and of which fields. */
export async function tellOfLlm(
  trx: Knex.Transaction,
  author: Author | undefined,
  { before, after, names }: { before: LlmRow | null; after: LlmRow | null; names: readonly string[] },
): Promise<void> {
  const row = after ?? before;
  if (!row) return;
  const verb = before === null ? 'create' : after === null ? 'delete' : 'edit';
  const { id, name, ownerId } = row;
  const changes = after ? changesOf(llm, { names, before, after }) : [];
  await record(trx, author, { verb, resource: llm.word, id, name, ownerId, changes });
}
