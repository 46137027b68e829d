import type { Guarded } from './define.ts';

/** What has rights, and routes, tables and commands of its own. */

const ofItsOwner: Guarded['may'] = { view: 'owner', edit: 'owner', delete: 'owner', run: 'owner' };

/** To make one comes with `run` of what it calls. */
export const task: Guarded = {
  word: 'task',
  may: { ...ofItsOwner, create: 'owner' },
  isPrivate: true,
  reachedBy: ['pool'],
};
/** The pages of queues. */
export const board: Guarded = { word: 'board', may: {}, isPrivate: false, reachedBy: [] };
export const metrics: Guarded = { word: 'metrics', may: {}, isPrivate: false, reachedBy: [] };
