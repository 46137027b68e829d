import { McpctlError } from '../../../core/errors.ts';
import type { CatalogueEntry } from '../../../core/resources/catalogue.ts';
import { audit } from '../../../core/resources/people/audit.ts';
import { arranged } from '../../say/arrange.ts';
import type { Client } from '../../net/client.ts';
import { instantsFor, taskColumns, type Instant } from '../../say/columns.ts';
import type { Context } from '../../who/context.ts';
import type { WatchLook } from '../../say/formats.ts';
import { hinted } from '../../hint.ts';
import type { Keyed } from '../../keyed.ts';
import { listingOf, type Listing } from '../../say/print.ts';
import { refsOf, type Ref } from '../../resources/refs.ts';
import { columnsOf } from '../../resources/shown.ts';
import { typesFor, type Type } from '../../resources/types.ts';
import { showListings } from '../../say/show.ts';
import type { Column } from '../../say/table.ts';
import { filtersOfTasks } from '../../input/task-filters.ts';
import { allEnded } from '../../tasks.ts';

export interface GetOptions extends WatchLook {
  /** As typed: `llm a b`, or `llm/a task/b`. */
  args: string[];
  limit: number;
  /** By the names of the API's parameters. */
  filters: Readonly<Record<string, string>>;
  /** For how many milliseconds a server that is away is asked again; while watching, it is anyhow. */
  timeout: number;
  /** A project with what is in it. */
  withContents: boolean;
}

/** What has no plural is told by its lines. */
const manyOf = ({ word, plural }: Type): string => (word === plural ? `lines of ${word}` : plural);

export async function runGet(ctx: Context, options: GetOptions): Promise<void> {
  const refs = refsOf(options.args, await typesFor(ctx, 'get', options.args));
  for (const ref of refs) checkFilters(ref, options.filters);
  const client = await ctx.client(options.watch ? {} : { patienceMs: options.timeout });
  if (options.withContents) return showContents(ctx, { client, refs, options });
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
      const { listing, more } = await listingFor({ client, instant, options, names }, type);
      listings.push(listing);
      if (more && first)
        ctx.out.note(
          `There are more ${manyOf(type)} than these ${options.limit}; ask for them with --limit.`,
        );
    }
    return listings;
  };
  const single = refs.length === 1 && refs[0]?.name !== null;
  const ends = refs.every(({ type, name }) => type.word === 'task' && name !== null);
  await showListings(ctx, { ask, options, single, ...(ends ? { over: allEnded } : {}) });
}

/** Projects, each with what is in it, one kind after the other. */
async function showContents(
  ctx: Context,
  { client, refs, options }: { client: Client; refs: readonly Ref[]; options: GetOptions },
): Promise<void> {
  const { contentsOf } = await import('./contents.ts');
  const names = refs.flatMap(({ type, name }) => (type.word === 'project' && name !== null ? [name] : []));
  if (names.length !== refs.length)
    throw new McpctlError('usage', '--with-contents goes with projects that are named.');
  const instant = instantsFor({ clock: ctx.clock, tty: false });
  const ask = async (): Promise<Listing[]> => contentsOf(client, names, instant);
  await showListings(ctx, { ask, options: { ...options, watch: false }, single: false });
}

function checkFilters({ type, name }: Ref, filters: GetOptions['filters']): void {
  const allowed = type.entry?.filters ?? filtersOfTasks;
  const wrong = Object.keys(filters).find((filter) => name !== null || !allowed.includes(filter));
  if (wrong === undefined) return;
  const where = name === null ? type.plural : `a ${type.word} that is named`;
  const flag = wrong.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new McpctlError('usage', `--${flag} does not go with ${where}.`);
}

interface Asked {
  client: Client;
  instant: Instant;
  options: GetOptions;
  /** Empty: all of them. */
  names: string[];
}

interface Found<T> {
  items: T[];
  columns: Column<T>[];
  more: boolean;
}

async function listingFor(asked: Asked, type: Type): Promise<{ listing: Listing; more: boolean }> {
  return type.entry
    ? arrangedFor(asked, type, await listed(asked, type.entry))
    : arrangedFor(asked, type, await foundTasks(asked));
}

function arrangedFor<T extends Keyed>(
  { options }: Asked,
  { word }: Type,
  { items, columns, more }: Found<T>,
): { listing: Listing; more: boolean } {
  return { listing: listingOf(word, arranged(items, options), columns), more };
}

const each = <T>({ client, names }: Asked, type: string, get: (name: string) => Promise<T>): Promise<T[]> =>
  Promise.all(names.map((name) => hinted(client, { type, name }, () => get(name))));

async function listed(asked: Asked, entry: CatalogueEntry): Promise<Found<Keyed>> {
  const { client, instant, options, names } = asked;
  const columns = columnsOf(entry, instant);
  if (names.length > 0) {
    const items = await each(asked, entry.word, (name) => client.resources.get(entry, name));
    return { items, columns, more: false };
  }
  if (entry.word === audit.word)
    return { columns, ...(await client.resources.first(entry, options.filters, options.limit)) };
  return { items: await client.resources.list(entry, options.filters), columns, more: false };
}

async function foundTasks(asked: Asked) {
  const { client, instant, options, names } = asked;
  const { items, more } =
    names.length > 0
      ? { items: await each(asked, 'task', (id) => client.tasks.get(id)), more: false }
      : await client.tasks.list(options.filters, options.limit);
  return { items, columns: taskColumns(instant), more };
}
