import type { Context } from '../who/context.ts';
import type { ListLook, WatchLook } from './formats.ts';
import { printListings, type Listing } from './print.ts';

export interface Showing {
  /** The things as they are now; the first time, more may be said than later. */
  ask: (first: boolean) => Promise<Listing[]>;
  options: ListLook & Partial<Pick<WatchLook, 'watch' | 'interval'>>;
  /** One thing was asked for by name. */
  single: boolean;
  /** With `--watch`: whether nothing can change any more. */
  over?: (listings: readonly Listing[]) => boolean;
}

/** Writes things once, or with `--watch` again and again. */
export async function showListings(ctx: Context, { ask, options, single, over }: Showing): Promise<void> {
  const look = { format: options.output, headers: options.headers, single };
  if (!options.watch) return printListings(ctx, await ask(true), look);
  const { watchListings } = await import('./watch.ts');
  let first = true;
  const again = async (): Promise<Listing[]> => {
    const listings = await ask(first);
    first = false;
    return listings;
  };
  await watchListings(ctx, {
    ask: again,
    look,
    everyMs: options.interval ?? 2000,
    ...(over ? { over } : {}),
  });
}
