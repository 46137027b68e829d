import { reviewSchema, reviewViewSchema } from '../../core/access.ts';
import type { Operation } from './operation.ts';

export const accessOperations: readonly Operation[] = [
  {
    call: 'POST /access/review',
    tag: 'access',
    summary: 'May somebody do that, and by what?',
    about: 'Of oneself, with this very token; of another, for who may view users, groups and rbac.',
    body: reviewSchema,
    status: 200,
    answer: reviewViewSchema.meta({ id: 'Review' }),
    errors: ['invalid_request', 'user_not_found'],
  },
];
