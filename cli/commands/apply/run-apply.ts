import { MOST_DOCUMENTS } from '../../../core/declared/apply.ts';
import { kindsOf, labelOf } from '../../../core/declared/kinds.ts';
import { inOrder } from '../../../core/declared/order.ts';
import { McpctlError } from '../../../core/errors.ts';
import { stored } from '../../../core/resources/index.ts';
import { differencesOf } from './differences.ts';
import { inPlace, inWords, placedIn, placeOf, sentOf, type Placed } from '../../declared/placed.ts';
import { renamed, renameOf } from '../../declared/rename.ts';
import { AlreadySaid, Cancelled, type ExitCode } from '../../exit.ts';
import { confirm } from '../../input/question.ts';
import type { ApplyAsked, Client } from '../../net/client.ts';
import { mayBeDone } from '../../net/patience.ts';
import type { AppliedSeen } from '../../net/views.ts';
import type { Context } from '../../who/context.ts';

export interface ApplyOptions {
  files: readonly string[];
  recursive: boolean;
  /** `read`: the server is not asked. */
  how: 'apply' | 'dry-run' | 'diff' | 'read';
  isAtomic: boolean;
  rename?: string[] | undefined;
  validate: 'strict' | 'warn' | 'ignore';
  /** Milliseconds. */
  timeout: number;
  set?: string | undefined;
  prune?: boolean;
  pruneKinds?: string[] | undefined;
  allowEmpty?: boolean;
  yesPrune?: number | undefined;
  yes?: boolean;
  matchRevision?: boolean;
}

/** What is said of an outcome; of one that only a newer server knows, the word itself. */
const endings: Readonly<Record<string, Readonly<Record<'apply' | 'dry-run' | 'diff', string>>>> = {
  created: { apply: 'created', 'dry-run': 'would be created', diff: 'is not there' },
  changed: { apply: 'changed', 'dry-run': 'would be changed', diff: 'differs' },
  pruned: { apply: 'pruned', 'dry-run': 'would be pruned', diff: 'would be pruned' },
};

export async function runApply(ctx: Context, options: ApplyOptions): Promise<void> {
  const { how, isAtomic } = options;
  checkFlags(options);
  const placed = await read(ctx, options);
  if (placed.length > MOST_DOCUMENTS && isAtomic)
    throw new McpctlError(
      'usage',
      `There are ${placed.length} documents, and at most ${MOST_DOCUMENTS} can be applied at once; with --no-atomic they are applied in batches.`,
    );
  const documents = placed.map(sentOf);
  if (how === 'read') {
    for (const [at, { resource }] of documents.entries())
      ctx.out.line(`${resource} in ${placed[at] ? placeOf(placed[at]) : ''} can be read`);
    return;
  }
  const client = await ctx.client({ patienceMs: options.timeout });
  const body: ApplyAsked = { documents, ...wishesOf(options), dryRun: how !== 'apply' };
  if (how === 'apply' && options.prune) await askToPrune(ctx, { client, body, placed, options });
  let [differing, applied] = [0, 0];
  for (const batch of isAtomic ? [placed] : inBatches(placed)) {
    const sending = { body: { ...body, documents: batch.map(sentOf) }, placed: batch };
    const done = await sent(ctx, client, { ...sending, applied, all: placed.length });
    differing += await say(ctx, how, { client, placed: batch, done });
    applied += batch.length;
  }
  if (how !== 'diff') return;
  if (differing === 0) ctx.out.note('Everything is as the documents say.');
  else throw new AlreadySaid(3 satisfies ExitCode);
}

/** So many at once as the server takes, in its own order of one apply: each batch can stand without those behind it. */
function inBatches(placed: readonly Placed[]): Placed[][] {
  const documents = placed.map(({ fields }) => ({ kind: { word: String(fields['resource']) } }));
  const ordered = inOrder(documents, kindsOf(stored)).flatMap((at) => placed[at] ?? []);
  const batches: Placed[][] = [];
  for (let at = 0; at < ordered.length; at += MOST_DOCUMENTS)
    batches.push(ordered.slice(at, at + MOST_DOCUMENTS));
  return batches;
}

