import type { Knex } from 'knex';
import { tellable, type Author } from '../../audit/event.ts';
import type { ErrorCode } from '../../errors.ts';

/** So many equal refusals. Where nobody knows who it was, there is the address alone. */
export interface Denied extends Partial<Omit<Author, 'origin'>> {
  ip: string | null;
  requestId: string | null;
  verb: string;
  resource: string;
  outcome: ErrorCode;
  count: number;
}

/** One statement for all: they are counted in memory, and written down a few times a minute (edge/audit/denied-counts.ts). */
export async function writeDenied(db: Knex, refusals: readonly Denied[]): Promise<void> {
  if (refusals.length === 0) return;
  await db('audit').insert(
    refusals.map(
      ({ userId, userName, tokenId, tokenName, ip, requestId, verb, resource, outcome, count }) => ({
        actorId: userId ?? null,
        actorName: userName ?? null,
        tokenId: tokenId ?? null,
        tokenName: tellable(tokenName ?? null),
        ...{ ip, requestId, verb, resource, outcome, count },
      }),
    ),
  );
}
