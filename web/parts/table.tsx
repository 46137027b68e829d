import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';

export interface Column<T> {
  head: string;
  cell: (row: T) => ComponentChildren;
  /** Left out where the window is narrow. */
  wide?: boolean;
  /** Numbers stand to the right. */
  number?: boolean;
  /** Of a few letters: where columns have fixed widths the others share its room. */
  slim?: boolean;
  /** The rows are in its order. */
  sorted?: 'ascending' | 'descending';
}

interface Props<T> {
  caption: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  keyOf: (row: T) => string;
  /** Of the row that is open beside it. */
  selected?: string | undefined;
}

const classOf = <T,>({ wide, number, slim }: Column<T>): string =>
  Object.entries({ wide, number, slim })
    .flatMap(([name, is]) => (is ? [name] : []))
    .join(' ');

/** Its words stay whole; what is longer may be somebody's attempt at the layout. */
const LONGEST_WHOLE = 20;
const cellClassOf = <T,>(column: Column<T>, content: ComponentChildren): string =>
  `${classOf(column)}${typeof content === 'string' && content.length <= LONGEST_WHOLE ? ' whole' : ''}`;

function Head<T>({ caption, columns }: Pick<Props<T>, 'caption' | 'columns'>) {
  return (
    <>
      <caption class="hidden">{caption}</caption>
      <thead>
        <tr>
          {columns.map((column) => (
            <th key={column.head} scope="col" class={classOf(column)} aria-sort={column.sorted}>
              {column.head}
            </th>
          ))}
        </tr>
      </thead>
    </>
  );
}

interface RowProps<T> {
  row: T;
  columns: readonly Column<T>[];
  isSelected: boolean;
  /** Where it stands among all, from 1, where not all are in the document. */
  index?: number;
}

function Row<T>({ row, columns, isSelected, index }: RowProps<T>) {
  return (
    <tr
      class={isSelected ? 'selected' : ''}
      aria-current={isSelected ? 'true' : undefined}
      aria-rowindex={index}
    >
      {columns.map((column, i) => {
        const content = column.cell(row);
        return i === 0 ? (
          <th key={column.head} scope="row">
            {content}
          </th>
        ) : (
          <td key={column.head} class={cellClassOf(column, content)}>
            {content}
          </td>
        );
      })}
    </tr>
  );
}

/** A table for people and their screen readers; its first column names the row. */
export function Table<T>({ caption, columns, rows, keyOf, selected }: Props<T>) {
  return (
    <div class="scroller">
      <table>
        <Head caption={caption} columns={columns} />
        <tbody>
          {rows.map((row) => (
            <Row key={keyOf(row)} row={row} columns={columns} isSelected={keyOf(row) === selected} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Rows beyond both ends of what is seen: so far one goes with a key, and so much is there before a scroll is drawn. */
const BEYOND = 20;
/** More are never in the document, however small they are drawn. */
const MOST_DRAWN = 110;
/** Until one was measured. */
const ROW_PX = 36;

interface WindowProps<T> extends Props<T> {
  /** Of all rows, as far as it is known. */
  total: number | null;
  /** Which are drawn by now, of `rows`. */
  drawn: (from: number, to: number) => void;
}

const Gap = ({ px }: { px: number }) =>
  px === 0 ? null : (
    <tr aria-hidden="true" class="gap">
      <td style={{ height: `${String(px)}px` }} />
    </tr>
  );

/** A table of thousands, in a box of its own that scrolls: the rows that are seen are in the document, and a few more. */
export function WindowedTable<T>({ caption, columns, rows, keyOf, selected, total, drawn }: WindowProps<T>) {
  const box = useRef<HTMLDivElement>(null);
  const seen = useSignal({ top: 0, height: 0, row: ROW_PX });
  const measure = (): void => {
    if (!box.current) return;
    const { scrollTop: top, clientHeight: height } = box.current;
    const { value } = seen;
    const rows = box.current.querySelectorAll('tbody tr:not(.gap)');
    const [first, last] = [rows[0], rows[rows.length - 1]].map((row) => row?.getBoundingClientRect());
    const mean = first && last ? (last.bottom - first.top) / rows.length : ROW_PX;
    // They are rounded to pixels each by itself: what is less than that moves nothing.
    const row = Math.abs(mean - value.row) < 0.25 ? value.row : mean;
    if (value.top !== top || value.height !== height || value.row !== row) seen.value = { top, height, row };
  };
  useLayoutEffect(measure);
  useEffect(() => {
    addEventListener('resize', measure);
    return () => removeEventListener('resize', measure);
  }, []);
  /** At once: a browser moves there in steps, and has rows drawn that nobody reads. */
  const toAnEnd = (event: KeyboardEvent): void => {
    const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
    if (!box.current || ctrlKey || metaKey || altKey || shiftKey || (key !== 'Home' && key !== 'End')) return;
    event.preventDefault();
    box.current.scrollTop = key === 'Home' ? 0 : box.current.scrollHeight;
    measure();
  };
  const { top, height, row: px } = seen.value;
  const from = Math.max(0, Math.min(rows.length, Math.floor(top / px)) - BEYOND);
  const to = Math.min(rows.length, Math.ceil((top + height) / px) + BEYOND, from + MOST_DRAWN);
  useEffect(() => drawn(from, to), [from, to, rows.length]);
  return (
    <div
      ref={box}
      class="scroller windowed"
      role="region"
      aria-label={caption}
      tabIndex={0}
      onScroll={measure}
      onKeyDown={toAnEnd}
    >
      <table aria-rowcount={total === null ? -1 : total + 1}>
        <Head caption={caption} columns={columns} />
        <tbody>
          <Gap px={from * px} />
          {rows.slice(from, to).map((row, i) => (
            <Row
              key={keyOf(row)}
              row={row}
              columns={columns}
              isSelected={keyOf(row) === selected}
              index={from + i + 2}
            />
          ))}
          <Gap px={(rows.length - to) * px} />
        </tbody>
      </table>
    </div>
  );
}
