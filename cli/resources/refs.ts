import { McpctlError } from '../../core/errors.ts';
import { nearest } from '../../core/runtime/nearest.ts';
import { isCalled, type Type } from './types.ts';

/** One thing that was asked for; without a name, all of that type. */
export interface Ref {
  type: Type;
  name: string | null;
}

/**
 * `llm`, `llm a b`, `llm/a task/b`: what follows the command's name.
 * @throws McpctlError `usage` for an unknown type, with the nearest one.
 */
export function refsOf(args: readonly string[], types: readonly Type[]): Ref[] {
  if (args.some((arg) => arg.includes('/'))) return args.map((arg) => slashed(arg, types));
  const type = typeNamed(args[0] ?? '', types);
  const rest = args.slice(1);
  return rest.length === 0 ? [{ type, name: null }] : rest.map((name) => ({ type, name }));
}

export interface NamedRef extends Ref {
  name: string;
}

/** The same, where each must be named. */
export function namedRefsOf(args: readonly string[], types: readonly Type[]): NamedRef[] {
  return refsOf(args, types).map(({ type, name }) => {
    if (name === null) throw new McpctlError('usage', `Which ${type.word}? Name at least one.`);
    return { type, name };
  });
}

function slashed(arg: string, types: readonly Type[]): Ref {
  const at = arg.indexOf('/');
  const name = arg.slice(at + 1);
  if (at < 0 || name === '')
    throw new McpctlError(
      'usage',
      `"${arg}" must be written like llm/my-model beside other type/name words.`,
    );
  return { type: typeNamed(arg.slice(0, at), types), name };
}

function typeNamed(word: string, types: readonly Type[]): Type {
  const resourceType = types.find((type) => isCalled(type, word));
  if (resourceType) return resourceType;
  const near = nearest(
    word,
    types.flatMap((type) => [type.word, type.plural]),
    1,
  )[0];
  const hint = near ? `did you mean ${near}?` : `there are: ${types.map((type) => type.word).join(', ')}.`;
  throw new McpctlError('usage', `"${word}" is not something this command knows; ${hint}`);
}
