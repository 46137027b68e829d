import { z } from 'zod';
import { revealed } from '../clean.ts';

type Leaves = ReadonlyMap<string, string>;

const objectSchema = z.record(z.string(), z.unknown());

/**
 * Two definitions of a tool as lines, `- path: value` of the old and `+ path: value` of the new one, in the order of their paths. It
 * costs what they are long, and no character of them stays unseen.
 * @param before null: it was not there. @param after null: it is not there any more.
 */
export function diffOfTools(before: object | null, after: object | null): string[] {
  const [old, now] = [leavesOf(before), leavesOf(after)];
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

function leavesOf(definition: object | null): Leaves {
  const leaves = new Map<string, string>();
  const walk = (value: unknown, path: string): void => {
    const inner = Array.isArray(value) ? Object.entries(value) : Object.entries(asObject(value));
    if (inner.length === 0) leaves.set(path, revealed(JSON.stringify(value) ?? 'null'));
    for (const [key, each] of inner)
      walk(
        each,
        path === '' ? revealed(key) : `${path}${Array.isArray(value) ? `[${key}]` : `.${revealed(key)}`}`,
      );
  };
  if (definition !== null) walk(definition, '');
  return leaves;
}

const asObject = (value: unknown): Record<string, unknown> => objectSchema.safeParse(value).data ?? {};
