import { nameSchema } from '../names.ts';
import { required, type Guarded, type Referable } from './define.ts';

/** What has rights, and routes, tables and commands of its own. */

/** Kept by a store of its own (core/registry/llms.ts); agents refer to it. */
export const llm: Referable = {
  word: 'llm',
  plural: 'llms',
  key: 'name',
  fields: { name: required(nameSchema) },
  may: { view: 'owner', delete: 'owner' },
  isPrivate: false,
  reachedBy: ['pool'],
};

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
