import { shown, type Listed } from '../define.ts';

/** What was written, by whom. Everybody sees what they did, and what was done to theirs; all of it who is granted that. */
export const audit: Listed = {
  word: 'audit',
  plural: 'audit',
  short: [],
  about: 'what was written and refused, by whom and when',
  key: 'id',
  may: { view: 'owner' },
  isPrivate: true,
  reachedBy: [],
  calls: ['list'],
  filters: ['actor', 'as', 'verb', 'resource', 'name', 'outcome', 'requestId', 'since', 'until'],
  columns: [
    shown('AT', 'at', { as: 'ago' }),
    shown('ACTOR', 'actor'),
    shown('AS', 'as', { spare: true }),
    shown('TOKEN', 'token', { spare: true }),
    shown('VERB', 'verb'),
    shown('RESOURCE', 'resource'),
    shown('NAME', 'name'),
    shown('OUTCOME', 'outcome'),
    shown('COUNT', 'count', { spare: true }),
    shown('CHANGED', 'changes.field', { as: 'list' }),
    shown('IP', 'ip', { wide: true }),
    shown('REQUEST', 'requestId', { wide: true }),
    shown('ID', 'id', { wide: true }),
  ],
  describe: [],
};
