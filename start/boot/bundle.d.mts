/** @see bundle.mjs */
export function bundle(root: string, dist: string, programs: readonly string[]): Promise<string[]>;
