import type { Knex } from 'knex';
import { storableText } from '../../text/storable.ts';

/** What pages of results are called, by what they say and who was asked. */
export interface PageTitles {
  /** Those that are there, by their keys. */
  pageTitles(keys: readonly string[]): Promise<ReadonlyMap<string, string>>;
  keepPageTitles(titles: ReadonlyMap<string, string>): Promise<void>;
}

const KEPT = "interval '30 days'";
/** More than a busy house reads in a month. */
const MOST = 100_000;
/** So many go with each that come, at most. */
const AT_ONCE = 500;

export const pageTitlesIn = (db: Knex): PageTitles => ({
  async pageTitles(keys) {
    if (keys.length === 0) return new Map();
    const rows = await db('pageTitles')
      .whereIn('key', [...keys])
      .whereRaw(`made_at > now() - ${KEPT}`)
      .select<{ key: string; title: string }[]>('key', 'title');
    return new Map(rows.map(({ key, title }) => [key, title]));
  },
  async keepPageTitles(titles) {
    if (titles.size === 0) return;
    const rows = [...titles].map(([key, title]) => ({ key, title: storableText(title) }));
    await db('pageTitles')
      .insert(rows)
      .onConflict('key')
      .merge({ title: db.raw('excluded.title'), madeAt: db.fn.now() });
    await db.raw(
      `delete from page_titles where key in (
         select key from page_titles
         where made_at < now() - ${KEPT} or (select count(*) from page_titles) > ?
         order by made_at limit ?)`,
      [MOST, AT_ONCE],
    );
  },
});
