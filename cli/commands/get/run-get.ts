import { McpctlError } from '../../../core/errors.ts';
import { arranged } from '../../arrange.ts';
import type { Client } from '../../client.ts';
import { instantsFor, llmColumns, poolColumns, taskColumns, type Instant } from '../../columns.ts';
import type { Context } from '../../context.ts';
import type { WatchLook } from '../../formats.ts';
import { hinted } from '../../hint.ts';
import { listingOf, type Listing } from '../../print.ts';
import { refsOf, type Ref, type ResourceType } from '../../resources.ts';
import { showListings } from '../../show.ts';
import { allEnded } from '../../tasks.ts';

export interface GetOptions extends WatchLook {
  /** As typed: `llm a b`, or `llm/a task/b`. */
  args: string[];
  limit: number;
  filters: Partial<Record<'status' | 'kind' | 'pool' | 'type' | 'llm', string>>;
}

type Filter = keyof GetOptions['filters'];

const filtersOf: Record<ResourceType, readonly Filter[]> = {
  llm: ['status', 'kind', 'pool', 'type'],
  pool: [],
  task: ['status', 'pool', 'llm'],
};

export async function runGet(ctx: Context, options: GetOptions): Promise<void> {
  const refs = refsOf(options.args, ['llm', 'pool', 'task']);
  for (const ref of refs) checkFilters(ref, options.filters);
  const client = await ctx.client();
  const instant = instantsFor({
    clock: ctx.clock,
    tty: ctx.terminal.tty.stdout && options.output !== 'json',
  });
  const ask = async (first: boolean): Promise<Listing[]> => {
    const listings: Listing[] = [];
    for (const type of new Set(refs.map((ref) => ref.type))) {
      const names = refs
        .filter((ref) => ref.type === type)
        .flatMap(({ name }) => (name === null ? [] : [name]));
      const { listing, more } = await listingFor({ client, instant, options, names })[type]();
      listings.push(listing);
      if (more && first)
        ctx.out.note(`There are more ${type}s than these ${options.limit}; ask for them with --limit.`);
    }
    return listings;
  };
  const single = refs.length === 1 && refs[0]?.name !== null;
  const ends = refs.every(({ type, name }) => type === 'task' && name !== null);
  await showListings(ctx, { ask, options, single, ...(ends ? { over: allEnded } : {}) });
}

function checkFilters({ type, name }: Ref, filters: GetOptions['filters']): void {
  const given = Object.keys(filters) as Filter[];
  const wrong = given.find((filter) => name !== null || !filtersOf[type].includes(filter));
  if (wrong === undefined) return;
  const where = name === null ? `${type}s` : `a ${type} that is named`;
  throw new McpctlError('usage', `--${wrong} does not go with ${where}.`);
}

interface Asked {
  client: Client;
  instant: Instant;
  options: GetOptions;
  /** Empty: all of them. */
  names: string[];
}

function listingFor({ client, instant, options, names }: Asked) {
  const each = <T>(type: 'llm' | 'pool' | 'task', get: (name: string) => Promise<T>): Promise<T[]> =>
    Promise.all(names.map((name) => hinted(client, { type, name }, () => get(name))));
  const some = names.length > 0;
  return {
    llm: async () => {
      const items = await (some
        ? each('llm', (name) => client.llms.get(name))
        : client.llms.list(options.filters));
      return { listing: listingOf('llm', arranged(items, options), llmColumns(instant)), more: false };
    },
    pool: async () => {
      const items = await (some ? each('pool', (key) => client.pools.get(key)) : client.pools.list());
      return { listing: listingOf('pool', arranged(items, options), poolColumns), more: false };
    },
    task: async () => {
      const { items, more } = some
        ? { items: await each('task', (id) => client.tasks.get(id)), more: false }
        : await client.tasks.list(options.filters, options.limit);
      return { listing: listingOf('task', arranged(items, options), taskColumns(instant)), more };
    },
  };
}
