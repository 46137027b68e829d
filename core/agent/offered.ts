import { elementsAt, memberOf, topLevelMembers } from '../text/json-text.ts';
import { nameOfTool, type Kept } from './let-through.ts';

/** A tool as chat completions list it. */
export interface OfferedTool {
  name: string;
  /** JSON. */
  text: string;
}

/**
 * Adds tools to those that a call brings. One of the call's hides another that is called alike: it is the client's then.
 * @param allowed names; null = every tool.
 * @returns the members of the body, and the names that were added.
 */
export function withOffered(
  members: readonly Kept[],
  offered: readonly OfferedTool[],
  allowed: readonly string[] | null,
): { members: Kept[]; names: string[] } {
  const own = members.findLast(({ key }) => key === 'tools');
  const ownTexts = own ? elementsOf(own.text) : [];
  const taken = new Set(ownTexts.map(nameOfTool));
  const added = offered.filter(
    ({ name }) => !taken.has(name) && (allowed === null || allowed.includes(name)),
  );
  if (added.length === 0) return { members: [...members], names: [] };
  const text = `"tools":[${[...ownTexts, ...added.map((tool) => tool.text)].join(',')}]`;
  const others = members.filter(({ key }) => key !== 'tools');
  return { members: [...others, { key: 'tools', text }], names: added.map(({ name }) => name) };
}

/** The names of the tools that a chat brings itself, in whatever list. */
export function toolNamesOf(body: string): Set<string> {
  const members = topLevelMembers(body) ?? [];
  const texts = members
    .filter(({ key }) => key === 'tools' || key === 'functions')
    .flatMap(({ valueStart }) => textsAt(body, valueStart));
  return new Set(texts.map(nameOfTool).filter((name) => name !== null));
}

/** @param member key and value. */
function elementsOf(member: string): string[] {
  const body = `{${member}}`;
  const list = memberOf(topLevelMembers(body), 'tools');
  return list ? textsAt(body, list.valueStart) : [];
}

const textsAt = (body: string, at: number): string[] =>
  (elementsAt(body, at) ?? []).map(({ start, end }) => body.slice(start, end));
