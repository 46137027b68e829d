/** @see bundle.mjs */
export function bundle(root: string, dist: string, programs: readonly string[]): Promise<string[]>;
/** @see bundle.mjs */
export function bundleSingle(
  root: string,
  program: string,
  how: { outfile: string; instead: Readonly<Record<string, string>> },
): Promise<void>;
