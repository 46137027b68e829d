import type { Knex } from 'knex';
import { z } from 'zod';
import { changesOf } from '../../audit/changes.ts';
import type { Author } from '../../audit/event.ts';
import type { LlmRow } from '../../llm.ts';
import { record } from './record.ts';

/** Of an llm these are told; where it is, and with which key, is for who may edit it. */
const shown = ['type', 'model', 'tier', 'poolName', 'aliases', 'maxConcurrency'];
const fields = Object.fromEntries(
  shown.map((name) => [name, { schema: z.unknown(), audit: 'value' as const }]),
);

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
  const changes = after ? changesOf({ fields }, { names, before, after }) : [];
  await record(trx, author, { verb, resource: 'llm', id, name, ownerId, changes });
}
