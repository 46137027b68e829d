import {
  mapElements,
  reshapeMembers,
  spliceMembers,
  topLevelMembers,
  type Splice,
} from '../../../core/text/json-text.ts';

/** How a caller's parameters are changed for a backend that does not take them as they are. */
export interface ParamRules {
  /** Left out. */
  drop: readonly string[];
  /** Set, whatever the caller said. */
  add: Readonly<Record<string, unknown>>;
  /**
   * Given another name; left out where the caller sent that name as well. `role:<name>` is about the role of each
   * message: `{ "role:developer": "system" }` for a backend whose template does not know developers.
   */
  rename: Readonly<Record<string, string>>;
}

/** The body after the rules, as text; undefined when it is not a JSON object. */
export function applyParams(body: string, { drop, add, rename }: ParamRules): string | undefined {
  const [roles, names] = byKind(rename);
  const plain = drop.length + Object.keys(names).length === 0;
  const reshaped = plain ? body : reshapeMembers(body, { drop, rename: names });
  const splices = {
    ...(reshaped !== undefined && Object.keys(roles).length > 0 ? rolesRenamed(reshaped, roles) : {}),
    ...Object.fromEntries(Object.entries(add).map(([key, value]) => [key, JSON.stringify(value)])),
  };
  return reshaped === undefined || Object.keys(splices).length === 0
    ? reshaped
    : spliceMembers(reshaped, splices);
}

type Renames = Readonly<Record<string, string>>;
const aboutRole = /^role:/;

function byKind(rename: Renames): [roles: Renames, names: Renames] {
  const all = Object.entries(rename);
  const roles = all.flatMap(([from, to]) =>
    aboutRole.test(from) ? [[from.replace(aboutRole, ''), to]] : [],
  );
  return [
    Object.fromEntries(roles) as Renames,
    Object.fromEntries(all.filter(([from]) => !aboutRole.test(from))),
  ];
}

/** The splice of `messages`; none where the caller sent no list, which is for the backend to refuse. */
function rolesRenamed(body: string, roles: Renames): Record<string, Splice> {
  const quoted = new Map(
    Object.entries(roles).map(([from, to]) => [JSON.stringify(from), JSON.stringify(to)]),
  );
  const role = (current = ''): string => quoted.get(current) ?? current;
  const has = (text: string, member: string): boolean =>
    topLevelMembers(text)?.some(({ key }) => key === member) === true;
  const message = (text: string): string =>
    has(text, 'role') ? (spliceMembers(text, { role }) ?? text) : text;
  if (!has(body, 'messages')) return {};
  return { messages: (current = '') => mapElements(current, message) ?? current };
}
