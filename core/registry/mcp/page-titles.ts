import type { Knex } from 'knex';
import { storableText } from '../../text/storable.ts';

/** What pages of results are called, by whose project they were read in, what they say and who was asked. */
export interface PageTitles {
  /** Those that are there, by their keys. */
  pageTitles(keys: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /**
   * Keeps them for 30 days. An owner has 10,000, and the oldest of theirs go beyond it; beyond 100,000 in all, those of who has most.
   * @param ownerId of the project that they were read in.
   */
  keepPageTitles(ownerId: string, titles: ReadonlyMap<string, string>): Promise<void>;
}

export interface TitleBounds {
  ofOwner: number;
  inAll: number;
  /** So many go with each that come, at most. */
  atOnce: number;
}

const KEPT = "interval '30 days'";
/** More than a busy house reads in a month. */
const bounds: TitleBounds = { ofOwner: 10_000, inAll: 100_000, atOnce: 500 };

const LAPSED = `delete from page_titles where key in (
  select key from page_titles where made_at < now() - ${KEPT} order by made_at limit ?)`;
const BEYOND_ONE_S = `delete from page_titles where key in (
  select key from page_titles where owner_id = ? order by made_at desc offset ? limit ?)`;
/** A twentieth of theirs, so that it is not counted again for the next few; where that is less than what came, as many as came. */
const OF_WHO_HAS_MOST = `
  with owners as (select owner_id, count(*) n from page_titles group by owner_id),
    most as (
      select owner_id, n, (select sum(n) from owners) - ? as over from owners order by n desc, owner_id limit 1)
  delete from page_titles where key in (
    select t.key from most, lateral (
      select key from page_titles where owner_id is not distinct from most.owner_id
      order by made_at limit case when most.over > 0 then least(?, greatest(most.over, most.n / 20)) else 0 end) t)`;

export const pageTitlesIn = (db: Knex, { ofOwner, inAll, atOnce } = bounds): PageTitles => ({
  async pageTitles(keys) {
    if (keys.length === 0) return new Map();
    const rows = await db('pageTitles')
      .whereIn('key', [...keys])
      .whereRaw(`made_at > now() - ${KEPT}`)
      .select<{ key: string; title: string }[]>('key', 'title');
    return new Map(rows.map(({ key, title }) => [key, title]));
  },
  async keepPageTitles(ownerId, titles) {
    if (titles.size === 0) return;
    // In one order, so that two who keep the same do not wait for each other.
    const rows = [...titles]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, title]) => ({ key, ownerId, title: storableText(title) }));
    await db('pageTitles')
      .insert(rows)
      .onConflict('key')
      .merge({ title: db.raw('excluded.title'), madeAt: db.fn.now() });
    await db.raw(LAPSED, [atOnce]);
    await db.raw(BEYOND_ONE_S, [ownerId, ofOwner, atOnce]);
    await db.raw(OF_WHO_HAS_MOST, [inAll, atOnce]);
  },
});
