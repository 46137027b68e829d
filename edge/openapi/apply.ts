import { appliedSchema, applySchema } from '../../core/declared/apply.ts';
import type { Operation } from './operation.ts';

export const applyOperations: readonly Operation[] = [
  {
    call: 'POST /apply',
    tag: 'apply',
    summary: 'Make many resources as they are to be, all of them or none',
    about:
      'A document is a resource as the API shows it, headed by `resource`, its word. It is the whole truth: an absent field is its fallback; what the server owns is passed over. What others refer to is made first, in whatever order it comes. With `dryRun` the same is done, and undone. Each fault names its document: `documents.3.llm`.',
    body: applySchema,
    status: 200,
    answer: appliedSchema.meta({ id: 'Applied' }),
    errors: ['invalid_request', 'body_too_large', 'name_taken', 'quota_exceeded'],
  },
];
