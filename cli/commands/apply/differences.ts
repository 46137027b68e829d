import { McpctlError } from '../../../core/errors.ts';
import { catalogueEntry } from '../../../core/resources/catalogue.ts';
import { listed } from '../../../core/resources/index.ts';
import type { Placed } from '../../declared/placed.ts';
import type { Client } from '../../net/client.ts';
import type { AppliedSeen } from '../../net/views.ts';
import { documentOf } from '../../yaml.ts';

type Item = AppliedSeen['items'][number];

/** Lines that are the same on either side, and shown. */
const AROUND = 2;

/** A field that no server shows and no file should: a value of a secret is in no diff. */
const isShown = ({ resource }: Item): boolean => resource !== 'secret';

type Fields = Readonly<Record<string, unknown>>;

/**
 * One thing as the server has it now: without a field where it is not there yet, as a pool before its first llm, or no more;
 * undefined for what only a newer server knows.
 */
async function nowOf(client: Client, item: Item): Promise<Fields | undefined> {
  try {
    return await readNow(client, item);
  } catch (thrown) {
    if (thrown instanceof McpctlError && thrown.code.endsWith('_not_found')) return {};
    throw thrown;
  }
}

async function readNow(client: Client, { resource, id, name }: Item): Promise<Fields | undefined> {
  const definition = listed.find(({ word }) => word === resource);
  if (!definition) return undefined;
  const entry = catalogueEntry(definition);
  return (await client.resources.get(entry, entry.key === 'id' ? id : name)).raw;
}

const linesOf = (field: string, from: Fields): string[] =>
  Object.hasOwn(from, field)
    ? documentOf({ [field]: from[field] })
        .trimEnd()
        .split('\n')
    : [];

/** What is in one text and not in the other, with a few lines around: as `diff -u`, of the one stretch that differs. */
function unified(before: readonly string[], after: readonly string[]): string[] {
  const least = Math.min(before.length, after.length);
  let head = 0;
  while (head < least && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < least - head && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  const around = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);
  return [
    ...around(before.slice(Math.max(0, head - AROUND), head)),
    ...before.slice(head, before.length - tail).map((line) => `- ${line}`),
    ...after.slice(head, after.length - tail).map((line) => `+ ${line}`),
    ...around(before.slice(before.length - tail, before.length - tail + AROUND)),
  ];
}

/** Of what differs, the fields as the server has them and as the file has them; a field that no file has is its default. */
export async function differencesOf(
  client: Client,
  item: Item,
  placed: Placed | undefined,
): Promise<string[]> {
  if (item.outcome !== 'changed' || !placed || !isShown(item)) return [];
  const now = await nowOf(client, item);
  if (!now) return [];
  return item.changed.flatMap((field) => unified(linesOf(field, now), linesOf(field, placed.fields)));
}
