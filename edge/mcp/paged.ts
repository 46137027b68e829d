import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Request } from 'express';
import { z } from 'zod';
import type { EdgeDeps } from '../deps.ts';
import { actorOf } from '../http/context.ts';

/** Of a request what says which part of which list is asked for. */
interface AskedList {
  req: Request;
  project: { id: string };
  method: string;
  params: unknown;
}

/** A list by the keys of its entries, which rise, and what a client is told of some of them. */
export interface Listing {
  keys: readonly string[];
  show: (keys: readonly string[]) => Promise<object[]> | object[];
}

/** Shown at once: more than most servers have, as some clients ask for no second page. */
const MOST_ON_PAGE = 500;

const cursorSchema = z.object({ cursor: z.string().max(8_192).optional() });
const FORM = /^([A-Za-z0-9_-]{1,8000})[.]([A-Za-z0-9_-]{22})$/;

/** A cursor is of one list of one project, as one token sees it: what it says is a place in that. */
const signature = (key: string, { req, project, method }: AskedList, place: string): string =>
  createHmac('sha256', key)
    .update(`cursor\n${project.id}\n${actorOf(req).tokenId}\n${method}\n${place}`)
    .digest('base64url')
    .slice(0, 22);

/**
 * The part of a list that a client asks for, and where it goes on after that. It goes on behind the last entry that was shown, whether that is there
 * still or not: what comes and goes meanwhile moves nothing. @returns null for a cursor that was never given out to who asks, for this list.
 */
export async function pageOf(
  { registry }: Pick<EdgeDeps, 'registry'>,
  asked: AskedList,
  { keys, show }: Listing,
): Promise<{ items: object[]; nextCursor?: string } | null> {
  const parsed = cursorSchema.safeParse(asked.params);
  if (!parsed.success) return null;
  const { cursor } = parsed.data;
  let from = 0;
  if (cursor !== undefined) {
    const [, place = '', signed = ''] = FORM.exec(cursor) ?? [];
    const right = signature(await registry.mcp.sessionKey(), asked, place);
    if (signed === '' || !timingSafeEqual(Buffer.from(signed), Buffer.from(right))) return null;
    const last = Buffer.from(place, 'base64url').toString('utf8');
    const next = keys.findIndex((key) => key > last);
    from = next === -1 ? keys.length : next;
  }
  const shown = keys.slice(from, from + MOST_ON_PAGE);
  const items = await show(shown);
  const last = shown.at(-1);
  if (last === undefined || from + shown.length >= keys.length) return { items };
  const place = Buffer.from(last).toString('base64url');
  return { items, nextCursor: `${place}.${signature(await registry.mcp.sessionKey(), asked, place)}` };
}

/** A list that is had whole, by the names of what is in it. */
export const listed = (things: ReadonlyMap<string, object>): Listing => ({
  keys: [...things.keys()],
  show: (keys) => keys.flatMap((key) => things.get(key) ?? []),
});

/** The same list with the gateway's own before it. */
export function before(own: readonly object[], { keys, show }: Listing): Listing {
  const first = new Map(own.map((one, at): [string, object] => [`0 ${String(at).padStart(6, '0')}`, one]));
  return {
    keys: [...first.keys(), ...keys.map((key) => `1 ${key}`)],
    async show(shown) {
      const others = shown.filter((key) => !first.has(key)).map((key) => key.slice(2));
      return [...shown.flatMap((key) => first.get(key) ?? []), ...(await show(others))];
    },
  };
}
