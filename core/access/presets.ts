import type { Verb } from '../resources/define.ts';
import { closed, Granted, operations, type Grant, type Rights } from './grants.ts';

const roles: readonly Verb[] = ['view', 'create', 'edit', 'delete', 'run'];

const unnamed = (role: Verb, resource: string): Grant => ({ role, resource, name: null });

/** Of the group `admins`: every role on everything, what `*` leaves out spelled out, and all operations. */
const ofAdmins: Rights = {
  grants: ['*', ...closed].flatMap((resource) => roles.map((role) => unnamed(role, resource))),
  operations,
};

/** What every user begins with. */
const ofEveryone: Rights = {
  grants: [
    unnamed('run', 'llm'),
    unnamed('run', 'pool'),
    unnamed('create', 'session'),
    unnamed('create', 'agent'),
    unnamed('create', 'prompt'),
    unnamed('create', 'project'),
    unnamed('view', 'board'),
  ],
  operations: [],
};

/** What the word in `users.binding` stands for. */
export const grantedTo: Readonly<Record<'admin' | 'user', Granted>> = {
  admin: new Granted(ofAdmins),
  user: new Granted(ofEveryone),
};
