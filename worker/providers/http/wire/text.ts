/** Bytes as text, without the mark of their order that some write before it: JSON has no room for it. */
export function textOf(pieces: readonly Uint8Array[]): string {
  return Buffer.concat(pieces)
    .toString('utf8')
    .replace(/^\ufeff/, '');
}
