import { z } from 'zod';
import { onConflict, secretsKept } from './choices.ts';
import { MOST_RESTORED_MIB } from './format.ts';

/** Body of `POST /api/v1/backup`. */
export const backupSchema = z
  .strictObject({
    /** Wrapped: as they are kept, of use with this installation's key alone. Portable: of use to the recipients. */
    secrets: z.enum(secretsKept).default('wrapped'),
    /** Of portable secrets: whom they are for, `age1…`. */
    recipients: z
      .array(z.string().regex(/^age1[02-9a-z]{16,4000}$/, 'must be a recipient of age, like age1…'))
      .max(20)
      .default([]),
    /** Hashes of tokens besides their names: for an empty installation that is to take this one's place. */
    withTokens: z.boolean().default(false),
  })
  .superRefine(({ secrets, recipients }, context) => {
    const [isPortable, isNamed] = [secrets === 'portable', recipients.length > 0];
    if (isPortable === isNamed) return;
    const message = isPortable
      ? 'are needed for portable secrets: whom they are for'
      : 'are of portable secrets alone';
    context.addIssue({ code: 'custom', path: ['recipients'], message });
  });
export type BackupAsked = z.infer<typeof backupSchema>;

const nameSchema = z.string().min(1).max(128);

/** Body of `POST /api/v1/restore`. */
export const restoreSchema = z.strictObject({
  /** All lines of a backup, its last one too, each with its line feed. */
  backup: z.string().max(MOST_RESTORED_MIB * 1_048_576),
  /** Of portable secrets: the key that they are wrapped with, as the header has it encrypted, in base64. */
  key: z
    .string()
    .regex(/^[A-Za-z0-9+/]{43}=$/, 'must be 32 bytes in base64')
    .optional(),
  /** What becomes of a document of which there is another here. */
  onConflict: z.enum(onConflict).default('fail'),
  /** These resources alone, by their words. */
  only: z.array(z.string().max(64)).min(1).max(64).optional(),
  /** Those of this name, or of these, alone. */
  name: z.union([nameSchema, z.array(nameSchema).min(1).max(100)]).optional(),
  /** Everything is done, and undone. */
  dryRun: z.boolean().default(false),
  /** Users that are made are enabled, if they were. */
  enableUsers: z.boolean().default(false),
});
export type RestoreBody = z.infer<typeof restoreSchema>;

/**
 * `skipped`: something else of that name is here, or what it refers to is not, or its name is retired here. `kept`: built in,
 * and changed here. `named`: a token, of which the backup has no more than its name.
 */
const restoreOutcomes = ['created', 'changed', 'unchanged', 'skipped', 'kept', 'named'] as const;

export const restoredSchema = z.object({
  dryRun: z.boolean(),
  /** Whether a key of this installation's keyring says that the backup is as it was made; null: it does not say. */
  genuine: z.boolean().nullable(),
  items: z.array(
    z.object({
      resource: z.string(),
      name: z.string(),
      /** Where its name alone does not say which it is, what it is of: `project review`, `user ada`. */
      of: z.string().optional(),
      outcome: z.enum(restoreOutcomes),
      /** The names of the fields that are not as they were. */
      changed: z.array(z.string()),
      /** Why it was skipped, a sentence. */
      why: z.string().optional(),
    }),
  ),
});
export type Restored = z.infer<typeof restoredSchema>;
