import type { Actor, Target } from '../../../core/access.ts';
import type { Verb } from '../../../core/resources/define.ts';

type Who = 'everyone' | 'owner' | 'shared';

const own: Readonly<Partial<Record<Verb, Who>>> = {
  view: 'owner',
  create: 'owner',
  edit: 'owner',
  delete: 'owner',
  run: 'owner',
};
const made = { view: 'owner', create: 'owner', edit: 'owner', delete: 'owner' } as const;

/** What a user might do before there were grants, as it stood then: an upgrade takes nobody's rights, and gives none. */
const may: Readonly<Record<string, Readonly<Partial<Record<Verb, Who>>>>> = {
  llm: { view: 'everyone', run: 'everyone', delete: 'owner' },
  pool: { view: 'everyone', run: 'everyone', edit: 'owner' },
  task: own,
  session: own,
  token: own,
  project: made,
  prompt: made,
  agent: { view: 'shared', create: 'owner', edit: 'owner', delete: 'owner', run: 'shared' },
  board: { view: 'everyone' },
  metrics: {},
};

const reachedBy: Readonly<Record<string, readonly string[]>> = {
  llm: ['pool'],
  pool: ['pool'],
  task: ['pool'],
  agent: ['pool'],
  session: ['pool', 'token'],
  token: ['token'],
};

function can(
  actor: Actor,
  verb: Verb,
  { word, target: { ownerId, poolKey = '', tokenId, visibility } }: { word: string; target: Target },
): boolean {
  const ways = reachedBy[word] ?? [];
  const { pools } = actor;
  const inPool = ways.includes('pool') && pools !== null && pools.includes(poolKey);
  const isItself = !ways.includes('pool') && ways.includes('token') && tokenId === actor.tokenId;
  if (pools !== null && !inPool && !isItself) return false;
  const who = may[word]?.[verb];
  if (actor.binding === 'admin' || who === 'everyone') return true;
  return (who === 'shared' && visibility === 'shared') || (who !== undefined && ownerId === actor.userId);
}

export const today = { may, can };
