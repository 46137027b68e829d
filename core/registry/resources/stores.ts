import { McpctlError } from '../../errors.ts';
import type { Definition } from '../../resources/define.ts';
import { nearest } from '../../runtime/nearest.ts';
import type { Connection } from '../database/connect.ts';
import type { RegistryLimits } from '../names/limits.ts';
import type { Hooks } from './hooks.ts';
import { quotaIn, quotaOf } from './quota.ts';
import { createResourceStore, type ResourceStore } from './store.ts';

/** The store of a resource, by its word; asked for with its definition at hand. */
export type ResourceStores = (definition: Definition) => ResourceStore;

export interface Kept {
  definitions: readonly Definition[];
  /** What is not data about them, by their words. */
  hooks: Readonly<Record<string, Hooks>>;
}

/** @throws McpctlError `invalid_config` for a quota of what there is not. */
export function createResourceStores(
  connection: Connection,
  { quotas }: Pick<RegistryLimits, 'quotas'>,
  { definitions, hooks }: Kept,
): ResourceStores {
  const words = definitions.map(({ word }) => word);
  for (const [word] of quotas.map(quotaIn)) {
    if (words.includes(word)) continue;
    const [near] = nearest(word, words, 1);
    const hint = near === undefined ? `there are: ${words.join(', ')}` : `did you mean ${near}?`;
    throw new McpctlError('invalid_config', `MCPCTL_QUOTAS: there is no quota of "${word}"; ${hint}`);
  }
  const stores = new Map(
    definitions.map((definition) => {
      const more = { quota: quotaOf(definition, { quotas }), hooks: hooks[definition.word] ?? {} };
      return [definition.word, createResourceStore(definition, { connection, all: definitions, ...more })];
    }),
  );
  return ({ word }) => {
    const store = stores.get(word);
    if (!store) throw new McpctlError('internal');
    return store;
  };
}
