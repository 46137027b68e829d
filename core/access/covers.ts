import { McpctlError } from '../errors.ts';
import type { Granted, Grant, Rights } from './grants.ts';

/** `run:llm:gpt` */
export const grantText = ({ role, resource, name }: Grant): string =>
  [role, resource, ...(name === null ? [] : [name])].join(':');

/**
 * The first of some rights that somebody does not have, as it is written; undefined: they have them all. Names are contained
 * in names; to make something is not to see what others made.
 */
export function lackOf(granted: Granted, { grants, operations }: Rights): string | undefined {
  const grant = grants.find(
    ({ role, resource: word, name }) => !granted.allows(role, { word, isPrivate: true }, name ?? undefined),
  );
  return grant ? grantText(grant) : operations.find((each) => !granted.rights.operations.includes(each));
}

/** Nobody gives what they lack, and nobody takes it. @throws McpctlError `escalation` */
export function needCover(granted: Granted, rights: Rights): void {
  const lack = lackOf(granted, rights);
  if (lack === undefined) return;
  throw new McpctlError(
    'escalation',
    `You lack ${lack} yourself, or through this token, so that you can neither give it nor take it; ask who has it.`,
  );
}
