import { z } from 'zod';
import { nameSchema } from '../names.ts';

export const MOST_DOCUMENTS = 500;
/** Of what a set applied, kinds that are deleted only where they are named. */
export const neverPruned: readonly string[] = ['user', 'group', 'rbac', 'secret'];

const wordSchema = z.string().max(64);
const documentSchema = z.looseObject({ resource: wordSchema });

/** What a project that these documents make has approved of its servers: what another has, and nothing that came since. */
const approvalsSchema = z.strictObject({ of: nameSchema, for: nameSchema });
export type ApprovalsOf = z.infer<typeof approvalsSchema>;

const pruneSchema = z.strictObject({
  /** The kinds that are deleted; all but `neverPruned`, unless told. */
  kinds: z.array(wordSchema).min(1).max(32).optional(),
  /** No document at all is meant: everything of the set goes. */
  allowEmpty: z.boolean().default(false),
  /** Where it is more than half of the set: how many go. */
  confirm: z.int().min(1).optional(),
});

/** Body of `POST /api/v1/apply`. */
export const applySchema = z
  .strictObject({
    /** Each a resource as the API shows it, headed by its word. */
    documents: z.array(documentSchema).max(MOST_DOCUMENTS),
    /** Says what would be done; nothing is. */
    dryRun: z.boolean().default(false),
    /** What becomes of fields that nobody knows. */
    validate: z.enum(['strict', 'warn', 'ignore']).default('strict'),
    /** Whether a document with a `revision` is about that revision, and no other. */
    matchRevision: z.boolean().default(false),
    /** Whose these documents are from now on, so that what it lists no more can be found. */
    set: nameSchema.optional(),
    approvals: approvalsSchema.optional(),
    /** Deletes what the set once applied and lists no more. */
    prune: pruneSchema.optional(),
  })
  .superRefine(({ documents, set, prune }, context) => {
    const refuse = (path: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [path], message });
    if (prune && set === undefined) refuse('set', 'is needed to prune: only what a set applied is deleted');
    if (documents.length === 0 && !prune?.allowEmpty)
      refuse('documents', 'there must be one; to prune all of a set, allow it to be empty');
  });
export type ApplyBody = z.infer<typeof applySchema>;

/** Body of `POST /api/v1/apply/delete`. */
export const applyDeleteSchema = z.strictObject({
  /** What names each is read, and nothing else. */
  documents: z.array(documentSchema).min(1).max(MOST_DOCUMENTS),
  dryRun: z.boolean().default(false),
  /** Whether what is not there is passed over. */
  ignoreNotFound: z.boolean().default(false),
});

export const outcomes = ['created', 'changed', 'unchanged', 'pruned', 'deleted', 'absent'] as const;
export type Outcome = (typeof outcomes)[number];

const itemSchema = z.object({
  resource: z.string(),
  id: z.string(),
  name: z.string(),
  /** Where its name alone does not say which it is, what it is of: `project review`. */
  of: z.string().optional(),
  outcome: z.enum(outcomes),
  /** The names of the fields that are not as they were. */
  changed: z.array(z.string()),
});

/** What became of the documents, in their order, and behind them of what was pruned. */
export const appliedSchema = z.object({
  dryRun: z.boolean(),
  items: z.array(itemSchema),
  /** What was passed over, a sentence each. */
  warnings: z.array(z.string()),
});
export type AppliedView = z.infer<typeof appliedSchema>;
