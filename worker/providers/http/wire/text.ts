import type { GrowingBytes } from '../../../../core/text/growing-bytes.ts';

/** Bytes as text, without the mark of their order that some write before it: JSON has no room for it. */
export const textOf = (bytes: GrowingBytes): string => bytes.text().replace(/^\ufeff/, '');
