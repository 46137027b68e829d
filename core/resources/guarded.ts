import { nameSchema } from '../names.ts';
import { required, type Guarded, type Referable } from './define.ts';

/** What has rights, and routes, tables and commands of its own. */

/** Kept by a store of its own (core/registry/llms.ts); agents refer to it. */
export const llm: Referable = {
  word: 'llm',
  plural: 'llms',
  key: 'name',
  fields: { name: required(nameSchema) },
  may: { view: 'everyone', run: 'everyone', delete: 'owner' },
  reachedBy: ['pool'],
};

const ofItsOwner: Guarded['may'] = {
  view: 'owner',
  create: 'owner',
  edit: 'owner',
  delete: 'owner',
  run: 'owner',
};

export const task: Guarded = { word: 'task', may: ofItsOwner, reachedBy: ['pool'] };
/** A provider session: one publishing worker. */
export const session: Guarded = { word: 'session', may: ofItsOwner, reachedBy: ['pool', 'token'] };
/** The pages of queues. */
export const board: Guarded = { word: 'board', may: { view: 'everyone' }, reachedBy: [] };
export const metrics: Guarded = { word: 'metrics', may: {}, reachedBy: [] };
