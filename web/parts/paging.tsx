import { useSignal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';

export interface Paging {
  /** Of the page that is shown; '' is the first. */
  cursor: ReadonlySignal<string>;
  forward: (next: string) => void;
  back: () => void;
  first: () => void;
  isFirst: () => boolean;
}

/** Where a list is: the cursors of the pages before this one are its way back. */
export function usePaging(): Paging {
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
