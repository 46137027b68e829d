/**
 * Whether a Unix socket may lie there: its path has a bound of about a hundred bytes, and Windows has none that Redis knows.
 * Over it a byte costs either side about half of what it costs over loopback.
 */
export const fitsSocket = (path: string): boolean =>
  process.platform !== 'win32' && Buffer.byteLength(path) <= 100;
