import type { Guarded, Verb } from '../resources/define.ts';
import { closed, Granted, operations, type Grant, type Operation, type Rights } from './grants.ts';

/**
 * What a token lets through of what its user may: it gives nothing by itself and is asked at each use, so that whatever the
 * user loses the token loses, and whatever they get later it gets where it lets that through.
 */

export const presets = ['call', 'publish', 'manage', 'full'] as const;
export type Preset = (typeof presets)[number];

/** All there are. */
export const roles: readonly Verb[] = ['view', 'create', 'edit', 'delete', 'run'];
const every = (resource: string): Grant[] => roles.map((role) => ({ role, resource, name: null }));

interface Lets {
  /** Of everything, whosever it is. */
  grants: readonly Grant[];
  /** Of what is its user's own alone. */
  own: readonly Grant[];
  operations: readonly Operation[];
}

const unnamed = (role: Verb, ...resources: string[]): Grant[] =>
  resources.map((resource) => ({ role, resource, name: null }));

const lets: Readonly<Record<Preset, Lets>> = {
  call: {
    grants: unnamed('run', 'llm', 'pool', 'agent'),
    own: [...every('task'), ...every('thread')],
    operations: [],
  },
  publish: {
    grants: unnamed('create', 'session'),
    own: [...every('session'), ...every('agent'), ...unnamed('view', 'llm', 'pool')],
    operations: [],
  },
  manage: { grants: ['*', ...closed].flatMap(every), own: [], operations: [] },
  full: { grants: ['*', ...closed].flatMap(every), own: [], operations },
};

/** What a preset lets through, of whosever it is: what bindings beside it are chosen from. */
export const grantsOf = (preset: Preset): Granted => new Granted(lets[preset]);

/** What a token is made with, as it is kept. */
export interface FilterWords {
  preset: Preset;
  /** Of what the preset lets through, these alone; none: all of it. What is its user's own is as the preset says. */
  bindings: readonly Grant[];
  operations: readonly Operation[];
}

/** Everything, as tokens were before they could be less. */
export const full: FilterWords = { preset: 'full', bindings: [], operations: [] };

/** What those words let through: of whosever it is, and of what is its user's own. */
export function inWords({ preset, bindings, operations: narrowed }: FilterWords): {
  rights: Rights;
  own: readonly Grant[];
} {
  const of = lets[preset];
  if (bindings.length === 0 && narrowed.length === 0) return { rights: of, own: of.own };
  // Who is let through to one llm alone still has the calls that they make.
  const own = of.own.length === 0 ? lets.call.own : of.own;
  return { rights: { grants: bindings, operations: narrowed }, own };
}

/** Made ready to be asked. */
export class TokenFilter {
  readonly words: FilterWords;
  /** Of everything, whosever it is. */
  readonly granted: Granted;
  readonly #own: Granted;

  constructor(words: FilterWords) {
    const { rights, own } = inWords(words);
    this.words = words;
    this.granted = new Granted(rights);
    this.#own = new Granted({ grants: own, operations: [] });
  }

  /** Of what is its user's own. */
  ownAllows(verb: Verb, { word }: Pick<Guarded, 'word'>): boolean {
    return this.#own.allows(verb, { word, isPrivate: false }, undefined);
  }
}

const filters = new Map<Preset, TokenFilter>();

/** @returns null where it lets through everything: then nothing needs to be asked. */
export function filterOf(words: FilterWords): TokenFilter | null {
  if (words.bindings.length > 0 || words.operations.length > 0) return new TokenFilter(words);
  if (words.preset === 'full') return null;
  const filter = filters.get(words.preset) ?? new TokenFilter(words);
  filters.set(words.preset, filter);
  return filter;
}

const isSameName = (a: string | null, b: string | null): boolean => a === null || b === null || a === b;

/** What some rights come to through a token: the scopes that both have, and of another role what every role implies. */
export function throughFilter(rights: Rights, words: FilterWords): Rights {
  if (filterOf(words) === null) return rights;
  const through = inWords(words).rights;
  const grants = rights.grants.flatMap((grant) => {
    const isWhole = through.grants.some(
      ({ role, resource, name }) =>
        role === grant.role && name === null && bothOf(grant.resource, resource) === grant.resource,
    );
    if (isWhole) return [grant];
    return through.grants.flatMap((lets): Grant[] => {
      const resource = bothOf(grant.resource, lets.resource);
      if (resource === null || !isSameName(grant.name, lets.name)) return [];
      const role = grant.role === lets.role ? grant.role : 'view';
      return [{ role, resource, name: grant.name ?? lets.name }];
    });
  });
  return { grants, operations: rights.operations.filter((each) => through.operations.includes(each)) };
}

function bothOf(a: string, b: string): string | null {
  if (a === b || b === '*') return closed.includes(a) && a !== b ? null : a;
  return a === '*' && !closed.includes(b) ? b : null;
}
