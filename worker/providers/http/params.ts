import { reshapeMembers, spliceMembers } from '../../../core/json-text.ts';

/** How a caller's parameters are changed for a backend that does not take them as they are. */
export interface ParamRules {
  /** Left out. */
  drop: readonly string[];
  /** Set, whatever the caller said. */
  add: Readonly<Record<string, unknown>>;
  /** Given another name; left out where the caller sent that name as well. */
  rename: Readonly<Record<string, string>>;
}

/** The body after the rules, as text; undefined when it is not a JSON object. */
export function applyParams(body: string, { drop, add, rename }: ParamRules): string | undefined {
  const renames = Object.keys(rename);
  const reshaped = drop.length + renames.length === 0 ? body : reshapeMembers(body, { drop, rename });
  if (reshaped === undefined || Object.keys(add).length === 0) return reshaped;
  const splices = Object.entries(add).map(([key, value]) => [key, JSON.stringify(value)] as const);
  return spliceMembers(reshaped, Object.fromEntries(splices));
}
