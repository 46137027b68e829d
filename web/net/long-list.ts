import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { call, isFault, type Page } from './api.ts';
import { useLoad, type Load } from './load.ts';
import type { Topic } from './live.ts';

/** So many are shown at once, and looked at again when something changes. */
const HEAD = 100;
/** As many come with each further call, and no more than these are kept: further ones begin a list of their own. */
const CHUNK = 250;
const MOST_KEPT = 5_000;
/** Further ones are asked for when so few are left. */
const AHEAD = 60;

interface Chunk<T> {
  /** Where it begins: a cursor of the server's. */
  after: string;
  rows: readonly T[];
  /** They came with the newest, which do not reach them any more. */
  isBehind?: boolean;
}

export interface LongList<T> {
  /** The newest of them; its fault and age are the list's. */
  head: Load<Page<T>>;
  rows: readonly T[];
  /** How many newer ones wait to be shown: their rows would move those that somebody reads. With `isMore` there are others. */
  fresh: number;
  isMore: boolean;
  /** Shows the newest, wherever one is. */
  showNewest: () => void;
  /** Whether it begins with the newest there are. */
  isFromNewest: boolean;
  /** Where no more are kept: begins a list with what comes behind its last row. */
  goOn: (() => void) | null;
  /** Told which rows are in the document: further ones are fetched before they are reached, and those that may still change are kept right. */
  drawn: (from: number, to: number) => void;
}

/** Ids rise with time; those that are numbers get longer. */
export const isNewer = (id: string, than: string): boolean =>
  id.length === than.length ? id > than : id.length > than.length;

/** Rows as they are by now: what an answer reaches to and does not name has gone. Nothing new is among them. */
function patched<T extends { id: string }>(rows: readonly T[], { items, next }: Page<T>): readonly T[] {
  const now = new Map(items.map((item) => [item.id, item]));
  const last = next === null ? undefined : items.at(-1)?.id;
  return rows.flatMap((row) => now.get(row.id) ?? (last !== undefined && isNewer(last, row.id) ? row : []));
}

/**
 * Chunks with their first rows as they are by now. So much may be new that the newest end before some of them, or all: those are looked at
 * again from there.
 */
function renewed<T extends { id: string }>(chunks: readonly Chunk<T>[], page: Page<T>): readonly Chunk<T>[] {
  const own = chunks.filter(({ after, isBehind }) => after === '' || isBehind);
  const rows = own.flatMap((chunk) => chunk.rows);
  const last = page.next === null ? undefined : page.items.at(-1)?.id;
  const reached = rows.filter(({ id }) => last === undefined || !isNewer(last, id));
  // A place in front of all of them stays one, and is nearer to them than later ones.
  const place = reached.length === 0 && own[0]?.rows.length === 0 ? own[1]?.after : page.next;
  const behind = { after: place ?? '', rows: rows.slice(reached.length), isBehind: true };
  return [
    { after: '', rows: patched(reached, page) },
    ...(behind.rows.length > 0 ? [behind] : []),
    ...chunks.slice(own.length),
  ];
}

/** Where each chunk's rows are among all. */
function placesOf<T>(chunks: readonly Chunk<T>[]): { chunk: Chunk<T>; from: number; to: number }[] {
  let to = 0;
  return chunks.map((chunk) => ({ chunk, from: to, to: (to += chunk.rows.length) }));
}

interface Chunks<T> {
  value: readonly Chunk<T>[];
  /** The cursor behind the last of them. */
  next: string | null;
  /** Asks for what comes behind a cursor, unless it is being asked for; `take` is not called where the list is another by then. */
  ask: (after: string, take: (answer: Page<T>) => void) => Promise<void>;
  set: (chunks: readonly Chunk<T>[], next?: string | null) => void;
}

