import { join } from 'node:path';

export type Program = 'edge' | 'scheduler' | 'worker' | 'cli';

/**
 * The file to start a program of the product from. In a run of everything that is one file made of all that its
 * `dist/<name>/main.js` imports (bundles.ts): the same code in half the time to start.
 */
export function programOf(name: Program): string {
  const bundles = process.env['MCPCTL_TEST_BUNDLES'];
  return bundles ? join(bundles, name === 'cli' ? 'cli.mjs' : `${name}.cjs`) : `dist/${name}/main.js`;
}
