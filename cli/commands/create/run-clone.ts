import { McpctlError } from '../../../core/errors.ts';
import { hinted } from '../../hint.ts';
import type { Keyed } from '../../keyed.ts';
import type { Client } from '../../net/client.ts';
import { ownTypes } from '../../resources/types.ts';
import type { CatalogueEntry } from '../../../core/resources/catalogue.ts';
import type { Context } from '../../who/context.ts';
import { bodyFor, printMade, type CreateOneOptions } from './run-create-one.ts';

export interface CloneOptions extends CreateOneOptions {
  from: string;
  /** Whoever is granted something on the one by its name is on the other. */
  withRbac: boolean;
}

type Document = { resource: string } & Record<string, unknown>;

function entryOf(word: string): CatalogueEntry {
  const entry = ownTypes('get').find((type) => type.word === word)?.entry;
  if (!entry) throw new TypeError(`there is no ${word}`);
  return entry;
}

/** What people write of one. */
const writtenOf = ({ fields, word }: CatalogueEntry, { raw }: Keyed): Document => ({
  resource: word,
  ...Object.fromEntries(fields.flatMap(({ name }) => (Object.hasOwn(raw, name) ? [[name, raw[name]]] : []))),
});

/** A project with description, servers and prompts of another: made together, or nothing of it. Agents stay where they are. */
export async function runClone(ctx: Context, options: CloneOptions): Promise<void> {
  const { entry, name, from, withRbac, output } = options;
  const body = await bodyFor(ctx, options);
  const client = await ctx.client();
  const { resources } = client;
  const project = await hinted(client, { type: 'project', name: from }, () => resources.get(entry, from));
  await needNew(client, entry, name);
  const prompt = entryOf('prompt');
  const prompts = await resources.list(prompt, { project: from });
  const documents: Document[] = [
    { ...writtenOf(entry, project), ...body, name },
    ...prompts
      .filter(({ raw }) => raw['agent'] === null)
      .map((one) => ({ ...writtenOf(prompt, one), project: name })),
    ...(withRbac ? await grantsOn(client, { from, name }) : []),
  ];
  const { items } = await client.apply({ documents });
  for (const { resource, name: made, outcome } of items.slice(1))
    ctx.out.note(`${resource}/${made} ${outcome}`);
  await printMade(ctx, { entry, made: await resources.get(entry, name), output });
}

/** @throws McpctlError `name_taken`: an apply would change it. */
async function needNew({ resources }: Client, entry: CatalogueEntry, name: string): Promise<void> {
  try {
    await resources.get(entry, name);
  } catch (thrown) {
    if (thrown instanceof McpctlError && thrown.code === 'project_not_found') return;
    throw thrown;
  }
  throw new McpctlError('name_taken', `There is a project '${name}' already.`);
}

/** Every document that grants something on the one by its name, with the same on the other. */
async function grantsOn(
  { resources }: Client,
  { from, name }: { from: string; name: string },
): Promise<Document[]> {
  const entry = entryOf('rbac');
  return (await resources.list(entry, {})).flatMap((one): Document[] => {
    const document = writtenOf(entry, one);
    const bindings = (Array.isArray(document['bindings']) ? document['bindings'] : []) as Record<
      string,
      unknown
    >[];
    const own = bindings.filter((binding) => binding['resource'] === 'project' && binding['name'] === from);
    if (own.length === 0) return [];
    return [{ ...document, bindings: [...bindings, ...own.map((binding) => ({ ...binding, name }))] }];
  });
}
