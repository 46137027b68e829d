declare module 'postject' {
  /** Puts `bytes` into an executable, as a resource of that name. */
  // oxlint-disable-next-line eslint/max-params -- theirs
  export function inject(
    file: string,
    name: string,
    bytes: Buffer,
    options: { sentinelFuse: string },
  ): Promise<void>;
}
