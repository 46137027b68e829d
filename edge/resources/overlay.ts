import type { ResourceRow } from '../../core/registry/resources/rows.ts';

/**
 * What is laid over rows when they are shown: what only Redis knows. One answer for each, in their order. It is the third
 * of the hooks of a resource; core/registry/resources/hooks.ts has the other two.
 */
export type Overlay = (rows: readonly ResourceRow[]) => Promise<readonly Readonly<Record<string, unknown>>[]>;

/** By the words of resources. */
export const overlays: Readonly<Record<string, Overlay>> = {};
