import { z } from 'zod';
import { McpctlError } from '../../../core/errors.ts';
import { catalogueEntry, type CatalogueEntry } from '../../../core/resources/catalogue.ts';
import { resources as definitions } from '../../../core/resources/index.ts';
import type { Sent } from '../../declared/placed.ts';
import { hinted } from '../../hint.ts';
import { writtenOf, type Keyed } from '../../keyed.ts';
import { serversIn, trustLines } from '../../mcp/change-lines.ts';
import type { Client } from '../../net/client.ts';
import type { Context } from '../../who/context.ts';
import { bodyFor, printMade, type CreateOneOptions } from './run-create-one.ts';

export interface CloneOptions extends CreateOneOptions {
  from: string;
  /** Whoever is granted something on the one by its name is on the other. */
  withRbac: boolean;
}

const prompt = catalogueEntry(definitions.prompt);
const rbac = catalogueEntry(definitions.rbac);

/** A project with description, servers, what is approved of those, and prompts of another: made together, or nothing of it. Agents stay where they are. */
export async function runClone(ctx: Context, options: CloneOptions): Promise<void> {
  const { entry, name, from, withRbac, output } = options;
  const body = await bodyFor(ctx, options);
  const client = await ctx.client();
  const { resources } = client;
  const project = await hinted(client, { type: 'project', name: from }, () => resources.get(entry, from));
  await needNew(client, entry, name);
  needAsMeant(from, project.raw);
  const prompts = await resources.list(prompt, { project: from });
  const documents: Sent[] = [
    { resource: entry.word, ...writtenOf(entry, project), ...body, name },
    ...prompts
      .filter(({ raw }) => raw['agent'] === null)
      .map((one) => ({ resource: prompt.word, ...writtenOf(prompt, one), project: name })),
    ...(withRbac ? await grantsOn(client, { from, name }) : []),
  ];
  // A document is written whole: one that somebody writes meanwhile is not written over.
  const { items } = await client
    .apply({
      documents,
      matchRevision: true,
      ...(serversIn(project.raw).length > 0 && { approvals: { of: from, for: name } }),
    })
    .catch((thrown: unknown) => {
      throw ofTheName(thrown);
    });
  for (const { resource, name: made, outcome } of items.slice(1))
    ctx.out.note(`${resource}/${made} ${outcome}`);
  const made = await resources.get(entry, name);
  await printMade(ctx, { entry, made, output });
  for (const line of await trustLines(client, { project: name, servers: serversIn(made.raw), from }))
    ctx.out.note(line);
}

/** Only the name was said here: what is wrong with it is told of it, and of no place in what was made of it. */
function ofTheName(thrown: unknown): unknown {
  if (!(thrown instanceof McpctlError) || !thrown.details) return thrown;
  const details = thrown.details.map(({ path, message }) => ({
    path: path.replace(/^(approvals\.for|documents\.0\.name)$/, 'name'),
    message,
  }));
  return new McpctlError(thrown.code, thrown.message, { cause: thrown, details });
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

const unboundSchema = z.array(z.string()).catch([]);

/**
 * The other would be bound to whoever has those names now, and trust them by what was approved of somebody else.
 * @throws McpctlError `usage`
 */
function needAsMeant(from: string, { unbound }: Keyed['raw']): void {
  const changed = unboundSchema.parse(unbound).filter((sentence) => sentence.startsWith('changed'));
  if (changed.length === 0) return;
  throw new McpctlError(
    'usage',
    `Project '${from}' has names that are somebody else's by now: take them out of it, or put them in anew, and clone it then. ${changed.join(' ')}`,
  );
}

const bindingsSchema = z.array(z.record(z.string(), z.unknown())).catch([]);

/** Every document that grants something on the one by its name, with the same on the other. */
async function grantsOn(
  { resources }: Client,
  { from, name }: { from: string; name: string },
): Promise<Sent[]> {
  return (await resources.list(rbac, {})).flatMap((one): Sent[] => {
    const document = writtenOf(rbac, one);
    const bindings = bindingsSchema.parse(document['bindings']);
    const own = bindings.filter((binding) => binding['resource'] === 'project' && binding['name'] === from);
    if (own.length === 0) return [];
    return [
      {
        resource: rbac.word,
        ...document,
        revision: one.raw['revision'],
        bindings: [...bindings, ...own.map((binding) => ({ ...binding, name }))],
      },
    ];
  });
}
