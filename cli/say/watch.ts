import { pause } from '../../core/runtime/clock.ts';
import type { Context } from '../who/context.ts';
import { Cancelled } from '../exit.ts';
import { isPassing } from '../net/follow.ts';
import type { Keyed } from '../keyed.ts';
import { emptyNote, objectOf, tablesOf, yamlOf, type Listing, type Look } from './print.ts';
import { cutTo, linesOf, widthsOf } from './table.ts';

export interface Watched {
  /** The things as they are now. */
  ask: () => Promise<Listing[]>;
  look: Look;
  /** Between two questions, in milliseconds. */
  everyMs: number;
  /** Whether nothing can change any more: the watch ends then. */
  over?: (listings: readonly Listing[]) => boolean;
}

type Watching = Pick<Context, 'out' | 'terminal' | 'interrupts'>;

/**
 * Shows things and what becomes of them until Ctrl-C. On a terminal tables are drawn anew in their place; elsewhere,
 * and in other formats, what is new or has changed is added: a row, a name, a JSON object on a line, a YAML document.
 * A server that goes away after it was there once is asked again.
 * @throws Cancelled at Ctrl-C.
 */
export async function watchListings(ctx: Watching, { ask, look, everyMs, over }: Watched): Promise<void> {
  const redraws = isTable(look) && ctx.terminal.tty.stdout && ctx.terminal.cursor;
  const show = redraws ? redrawing(ctx, look) : adding(ctx, look);
  let away = false;
  for (let first = true; ; first = false) {
    try {
      const listings = await ask();
      if (away) ctx.out.note('The server is back.');
      away = false;
      await show(listings);
      if (over?.(listings)) return;
    } catch (thrown) {
      if (first || !isPassing(thrown)) throw thrown;
      if (!away) ctx.out.note(`${thrown.message} Asking again …`);
      away = true;
    }
    await pause(everyMs, ctx.interrupts.signal);
    if (ctx.interrupts.signal.aborted) throw new Cancelled('');
  }
}

const isTable = ({ format }: Look): boolean => format === 'table' || format === 'wide';

type Show = (listings: readonly Listing[]) => Promise<void>;

/** No more lines than the terminal has, and none that wraps: only then the cursor finds its way back. */
function redrawing({ out, terminal }: Watching, look: Look): Show {
  let drawn = 0;
  return async (listings) => {
    const { rows, columns } = terminal.size();
    const lines = tablesOf({ out, terminal }, listings, look);
    const all = lines.length > 0 ? lines : [emptyNote(listings)];
    const room = Math.max(1, rows - 2);
    const hidden = all.length - room;
    const kept = hidden > 0 ? [...all.slice(0, room), `… and ${hidden} more`] : all;
    const back = drawn > 0 ? `\u001b[${drawn}A` : '';
    const text = kept.map((line) => (columns > 0 ? cutStyled(line, columns) : line)).join('\n');
    terminal.stdout.write(`${back}\r\u001b[J${text}\n`);
    drawn = kept.length;
  };
}

/** A line that is cut loses its colours: its escapes would be cut, too. */
function cutStyled(line: string, columns: number): string {
  const bare = line.replace(/\u001b\[\d+m/g, '');
  const cut = cutTo(bare, columns);
  return cut === bare ? line : cut;
}

interface Seen {
  /** What was shown of each thing. */
  shown: Map<string, string>;
  /** Widths of the columns of each type's table; none before its first line. */
  widths: Map<string, readonly number[]>;
}

function adding(ctx: Watching, look: Look): Show {
  const seen: Seen = { shown: new Map(), widths: new Map() };
  let first = true;
  return async (listings) => {
    if (first && isTable(look) && listings.every(({ items }) => items.length === 0))
      ctx.out.note(emptyNote(listings));
    first = false;
    for (const listing of listings) await addChanged(ctx, { listing, look, seen });
    const there = new Set(listings.flatMap(({ type, items }) => items.map(({ key }) => `${type}/${key}`)));
    for (const name of [...seen.shown.keys()]) {
      if (there.has(name)) continue;
      seen.shown.delete(name);
      ctx.out.note(`${name} is no longer listed.`);
    }
  };
}

async function addChanged(
  { out }: Watching,
  { listing, look, seen }: { listing: Listing; look: Look; seen: Seen },
): Promise<void> {
  const cells = listing.cells(look.format === 'wide');
  const changed = listing.items.flatMap((item, i) => {
    const row = cells.rows[i] ?? [];
    const name = `${listing.type}/${item.key}`;
    const now = isTable(look) ? row.join('\n') : JSON.stringify(item.raw);
    if (seen.shown.get(name) === now) return [];
    seen.shown.set(name, now);
    return [{ item, row, name }];
  });
  if (changed.length === 0) return;
  if (!isTable(look)) {
    for (const { item, name } of changed) out.data(await oneOf({ listing, item, name, look }));
    return;
  }
  const least = seen.widths.get(listing.type);
  const shown = { ...cells, rows: changed.map(({ row }) => row) };
  const headers = look.headers && least === undefined;
  const table = { headers, paint: out.paint, ...(least ? { least } : {}) };
  seen.widths.set(listing.type, widthsOf(shown, table));
  for (const line of linesOf(shown, table)) out.styled(line);
}

interface One {
  listing: Listing;
  item: Keyed;
  name: string;
  look: Look;
}

async function oneOf({ listing, item, name, look }: One): Promise<string> {
  const object = objectOf(listing.type, item);
  if (look.format === 'json') return `${JSON.stringify(object)}\n`;
  return look.format === 'yaml' ? `---\n${await yamlOf([object])}` : `${name}\n`;
}
