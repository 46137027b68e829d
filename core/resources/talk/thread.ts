import { shown, type Listed } from '../define.ts';

/** A conversation with an agent: its owner's alone. What was said in it is kept by a store of its own (core/registry/threads). */
export const thread: Listed = {
  word: 'thread',
  plural: 'threads',
  short: ['th'],
  about: 'a conversation with an agent, kept until it is deleted',
  key: 'id',
  may: { view: 'owner', create: 'owner', edit: 'owner', delete: 'owner', run: 'owner' },
  isPrivate: true,
  reachedBy: ['pool'],
  calls: ['list', 'get', 'delete'],
  filters: ['agent'],
  columns: [
    shown('ID', 'id'),
    shown('AGENT', 'agent'),
    shown('TITLE', 'title', { spare: true }),
    shown('TURNS', 'turns'),
    shown('OPEN', 'openTurn.status'),
    shown('LAST', 'lastTurnAt', { as: 'ago' }),
    shown('OWNER', 'owner', { wide: true }),
    shown('MESSAGES', 'messages', { wide: true }),
  ],
  describe: [
    shown('Id', 'id'),
    shown('Agent', 'agent'),
    shown('Title', 'title'),
    shown('Owner', 'owner'),
    shown('Turns', 'turns'),
    shown('Messages', 'messages'),
    shown('Bytes', 'bytes'),
    shown('Open turn', 'openTurn.n'),
    shown('Open task', 'openTurn.taskId'),
    shown('Forked from', 'forkedFrom'),
    shown('Last turn', 'lastTurnAt', { as: 'ago' }),
    shown('Created', 'createdAt', { as: 'ago' }),
  ],
};
