import { MOST_DOCUMENTS } from '../../../core/declared/apply.ts';
import { McpctlError } from '../../../core/errors.ts';
import { AlreadySaid } from '../../exit.ts';
import type { Context } from '../../who/context.ts';
import { readDocuments, type ReadDocument } from '../../yaml.ts';
import { readFiles } from './files.ts';

export interface ApplyOptions {
  files: readonly string[];
  recursive: boolean;
  how: 'apply' | 'dry-run' | 'diff';
}

/** A document, and the file that it is in. */
interface Placed extends ReadDocument {
  called: string;
}

const endings = {
  created: { apply: 'created', 'dry-run': 'would be created', diff: 'is not there' },
  changed: { apply: 'changed', 'dry-run': 'would be changed', diff: 'differs' },
} as const;

export async function runApply(ctx: Context, { how, ...asked }: ApplyOptions): Promise<void> {
  const placed: Placed[] = [];
  for (const { called, text } of await readFiles(ctx, asked))
    for (const document of readDocuments(text, called)) placed.push({ ...document, called });
  if (placed.length === 0) throw new McpctlError('usage', 'There is no document in what was named.');
  if (placed.length > MOST_DOCUMENTS)
    throw new McpctlError(
      'usage',
      `There are ${placed.length} documents, and at most ${MOST_DOCUMENTS} can be applied at once.`,
    );
  const client = await ctx.client();
  const { items, warnings } = await client
    .apply(
      placed.map(({ fields }) => fields),
      { dryRun: how !== 'apply' },
    )
    .catch((thrown: unknown) => {
      throw thrown instanceof McpctlError ? inPlace(thrown, placed) : thrown;
    });
  for (const warning of warnings) ctx.out.note(`Warning: ${warning}`);
  let differing = 0;
  for (const { resource, name, outcome, changed } of items) {
    const label = `${resource}/${name}`;
    if (outcome === 'unchanged') {
      if (how !== 'diff') ctx.out.line(`${label} unchanged`);
      continue;
    }
    differing += 1;
    const fields = outcome === 'changed' ? `: ${changed.join(', ')}` : '';
    ctx.out.line(`${label} ${endings[outcome][how]}${fields}`);
  }
  if (how !== 'diff') return;
  if (differing === 0) ctx.out.note('Everything is as the documents say.');
  else throw new AlreadySaid(3);
}

/** The server's faults, each with the file and line that it is about instead of the number of a document. */
function inPlace(error: McpctlError, placed: readonly Placed[]): McpctlError {
  const details = error.details?.map(({ path, message }) => {
    const [, at = '', field = ''] = /^documents\.(\d+)(?:\.(.*))?$/.exec(path) ?? [];
    const document = at === '' ? undefined : placed[Number(at)];
    if (!document) return { path, message };
    const place = `${document.called}:${document.lineOf(field.split('.').filter((part) => part !== ''))}`;
    return { path: field === '' ? place : `${place} ${field}`, message: inWords(message, placed) };
  });
  return new McpctlError(error.code, error.message, details ? { details } : {});
}

const inWords = (message: string, placed: readonly Placed[]): string =>
  message.replace(/\bdocuments\.(\d+)/g, (text, at: string) => {
    const other = placed[Number(at)];
    return other ? `the one at ${other.called}:${other.lineOf([])}` : text;
  });
