import { shown, type Listed } from '../define.ts';

export const token: Listed = {
  word: 'token',
  plural: 'tokens',
  short: ['tok'],
  about: 'who may call',
  key: 'id',
  may: { view: 'owner', create: 'owner', edit: 'owner', delete: 'owner', run: 'owner' },
  isPrivate: false,
  reachedBy: ['token'],
  calls: ['list', 'delete'],
  filters: [],
  columns: [
    shown('NAME', 'name'),
    shown('USER', 'user'),
    shown('BINDING', 'binding'),
    shown('POOLS', 'pools', { as: 'list', none: 'all' }),
    shown('CREATED', 'createdAt', { as: 'ago' }),
    shown('EXPIRES', 'expiresAt'),
    shown('REVOKED', 'revokedAt', { as: 'ago' }),
    shown('ID', 'id'),
  ],
  describe: [
    shown('Name', 'name'),
    shown('User', 'user'),
    shown('Binding', 'binding'),
    shown('Pools', 'pools', { as: 'list', none: 'all' }),
    shown('Created', 'createdAt', { as: 'ago' }),
    shown('Expires', 'expiresAt'),
    shown('Revoked', 'revokedAt', { as: 'ago' }),
    shown('ID', 'id'),
  ],
};
