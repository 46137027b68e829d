import type { ErrorCode } from '../../core/errors.ts';
import type { Operation } from './operation.ts';

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
