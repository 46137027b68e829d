import type { ComponentChildren } from 'preact';

export interface Column<T> {
  head: string;
  cell: (row: T) => ComponentChildren;
  /** Left out where the window is narrow. */
  wide?: boolean;
  /** Numbers stand to the right. */
  number?: boolean;
}

interface Props<T> {
  caption: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  keyOf: (row: T) => string;
  /** Of the row that is open beside it. */
  selected?: string | undefined;
}

const classOf = <T,>({ wide, number }: Column<T>): string =>
  `${wide ? 'wide ' : ''}${number ? 'number' : ''}`;

/** A table for people and their screen readers; its first column names the row. */
export function Table<T>({ caption, columns, rows, keyOf, selected }: Props<T>) {
  return (
    <div class="scroller">
      <table>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.head} scope="col" class={classOf(column)}>
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)} class={keyOf(row) === selected ? 'selected' : ''}>
              {columns.map((column, i) =>
                i === 0 ? (
                  <th key={column.head} scope="row">
                    {column.cell(row)}
                  </th>
                ) : (
                  <td key={column.head} class={classOf(column)}>
                    {column.cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
