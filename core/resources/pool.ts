import { shown, type Listed } from './define.ts';

export const pool: Listed = {
  word: 'pool',
  plural: 'pools',
  short: ['p'],
  about: 'llms that share a queue',
  key: 'poolKey',
  may: { view: 'owner', edit: 'owner' },
  isPrivate: false,
  reachedBy: ['pool'],
  calls: ['list', 'get'],
  filters: [],
  columns: [
    shown('NAME', 'poolKey'),
    shown('SIZE', 'size'),
    shown('ACTIVE', 'activeCount'),
    shown('PENDING', 'pending'),
    shown('RUNNING', 'running'),
    shown('OLDEST', 'oldestPendingMs', { as: 'span' }),
    shown('OWNER', 'owner'),
    shown('MEMBERS', 'members.name', { as: 'list', wide: true }),
  ],
  describe: [
    shown('Name', 'poolKey'),
    shown('Owner', 'owner'),
    shown('Size', 'size'),
    shown('Active', 'activeCount'),
    shown('Pending', 'pending'),
    shown('Running', 'running'),
    shown('Oldest pending', 'oldestPendingMs', { as: 'span' }),
  ],
};
