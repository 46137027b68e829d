import { z } from 'zod';
import { appliedSchema, applyDeleteSchema, applySchema } from '../../core/declared/apply.ts';
import type { ErrorCode } from '../../core/errors.ts';
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
