import { reviewSchema, reviewViewSchema } from '../../core/access.ts';
import type { ErrorCode } from '../../core/errors.ts';
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

const errors: readonly ErrorCode[] = ['group_not_found', 'user_not_found', 'escalation'];

/** What people call of groups besides create, read, update and delete. */
export const groupOperations: readonly Operation[] = [
  {
    call: 'PUT /groups/{name}/members/{user}',
    tag: 'groups',
    summary: 'Put a user into a group',
    about: 'Idempotent. For who may edit the group, and has all that its members are granted by it.',
    status: 204,
    errors,
  },
  {
    call: 'DELETE /groups/{name}/members/{user}',
    tag: 'groups',
    summary: 'Take a user out of a group',
    about: 'Idempotent, and guarded as to put one in.',
    status: 204,
    errors: [...errors, 'last_admin'],
  },
];
