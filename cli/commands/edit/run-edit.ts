import { McpctlError, messageOf } from '../../../core/errors.ts';
import { catalogueEntry, type CatalogueEntry } from '../../../core/resources/catalogue.ts';
import { project } from '../../../core/resources/talk/project.ts';
import type { Client } from '../../net/client.ts';
import type { Context } from '../../who/context.ts';
import { writtenOf, type Keyed } from '../../keyed.ts';
import { hinted } from '../../hint.ts';
import { serversIn, trustLines } from '../../mcp/change-lines.ts';
import { PATIENCE_MS } from '../../input/timeout.ts';
import { namedRefsOf } from '../../resources/refs.ts';
import { typesFor } from '../../resources/types.ts';
import { warningsOf } from '../../net/views.ts';
import { commented, documentOf, readDocument } from '../../yaml.ts';
import { openDraft, type Draft } from '../../input/draft.ts';

export interface EditOptions {
  /** As typed: `project a`, or `project/a`. */
  args: string[];
  /** Of a secret: what is opened has its values. */
  showValues?: boolean;
}

/** What is edited: the server's, as it was last seen. */
interface Edited {
  client: Client;
  entry: CatalogueEntry;
  seen: Keyed;
  /** The text that is opened first. */
  first: string;
}

/** A secret with its values in place of their masks; that somebody has them is told before they are sent. */
async function withValues({ secrets }: Client, seen: Keyed): Promise<Keyed> {
  const { data } = await secrets.reveal(seen.key);
  return { ...seen, raw: { ...seen.raw, data } };
}

export async function runEdit(ctx: Context, { args, showValues = false }: EditOptions): Promise<void> {
  const [ref, ...more] = namedRefsOf(args, await typesFor(ctx, 'edit', args));
  const entry = ref?.type.entry;
  if (!ref || !entry || more.length > 0) throw new McpctlError('usage', 'Name one thing to edit.');
  const { name } = ref;
  if (showValues && entry.word !== 'secret')
    throw new McpctlError('usage', `--show-values is of a secret, and ${entry.word}/${name} is none.`);
  const client = await ctx.client({ patienceMs: PATIENCE_MS });
  const seen = await hinted(client, { type: entry.word, name }, () => client.resources.get(entry, name));
  const first = pageOf(entry, showValues ? await withValues(client, seen) : seen);
  const draft = await openDraft(ctx, { name: `${entry.word}.yaml`, editor: await ctx.editor() });
  try {
    const changed = await editUntilTaken(ctx, { client, entry, seen, first }, draft);
    await draft.remove();
    if (changed) ctx.out.line(`${entry.word}/${name} ${changed}`);
    else ctx.out.note('Nothing was changed.');
    if (changed === 'edited' && entry.word === 'project') await sayTrusted(ctx, client, seen);
  } catch (thrown) {
    if (await draft.keepTyped()) ctx.out.note(`What you typed is kept in ${draft.path}.`);
    throw thrown;
  }
}

/** Of servers that the project has got: what it trusts of them, as they are now. */
async function sayTrusted(ctx: Context, client: Client, seen: Keyed): Promise<void> {
  const had = serversIn(seen.raw);
  const { raw } = await client.resources.get(catalogueEntry(project), seen.key);
  const news = serversIn(raw).filter((server) => !had.includes(server));
  for (const line of await trustLines(client, { project: seen.key, servers: news })) ctx.out.note(line);
}

/**
 * Opens the editor until the server takes what was saved, or nothing is changed any more. Each refusal stands above what
 * was typed when the editor opens again; whoever saves that unchanged leaves with it.
 */
async function editUntilTaken(
  ctx: Context,
  edited: Edited,
  draft: Draft,
): Promise<'edited' | 'unchanged' | null> {
  let { seen, first: text } = edited;
  let refusal: McpctlError | undefined;
  for (;;) {
    const typed = await draft.edit(text);
    if (typed === text || isBlank(typed)) {
      if (refusal) throw refusal;
      return null;
    }
    try {
      const body = bodyOf(edited.entry, seen, readDocument(typed));
      const now = await written(edited, seen, body);
      for (const warning of warningsOf(now)) ctx.out.note(warning);
      return isSame(edited.entry, now, seen) ? 'unchanged' : 'edited';
    } catch (thrown) {
      if (!(thrown instanceof McpctlError) || !isMendable(thrown)) throw thrown;
      refusal = thrown;
      const isStale = thrown.code === 'stale_revision';
      if (isStale) seen = await edited.client.resources.get(edited.entry, seen.key);
      const theirs = isStale ? `It is now:\n${documentOf(writtenOf(edited.entry, seen))}` : '';
      text = `${commented(`${sentenceOf(thrown)}\n${theirs}`)}\n${withoutRefusal(typed)}`;
    }
  }
}

/** What has no revision is changed by what is said of it. */
async function written({ client, entry }: Edited, seen: Keyed, body: Keyed['raw']): Promise<Keyed> {
  if (!entry.calls.includes('replace')) return await client.resources.change(entry, seen.key, body);
  const revision = Number(seen.raw['revision']);
  return await client.resources.replace(entry, seen.key, { body, revision });
}

function isSame(entry: CatalogueEntry, now: Keyed, seen: Keyed): boolean {
  if (entry.calls.includes('replace')) return now.raw['revision'] === seen.raw['revision'];
  return JSON.stringify(writtenOf(entry, now)) === JSON.stringify(writtenOf(entry, seen));
}

/** What whoever edits can do something about; all else ends the edit. */
const isMendable = ({ code }: McpctlError): boolean =>
  ['usage', 'invalid_request', 'invalid_json', 'name_taken', 'stale_revision', 'body_too_large'].includes(
    code,
  );

const isBlank = (text: string): boolean => text.split('\n').every((line) => /^\s*(#|$)/.test(line));

const sentenceOf = (error: McpctlError): string =>
  [messageOf(error), ...(error.details ?? []).map(({ path, message }) => `${path}: ${message}`)].join('\n');

/** The comments that an earlier refusal put above. */
const withoutRefusal = (text: string): string => text.replace(/^(#.*\n)+(?=# mcpctl edit)/, '');

/** The document that the editor opens: what may be changed, and as comments what may not. */
function pageOf(entry: CatalogueEntry, seen: Keyed): string {
  const own = writtenOf(entry, seen);
  const others = Object.entries(seen.raw).filter(([name]) => !Object.hasOwn(own, name));
  return [
    commented(
      `mcpctl edit: save to change it; empty or unchanged, nothing happens. These lines are passed over.`,
    ),
    documentOf({ resource: entry.word, ...own }).trimEnd(),
    commented(`The server's own:\n${documentOf(Object.fromEntries(others))}`),
    '',
  ].join('\n');
}

/** @throws McpctlError `usage` where what names it was changed. */
function bodyOf(
  { word, key }: CatalogueEntry,
  seen: Keyed,
  { resource, ...document }: Record<string, unknown>,
): Record<string, unknown> {
  if (resource !== undefined && resource !== word)
    throw new McpctlError('usage', `This is a ${word}; "resource" cannot be changed.`);
  const { [key]: named, ...body } = document;
  if (named !== undefined && named !== seen.key)
    throw new McpctlError('usage', `"${key}" names this ${word} and cannot be changed.`);
  return body;
}
