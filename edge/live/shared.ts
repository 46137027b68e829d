import { createHash } from 'node:crypto';
import type { Request, RequestHandler } from 'express';
import type { Clock } from '../../core/runtime/clock.ts';
import { Recent } from '../believed/recent.ts';
import { actorOf } from '../http/context.ts';

/** How old an answer may be that is given to whoever looks again: they know since when one has what they were told of. */
const AGE = 'x-mcpctl-max-age-ms';
const MOST_AGE_MS = 1_000;
/** All together 8 MiB. */
const MOST = 64;
const MOST_BYTES = 128 * 1024;

/** Answers of lists, kept for a moment for others who may see the same and ask for the same. */
export interface SharedAnswers {
  /** @param ask makes the answer of such a request. @throws as it does. */
  answer(req: Request, ask: (req: Request) => Promise<object>): Promise<Buffer>;
}

/** Of one token of one user, with what both may see just now: whoever may see more or less has another. */
function keyOf(req: Request): string {
  const { origin: _, granted, filter, ...who } = actorOf(req);
  const seen = JSON.stringify([who, granted.rights, filter?.words, req.originalUrl]);
  return createHash('sha256').update(seen).digest('base64');
}

export function createSharedAnswers(clock: Clock): SharedAnswers {
  const recent = new Recent<Buffer | undefined>({ clock, keptMs: MOST_AGE_MS, most: MOST });
  return {
    async answer(req, ask) {
      const make = async (): Promise<Buffer> => Buffer.from(JSON.stringify(await ask(req)));
      const age = req.get(AGE);
      if (age === undefined) return await make();
      const key = keyOf(req);
      const kept = await recent.recall(key, Number(age));
      if (kept) return kept;
      const begun = recent.begin();
      const made = make();
      const short = made.then((answer) => (answer.length > MOST_BYTES ? undefined : answer));
      void recent.remember(key, short, begun);
      return await made;
    },
  };
}

/** A list whose answer is shared among those who may see the same and say how old it may be. */
export const sharedLook =
  (
    { sharedAnswers }: { sharedAnswers: SharedAnswers },
    ask: (req: Request) => Promise<object>,
  ): RequestHandler =>
  async (req, res) =>
    void res.type('json').send(await sharedAnswers.answer(req, ask));
