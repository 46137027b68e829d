import { McpctlError } from '../../core/errors.ts';
import { ownCatalogue, type CatalogueEntry } from '../../core/resources/catalogue.ts';
import type { Context } from '../who/context.ts';

/** What a command works on, by every name a person may use. */
export interface Type {
  word: string;
  plural: string;
  short: readonly string[];
  about: string;
  /** How it is listed and shown; null where this program has commands of its own for it. */
  entry: CatalogueEntry | null;
}

/** What commands do to one, each a call of the API. */
export type Doing = 'get' | 'describe' | 'edit' | 'delete' | 'rename';

const calls: Readonly<Record<Doing, readonly string[]>> = {
  get: ['get', 'list'],
  describe: ['get', 'list'],
  edit: ['replace'],
  delete: ['delete'],
  rename: ['change'],
};

const task: Type = {
  ...{ word: 'task', plural: 'tasks', short: ['t'], about: 'what ran, runs and waits' },
  entry: null,
};

/** Not a copy of all of it: the fields are made when they are asked for. */
const typeOf = (entry: CatalogueEntry): Type => {
  const { word, plural, short, about } = entry;
  return { word, plural, short, about, entry };
};

/** What its owner says of a thread; what was said in it is no document. */
function editableThreads(): CatalogueEntry[] {
  const fields = ['title', 'pinned', 'expiresAt'].map((name) => ({
    ...{ name, kind: 'json', required: false, long: false },
  }));
  const threads = ownCatalogue().filter(({ word }) => word === 'thread');
  return threads.map((entry) => ({ ...entry, calls: ['get', 'change'], fields }));
}

function bears(doing: Doing, { entry }: Type): boolean {
  if (entry === null) return doing !== 'edit' && doing !== 'rename';
  if (doing === 'rename' && entry.isRenamed !== true) return false;
  return calls[doing].some((call) => entry.calls.includes(call));
}

/** In the order in which they are told: what became of calls comes behind what can be called. */
const everyOwn = (): Type[] => ownCatalogue().map(typeOf).toSpliced(1, 0, task);

/** Those that this release knows. */
export function ownTypes(doing: Doing): Type[] {
  const types = everyOwn().filter((type) => bears(doing, type));
  return doing === 'edit' ? [...types, ...editableThreads().map(typeOf)] : types;
}

export const isCalled = (
  { word, plural, short }: Pick<Type, 'word' | 'plural' | 'short'>,
  name: string,
): boolean => [word, plural, ...short].includes(name.toLowerCase());

/** Those that the server has besides, as it says itself; none where it does not say. */
export async function othersTypes(ctx: Pick<Context, 'client'>, doing: Doing): Promise<Type[]> {
  try {
    const own = new Set(everyOwn().map(({ word }) => word));
    const entries = await (await ctx.client()).resources.catalogue();
    return entries
      .filter(({ word }) => !own.has(word))
      .map(typeOf)
      .filter((type) => bears(doing, type));
  } catch (thrown) {
    if (thrown instanceof McpctlError) return [];
    throw thrown;
  }
}

/** What the words after a command may mean: the server is asked where they name what this release has never heard of. */
export async function typesFor(ctx: Context, doing: Doing, args: readonly string[]): Promise<Type[]> {
  const isSlashed = args.some((arg) => arg.includes('/'));
  const named = isSlashed ? args.map((arg) => arg.split('/')[0] ?? '') : args.slice(0, 1);
  const isKnown = (name: string): boolean => everyOwn().some((type) => isCalled(type, name));
  const own = ownTypes(doing);
  return named.every(isKnown) ? own : [...own, ...(await othersTypes(ctx, doing))];
}
