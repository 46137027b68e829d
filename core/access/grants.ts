import type { Verb } from '../resources/define.ts';

/** What a subject may do: a role on a resource, perhaps on one of that name alone. `*` is every resource but `closed`. */
export interface Grant {
  role: Verb;
  /** A resource's word, or `*`. */
  resource: string;
  name: string | null;
}

/** What is no verb on a resource, and is given by itself. */
export const operations = ['backup', 'restore', 'logs', 'impersonate', 'reveal', 'redis-worker'] as const;
export type Operation = (typeof operations)[number];

/** Never part of `*`: whoever is given everything is given neither identity nor secrets with it. */
export const closed: readonly string[] = ['user', 'group', 'rbac', 'secret', 'token', 'audit', 'quota'];

/** What a grant may be of. */
export const grantable: readonly string[] = [
  '*',
  'llm',
  'pool',
  'session',
  'task',
  'project',
  'agent',
  'prompt',
  'personality',
  'thread',
  'server',
  'board',
  'metrics',
  ...closed,
];

export interface Rights {
  grants: readonly Grant[];
  operations: readonly Operation[];
}

const bitOf: Readonly<Record<Verb, number>> = { view: 1, create: 2, edit: 4, delete: 8, run: 16 };
const EVERY_BIT = 31;

/** What is granted of one resource, as bits of roles. */
interface OfResource {
  unnamed: number;
  named: Map<string, number>;
}

/** How a resource reads a role. */
interface Reads {
  word: string;
  /** Its rows are their owners' alone to see: who may make one sees those that they made, and no others by it. */
  isPrivate: boolean;
}

/**
 * Grants made ready to be asked, once for all the questions of a user. Every role implies `view` on its scope; nothing else
 * implies anything, nothing is denied, and the order of grants says nothing.
 */
export class Granted {
  readonly rights: Rights;
  readonly #of = new Map<string, OfResource>();

  constructor(rights: Rights) {
    this.rights = rights;
    for (const { role, resource, name } of rights.grants) {
      const of = this.#of.get(resource) ?? { unnamed: 0, named: new Map<string, number>() };
      this.#of.set(resource, of);
      if (name === null) of.unnamed |= bitOf[role];
      else of.named.set(name, (of.named.get(name) ?? 0) | bitOf[role]);
    }
  }

  /** @param name undefined: may they at all, whichever it is? Only what is granted without a name answers that. */
  allows(verb: Verb, reads: Reads, name: string | undefined): boolean {
    const bits = rolesThatAllow(verb, reads);
    return this.#about(reads.word).some(
      ({ unnamed, named }) => ((unnamed | (name === undefined ? 0 : (named.get(name) ?? 0))) & bits) !== 0,
    );
  }

  /** The names that `allows` says yes of; null: all, whatever they are. */
  namesOf(verb: Verb, reads: Reads): readonly string[] | null {
    const bits = rolesThatAllow(verb, reads);
    const names = new Set<string>();
    for (const { unnamed, named } of this.#about(reads.word)) {
      if ((unnamed & bits) !== 0) return null;
      for (const [name, roles] of named) if ((roles & bits) !== 0) names.add(name);
    }
    return [...names];
  }

  #about(word: string): OfResource[] {
    const [of, everywhere] = [this.#of.get(word), closed.includes(word) ? undefined : this.#of.get('*')];
    return [...(of ? [of] : []), ...(everywhere ? [everywhere] : [])];
  }
}

function rolesThatAllow(verb: Verb, { isPrivate }: Reads): number {
  if (verb !== 'view') return bitOf[verb];
  return isPrivate ? EVERY_BIT & ~bitOf.create : EVERY_BIT;
}

export const nothingGranted = new Granted({ grants: [], operations: [] });
