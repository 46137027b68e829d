/** Rows as lines, each column but the last as wide as its widest cell. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const narrow = (rows[0] ?? []).slice(0, -1);
  const widths = narrow.map((_, n) => Math.max(...rows.map((row) => row[n]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, n) => cell.padEnd(widths[n] ?? 0))
      .join('   ')
      .trimEnd(),
  );
}
