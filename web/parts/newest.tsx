import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { isNewer } from '../net/long-list.ts';

interface Props<T> {
  /** The newest first, as far as they are asked for or kept. */
  rows: readonly T[];
  /** Nothing new comes to other pages than the first. */
  isFirst: boolean;
  children: (rows: readonly T[]) => ComponentChildren;
}

/** Rows that are shown change in place; new ones wait behind a button, so that nothing moves below somebody’s pointer. */
export function Newest<T extends { id: string }>({ rows, isFirst, children }: Props<T>) {
  const top = useSignal(rows[0]?.id ?? '');
  const before = useRef<readonly T[]>([]);
  const waits = ({ id }: T): boolean => isFirst && top.value !== '' && isNewer(id, top.value);
  const fresh = rows.filter(waits).length;
  const last = rows.at(-1)?.id ?? '';
  // So much may be new that the rest is not reached any more, or none of it: it stays as it was.
  const behind = fresh > 0 ? before.current.filter(({ id }) => isNewer(last, id)) : [];
  const shown = [...rows.filter((row) => !waits(row)), ...behind];
  useEffect(() => void (before.current = shown));
  useEffect(() => {
    if (top.value === '') top.value = rows[0]?.id ?? '';
  }, [rows[0]?.id]);
  return (
    <>
      <p role="status" class="new">
        {fresh > 0 && (
          <button type="button" onClick={() => (top.value = rows[0]?.id ?? '')}>
            {fresh}
            {fresh === rows.length ? '+' : ''} new
          </button>
        )}
      </p>
      {children(shown)}
    </>
  );
}
