import { z } from 'zod';
import { appliedSchema, applyDeleteSchema, applySchema } from '../../core/declared/apply.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { backupSchema, restoredSchema, restoreSchema } from '../../core/backup/calls.ts';
import type { Operation } from './operation.ts';

const headers = z.object({
  'idempotency-key': z.string().optional().meta({
    description: 'The same body again under it is answered as it was, and nothing is done.',
  }),
});

/** What its documents' own writes are refused with. */
const refusals: readonly ErrorCode[] = [
  ...(['invalid_request', 'body_too_large', 'idempotency_mismatch', 'not_appliable'] as const),
  ...(['escalation', 'last_admin', 'llm_published', 'in_use', 'llm_in_use', 'secret_in_use'] as const),
  ...(['secret_undecryptable', 'secrets_disabled'] as const),
];

const answer = appliedSchema.meta({ id: 'Applied' });

export const applyOperations: readonly Operation[] = [
  {
    call: 'POST /apply',
    tag: 'apply',
    summary: 'Make many resources as they are to be, all of them or none',
    about:
      'A document is a resource as the API shows it, headed by `resource`, its word. It is the whole truth: an absent field is its fallback; what the server owns is passed over. What others refer to is made first, in whatever order it comes. With `dryRun` the same is done, and undone. Each fault names its document: `documents.3.llm`. With `set` the documents are that set’s from then on; with `prune` what the set once applied and lists no more is deleted.',
    headers,
    body: applySchema,
    status: 200,
    answer,
    errors: [
      ...refusals,
      ...(['name_taken', 'name_retired', 'name_reserved', 'pool_not_yours', 'pool_not_found'] as const),
      ...(['quota_exceeded', 'stale_revision', 'in_other_set', 'prune_refused'] as const),
    ],
  },
  {
    call: 'POST /apply/delete',
    tag: 'apply',
    summary: 'Delete what documents name, all of it or nothing',
    about:
      'Of each document what names it is read, and nothing else. What refers to others is deleted first. With `dryRun` the same is done, and undone.',
    headers,
    body: applyDeleteSchema,
    status: 200,
    answer,
    errors: [
      ...refusals,
      ...(['llm_not_found', 'pool_not_found', 'project_not_found', 'agent_not_found'] as const),
      ...(['prompt_not_found', 'personality_not_found', 'server_not_found', 'user_not_found'] as const),
      ...(['group_not_found', 'rbac_not_found', 'secret_not_found'] as const),
    ],
  },
];

export const backupOperations: readonly Operation[] = [
  {
    call: 'POST /backup',
    tag: 'backup',
    summary: 'Everything that people made here, as one consistent state',
    about:
      'For who has the operation `backup`; portable secrets take `reveal` besides. Lines of JSON: the first says what it is, each of the others is a document as the API shows it, and the last proves that nothing is missing. No value of a secret is among them: they are as they are sealed. `mcpctl backup` compresses and encrypts what it gets.',
    body: backupSchema,
    status: 200,
    answer: z.string(),
    answerType: 'application/x-ndjson',
    errors: ['invalid_request', 'forbidden', 'too_many_requests', 'backup_key_missing'],
  },
  {
    call: 'POST /restore',
    tag: 'backup',
    summary: 'Make everything as a backup says, all of it or nothing',
    about:
      'For who has the operation `restore`, and no further than their own rights go: it is an apply. A backup that is not whole, of a newer format, or whose key is not here is refused before anything is written. What is revoked, disabled or retired here stays so. Each fault names its document: `user/ada`.',
    body: restoreSchema,
    status: 200,
    answer: restoredSchema.meta({ id: 'Restored' }),
    errors: [
      ...(['invalid_request', 'forbidden', 'escalation', 'body_too_large', 'backup_damaged'] as const),
      ...([
        'backup_newer',
        'backup_key_missing',
        'restore_conflict',
        'last_admin',
        'quota_exceeded',
      ] as const),
      ...(['name_taken', 'name_retired', 'name_reserved', 'pool_not_yours', 'pool_not_found'] as const),
      ...(['llm_published', 'secret_undecryptable', 'secrets_disabled'] as const),
    ],
  },
];
