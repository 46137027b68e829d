import { z } from 'zod';
import { revealed } from '../clean.ts';

type Leaves = ReadonlyMap<string, string>;

const objectSchema = z.record(z.string(), z.unknown());

/** The paths of one definition, together: a long key that is above many leaves is a part of each of theirs. */
const MOST_PATH_CHARS = 262_144;

/**
 * Two definitions of a tool as lines, `- path: value` of the old and `+ path: value` of the new one, in the order of their paths. It
 * costs what they are long, and no character of them stays unseen: of those whose paths would be longer than they are each is one line.
 * @param before null: it was not there. @param after null: it is not there any more.
 */
export function diffOfTools(before: object | null, after: object | null): string[] {
  const [old, now] = [leavesOf(before) ?? wholeOf(before), leavesOf(after) ?? wholeOf(after)];
  const paths = [...new Set([...old.keys(), ...now.keys()])].sort();
  return paths.flatMap((path) => {
    const [was, is] = [old.get(path), now.get(path)];
    if (was === is) return [];
    return [
      ...(was === undefined ? [] : [`- ${path}: ${was}`]),
      ...(is === undefined ? [] : [`+ ${path}: ${is}`]),
    ];
  });
}

const wholeOf = (definition: object | null): Leaves => new Map([['', revealed(JSON.stringify(definition))]]);

/** Null where their paths are too long. */
function leavesOf(definition: object | null): Leaves | null {
  const leaves = new Map<string, string>();
  let room = MOST_PATH_CHARS;
  const walk = (value: unknown, path: string): void => {
    const inner = Array.isArray(value) ? Object.entries(value) : Object.entries(asObject(value));
    if (inner.length === 0) {
      room -= path.length;
      if (room >= 0) leaves.set(path, revealed(JSON.stringify(value) ?? 'null'));
    }
    if (room < 0) return;
    for (const [key, each] of inner)
      walk(
        each,
        path === '' ? revealed(key) : `${path}${Array.isArray(value) ? `[${key}]` : `.${revealed(key)}`}`,
      );
  };
  if (definition !== null) walk(definition, '');
  return room < 0 ? null : leaves;
}

const asObject = (value: unknown): Record<string, unknown> => objectSchema.safeParse(value).data ?? {};