/** @throws McpctlError `usage` for flags that mean nothing without each other. */
function checkFlags({
  set,
  prune = false,
  pruneKinds,
  yesPrune,
  allowEmpty = false,
  isAtomic,
}: ApplyOptions): void {
  if (prune && set === undefined)
    throw new McpctlError('usage', '--prune needs --set: only what a set applied is deleted.');
  if (prune && !isAtomic) throw new McpctlError('usage', '--prune does not go with --no-atomic.');
  if (!prune && (pruneKinds !== undefined || yesPrune !== undefined || allowEmpty))
    throw new McpctlError('usage', '--prune-kinds, --yes-prune and --allow-empty go with --prune.');
}

async function read(ctx: Context, { rename = [], allowEmpty, ...asked }: ApplyOptions): Promise<Placed[]> {
  let placed = await placedIn(ctx, asked);
  if (placed.length === 0 && !allowEmpty)
    throw new McpctlError(
      'usage',
      asked.prune
        ? 'There is no document in what was named; to prune all of the set, say --allow-empty.'
        : 'There is no document in what was named.',
    );
  for (const text of rename) {
    const done = renamed(placed, renameOf(text));
    placed = done.placed;
    for (const line of done.sentences) ctx.out.note(line);
  }
  return placed;
}

function wishesOf({
  validate,
  matchRevision = false,
  ...options
}: ApplyOptions): Omit<ApplyAsked, 'documents' | 'dryRun'> {
  const { set, prune = false, pruneKinds: kinds, yesPrune, allowEmpty = false } = options;
  const pruning = {
    allowEmpty,
    ...(kinds && { kinds }),
    ...(yesPrune !== undefined && { confirm: yesPrune }),
  };
  return { validate, matchRevision, ...(set !== undefined && { set }), ...(prune && { prune: pruning }) };
}

interface Sending {
  body: ApplyAsked;
  placed: readonly Placed[];
  /** Of batches: how many documents were applied before. */
  applied?: number;
  /** Of batches: how many there are. */
  all?: number;
}

/** Sends them, and says what the server warns of; where it fails, what was applied and what was not. */
async function sent(
  ctx: Context,
  client: Client,
  { body, placed, applied = 0, all = placed.length }: Sending,
): Promise<AppliedSeen> {
  try {
    const done = await client.apply(body);
    for (const warning of done.warnings) ctx.out.note(`Warning: ${inWords(warning, placed)}`);
    return done;
  } catch (thrown) {
    const isReal = body.dryRun !== true;
    if (isReal && thrown instanceof Cancelled)
      ctx.out.note('What was sent may have been applied; ask with "diff".');
    if (!(thrown instanceof McpctlError)) throw thrown;
    if (isReal) {
      const [what, before] =
        applied === 0 ? ['it', ''] : ['this batch', `, and of ${all} documents ${applied} were before`];
      ctx.out.note(
        mayBeDone(thrown)
          ? `Whether ${what} was applied is not known${before}; ask with "diff", or apply it again.`
          : `Nothing of ${what} was applied${before}.`,
      );
    }
    throw inPlace(thrown, placed);
  }
}

/** Shows what would be deleted, and asks. @throws McpctlError `usage` where nobody can be asked. */
async function askToPrune(
  ctx: Context,
  { client, body, placed, options }: Sending & { client: Client; options: ApplyOptions },
): Promise<void> {
  const { items } = await sent(ctx, client, { body: { ...body, dryRun: true }, placed });
  const going = items.filter(({ outcome }) => outcome === 'pruned');
  if (going.length === 0) return;
  for (const item of going) ctx.out.note(`${labelOf(item)} would be pruned`);
  if (options.yes || options.yesPrune !== undefined) return;
  await confirm(ctx, `Delete ${going.length === 1 ? 'that' : `these ${going.length}`}?`);
}

/** @returns how many are not as the documents say. */
async function say(
  ctx: Context,
  how: 'apply' | 'dry-run' | 'diff',
  { client, placed, done }: { client: Client; placed: readonly Placed[]; done: AppliedSeen },
): Promise<number> {
  let differing = 0;
  for (const [at, item] of done.items.entries()) {
    const { outcome, changed } = item;
    const label = labelOf(item);
    if (outcome === 'unchanged') {
      if (how !== 'diff') ctx.out.line(`${label} unchanged`);
      continue;
    }
    differing += 1;
    const fields = outcome === 'changed' ? `: ${changed.join(', ')}` : '';
    ctx.out.line(`${label} ${endings[outcome]?.[how] ?? outcome}${fields}`);
    if (how === 'diff')
      for (const line of await differencesOf(client, item, placed[at])) ctx.out.line(`  ${line}`);
  }
  return differing;
}