/** @param whole what names the list: another one begins with nothing. */
function useChunks<T>(whole: string, pathOf: (after: string, limit: number) => string): Chunks<T> {
  const chunks = useSignal<readonly Chunk<T>[]>([]);
  const next = useSignal<string | null>(null);
  const asking = useRef(new Set<string>());
  useEffect(() => {
    chunks.value = [];
    next.value = null;
    asking.current = new Set();
  }, [whole]);
  return {
    get value() {
      return chunks.value;
    },
    get next() {
      return next.value;
    },
    set(now, further = next.value) {
      chunks.value = now;
      next.value = further;
    },
    async ask(after, take) {
      const mine = asking.current;
      if (mine.has(after)) return;
      mine.add(after);
      try {
        const answer = await call<Page<T>>('GET', pathOf(after, CHUNK));
        if (asking.current === mine) take(answer);
      } catch (thrown) {
        if (!isFault(thrown)) throw thrown; // the look at the newest says what is wrong
      } finally {
        mine.delete(after);
      }
    },
  };
}

/** Keeps those right that are drawn, may still change and are not among the newest. */
function lookAgain<T extends { id: string }>(
  chunks: Chunks<T>,
  { from, to, isLive }: { from: number; to: number; isLive: (row: T) => boolean },
): void {
  for (const { chunk, ...at } of placesOf(chunks.value)) {
    const rows = chunk.rows.slice(Math.max(0, from - at.from), Math.max(0, to - at.from));
    if (chunk.after === '' || !rows.some(isLive)) continue;
    void chunks.ask(chunk.after, (answer) =>
      chunks.set(
        chunks.value.map((one) =>
          one.after === chunk.after ? { ...one, rows: patched(one.rows, answer) } : one,
        ),
      ),
    );
  }
}

/**
 * A list that is read on and on, newest first: its rows change in place, and what is new waits.
 * @param path with its filters. @param isLive whether a row may still change.
 */
export function useLongList<T extends { id: string }>(
  path: string,
  { topic, isLive }: { topic: Topic; isLive: (row: T) => boolean },
): LongList<T> {
  /** A cursor: the list begins behind it; '' with the newest. */
  const start = useSignal('');
  const fresh = useSignal(0);
  const inDocument = useRef({ from: 0, to: 0 });
  const pathOf = (after: string, limit: number): string =>
    `${path}&limit=${String(limit)}${after === '' ? '' : `&after=${encodeURIComponent(after)}`}`;
  const whole = pathOf(start.value, HEAD);
  const head = useLoad<Page<T>>(whole, topic);
  const chunks = useChunks<T>(whole, pathOf);
  useEffect(() => void (start.value = ''), [path]);
  useEffect(() => void (fresh.value = 0), [whole]);

  const begin = ({ items, next }: Page<T>): void => {
    chunks.set([{ after: '', rows: items }], next);
    fresh.value = 0;
  };
  const page = head.data.value;
  useEffect(() => {
    if (!page) return;
    const shown = chunks.value.flatMap((chunk) => chunk.rows);
    const there = renewed(chunks.value, page);
    // Where nothing that was shown is left, nobody's place is moved.
    if (!there.some((chunk) => chunk.rows.length > 0)) return begin(page);
    const ids = new Set(shown.map(({ id }) => id));
    // What was made before others may come to fit the filters after them; what is behind the last comes as one scrolls.
    const last = chunks.next === null ? '' : (shown.at(-1)?.id ?? '');
    fresh.value = page.items.filter(({ id }) => !ids.has(id) && isNewer(id, last)).length;
    chunks.set(there);
    lookAgain(chunks, { ...inDocument.current, isLive });
  }, [page]);

  const rows = chunks.value.flatMap((chunk) => chunk.rows);
  const further = chunks.next;
  const isFull = rows.length >= MOST_KEPT;
  const isFromNewest = start.value === '';
  return {
    ...{ head, rows, isFromNewest },
    fresh: isFromNewest ? fresh.value : 0,
    isMore: fresh.value === HEAD,
    showNewest() {
      if (!isFromNewest) start.value = '';
      else if (page) begin(page);
    },
    goOn: isFull && further !== null ? () => (start.value = further) : null,
    drawn(from, to) {
      inDocument.current = { from, to };
      if (further === null || isFull || to < rows.length - AHEAD) return;
      void chunks.ask(further, ({ items, next }) =>
        chunks.set([...chunks.value, { after: further, rows: items }], next),
      );
    },
  };
}
