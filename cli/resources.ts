import { McpctlError } from '../core/errors.ts';
import { nearest } from '../core/runtime/nearest.ts';

/** What `get`, `describe`, `create` and `delete` work on, by every name a person may use. */
const names = {
  llm: ['llm', 'llms', 'l'],
  pool: ['pool', 'pools', 'p'],
  task: ['task', 'tasks', 't'],
} as const;

export type ResourceType = keyof typeof names;

/** What each is, in a few words. */
export const resourceTypes: Readonly<Record<ResourceType, string>> = {
  llm: 'what can be called',
  pool: 'llms that share a queue',
  task: 'what ran, runs and waits',
};

/** By any of its names. */
export function typeNamed(word: string): ResourceType | undefined {
  const types = Object.keys(names) as ResourceType[];
  return types.find((type) => (names[type] as readonly string[]).includes(word.toLowerCase()));
}

/** One thing that was asked for; without a name, all of that type. */
export interface Ref {
  type: ResourceType;
  name: string | null;
}

/**
 * `llm`, `llm a b`, `llm/a task/b`: what follows the command's name.
 * @throws McpctlError `usage` for an unknown type, with the nearest one.
 */
export function refsOf(args: readonly string[], allowed: readonly ResourceType[]): Ref[] {
  if (args.some((arg) => arg.includes('/'))) return args.map((arg) => slashed(arg, allowed));
  const type = typeOf(args[0] ?? '', allowed);
  const rest = args.slice(1);
  return rest.length === 0 ? [{ type, name: null }] : rest.map((name) => ({ type, name }));
}

/** The same, where each must be named. */
export function namedRefsOf(
  args: readonly string[],
  allowed: readonly ResourceType[],
): { type: ResourceType; name: string }[] {
  return refsOf(args, allowed).map(({ type, name }) => {
    if (name === null) throw new McpctlError('usage', `Which ${type}? Name at least one.`);
    return { type, name };
  });
}

function slashed(arg: string, allowed: readonly ResourceType[]): Ref {
  const at = arg.indexOf('/');
  const name = arg.slice(at + 1);
  if (at < 0 || name === '')
    throw new McpctlError(
      'usage',
      `"${arg}" must be written like llm/my-model beside other type/name words.`,
    );
  return { type: typeOf(arg.slice(0, at), allowed), name };
}

function typeOf(word: string, allowed: readonly ResourceType[]): ResourceType {
  const found = typeNamed(word);
  if (found && allowed.includes(found)) return found;
  const near = nearest(
    word,
    allowed.flatMap((type) => names[type].slice(0, 2)),
    1,
  )[0];
  const hint = near ? `did you mean ${near}?` : `there are: ${allowed.join(', ')}.`;
  throw new McpctlError('usage', `"${word}" is not something this command knows; ${hint}`);
}
