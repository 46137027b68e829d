import { useSignal, type ReadonlySignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Topic } from '../net/live.ts';
import { useLoad, type Load } from '../net/load.ts';
import type { Page } from '../net/api.ts';
import { query } from '../state/router.ts';

interface Paging {
  /** Of the page that is shown; '' is the first. */
  cursor: ReadonlySignal<string>;
  forward: (next: string) => void;
  back: () => void;
  first: () => void;
  isFirst: () => boolean;
}

/** Where a list is: the cursors of the pages before this one are its way back. */
function usePaging(): Paging {
  const cursors = useSignal<readonly string[]>([]);
  const cursor = useSignal('');
  const set = (way: readonly string[]): void => {
    cursors.value = way;
    cursor.value = way.at(-1) ?? '';
  };
  return {
    cursor,
    forward: (next) => set([...cursors.value, next]),
    back: () => set(cursors.value.slice(0, -1)),
    first: () => set([]),
    isFirst: () => cursors.value.length === 0,
  };
}

/**
 * The page of a list that is shown, by those filters of the address that are set; another filter begins at the first page.
 * `asked` tells one page from another.
 */
export function useList<T>(
  path: string,
  { filters = [], topic }: { filters?: readonly string[]; topic?: Topic } = {},
): { page: Load<Page<T>>; paging: Paging; asked: string } {
  const paging = usePaging();
  const words = new URLSearchParams({ limit: '50' });
  for (const name of filters) {
    const value = query.value.get(name);
    if (value !== null) words.set(name, value);
  }
  const filter = words.toString();
  useEffect(() => paging.first(), [filter]);
  if (paging.cursor.value !== '') words.set('after', paging.cursor.value);
  const asked = words.toString();
  return { page: useLoad<Page<T>>(`${path}?${asked}`, topic), paging, asked };
}

export function PageButtons({ paging, next }: { paging: Paging; next: string | null }) {
  if (paging.isFirst() && next === null) return null;
  return (
    <p class="actions">
      <button type="button" disabled={paging.isFirst()} onClick={paging.back}>
        Newer
      </button>
      <button type="button" disabled={next === null} onClick={() => next !== null && paging.forward(next)}>
        Older
      </button>
    </p>
  );
}
