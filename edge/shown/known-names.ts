import { can, type Actor } from '../../core/access.ts';

/** Their own, and whom they may look up: of tasks one sees whose they are by id alone. */
export const mayKnowUser = (actor: Actor, { ownerId, name }: { ownerId: string; name: string }): boolean =>
  ownerId === actor.userId || can(actor, 'view', { resource: 'user', target: { name } });

/** One that is bound, or only calls, hears of no other than itself. @param ownerId whose it is; null: nobody's any more */
export const mayKnowToken = (
  actor: Actor,
  { tokenId, ownerId }: { tokenId: string | null; ownerId: string | null },
): boolean =>
  tokenId === actor.tokenId ||
  can(actor, 'view', {
    resource: 'token',
    target: { ...(ownerId !== null && { ownerId }), ...(tokenId !== null && { tokenId }) },
  });
