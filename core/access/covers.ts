import { can, type Actor } from '../access.ts';
import { McpctlError } from '../errors.ts';
import { grantsOf, inWords, type FilterWords, type Preset, type TokenFilter } from './filter.ts';
import { nothingGranted, type Grant, type Granted, type Rights } from './grants.ts';

/** `run:llm:gpt` */
export const grantText = ({ role, resource, name }: Grant): string =>
  [role, resource, ...(name === null ? [] : [name])].join(':');

/**
 * The first of some rights that somebody does not have, as it is written; undefined: they have them all. Names are contained
 * in names; to make something is not to see what others made.
 * @param sides each of these must have it: what a user is granted, and what their token lets through.
 */
export function lackOf(sides: readonly Granted[], { grants, operations }: Rights): string | undefined {
  const grant = grants.find(({ role, resource: word, name }) =>
    sides.some((granted) => !granted.allows(role, { word, isPrivate: true }, name ?? undefined)),
  );
  if (grant) return grantText(grant);
  return operations.find((each) => sides.some((granted) => !granted.rights.operations.includes(each)));
}

/** What an actor has through their token; one that is bound to pools gives nothing, as no grant is bound to them. */
const heldBy = ({ granted, filter, pools }: Actor): Granted[] => [
  granted,
  ...(filter === null ? [] : [filter.granted]),
  ...(pools === null ? [] : [nothingGranted]),
];

/** Of some rights those that an actor does not have by grants, through their token. */
export function lackedBy(actor: Actor, { grants, operations }: Rights): Rights {
  const held = heldBy(actor);
  const isLacked = (of: Rights): boolean => lackOf(held, of) !== undefined;
  return {
    grants: grants.filter((grant) => isLacked({ grants: [grant], operations: [] })),
    operations: operations.filter((operation) => isLacked({ grants: [], operations: [operation] })),
  };
}

/**
 * Nobody gives what they lack, and nobody takes it. What others are granted is told by its name to who may view documents; to
 * others a name would say that there is one.
 * @throws McpctlError `escalation`
 */
export function needCover(actor: Actor, rights: Rights): void {
  const lack = lackOf(heldBy(actor), rights);
  const mayKnow = can(actor, 'view', { resource: 'rbac' });
  refuse(mayKnow ? lack : lack?.replace(/^(\w+:[^:]+):.*$/, '$1 of some name'));
}

/** Whether a token lets through what is its user's own, of that name. */
export const letsOwn = ({ filter, pools }: Actor, { role, resource: word, name }: Grant): boolean =>
  pools === null &&
  (filter === null ||
    filter.ownAllows(role, { word }) ||
    filter.granted.allows(role, { word, isPrivate: true }, name ?? undefined));

/** What words let through that a filter does not, the first of it. */
function filterLackOf(by: TokenFilter, asked: FilterWords): string | undefined {
  const { rights, own } = inWords(asked);
  const lacked = own.find(
    (grant) =>
      !by.ownAllows(grant.role, { word: grant.resource }) &&
      lackOf([by.granted], { grants: [grant], operations: [] }) !== undefined,
  );
  return lackOf([by.granted], rights) ?? (lacked && grantText(lacked));
}

/** No token makes one that lets through more than it does itself, whoever that is for. @throws McpctlError `escalation` */
export function needFilterCover(by: TokenFilter, asked: FilterWords): void {
  refuse(filterLackOf(by, asked));
}

/**
 * The words of a preset, narrowed where need be to what the token that makes one is bound to. What is not in the preset, or
 * cannot be narrowed, is left for `needFilterCover` to refuse.
 */
export function withinFilter(by: TokenFilter | null, preset: Preset): FilterWords {
  const asked: FilterWords = { preset, bindings: [], operations: [] };
  if (by === null || filterLackOf(by, asked) === undefined) return asked;
  const lets = grantsOf(preset);
  const isLet = (grant: Grant): boolean => lackOf([lets], { grants: [grant], operations: [] }) === undefined;
  return { ...asked, bindings: by.words.bindings.filter(isLet) };
}

function refuse(lack: string | undefined): void {
  if (lack === undefined) return;
  throw new McpctlError(
    'escalation',
    `You lack ${lack} yourself, or through this token, so that you can neither give it nor take it; ask who has it.`,
  );
}
