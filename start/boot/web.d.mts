/** Of esbuild's metafile what the tests of sizes look at. */
export function bundleWeb(
  root: string,
  dist: string,
): Promise<{
  outputs: Record<string, { bytes: number; entryPoint?: string; imports: { path: string; kind: string }[] }>;
}>;
