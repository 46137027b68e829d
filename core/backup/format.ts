import { z } from 'zod';
import { McpctlError } from '../errors.ts';
import { secretsKept } from './choices.ts';

/**
 * What a backup is made of: lines of JSON. The first says what it is, the last proves that it is whole, and between them stands
 * one document a line, as the API shows it, those first that others refer to (docs/backup.md).
 */

/** A whole number: older ones are read for good (`upgrades`), a newer one is refused. */
export const FORMAT = 1;

/** What is longer is no document: a secret of 64 keys, sealed, takes a third of it. */
export const MOST_LINE_BYTES = 2 * 1024 * 1024;
/** Documents of one restore, which is one transaction. */
export const MOST_RESTORED = 50_000;
/** Of one on the machine itself, into an empty installation, which keeps nobody waiting. */
export const MOST_RESTORED_FIRST = 500_000;
/** Of one restore, as lines. */
export const MOST_RESTORED_MIB = 64;

const wordSchema = z.string().min(1).max(128);

export const headerSchema = z.looseObject({
  mcpctl: z.literal('backup'),
  format: z.int().min(1),
  id: z.string().max(64),
  /** Which installation it was made by: what is sealed there says so. */
  installation: z.string().max(64),
  app: z.string().max(64),
  /** The last migration. Informative. */
  schema: z.string().max(128),
  at: z.string().max(64),
  /** The resources that it holds, with those of which there was none. */
  scope: z.array(wordSchema).max(128),
  /** The keys that its secrets are wrapped with. */
  kids: z.array(z.string().max(64)).max(1_000),
  secrets: z.enum(secretsKept),
  /** Of portable ones: the one key that they are wrapped with, encrypted with age to the recipients, in base64. */
  key: z.string().max(65_536).optional(),
});
export type BackupHeader = z.infer<typeof headerSchema>;

const hexSchema = z.string().regex(/^[0-9a-f]{64}$/);

export const trailerSchema = z.looseObject({
  end: z.literal(true),
  /** How many documents of each resource. */
  counts: z.record(wordSchema, z.int().min(0)),
  /** Of all lines before this one, each with its line feed. */
  sha256: hexSchema,
  /** By a key of the installation's keyring: whoever has it knows that the file is as it was made. Null without a keyring. */
  mac: z.object({ kid: z.string().max(64), hmac: hexSchema }).nullable(),
});
export type BackupTrailer = z.infer<typeof trailerSchema>;

export const documentSchema = z.looseObject({ resource: wordSchema, id: z.string().max(64).optional() });
export type BackupDocument = z.infer<typeof documentSchema>;

type Upgrade = (document: BackupDocument) => BackupDocument;

/** What makes a document of format 1 one of 2, and so on: none is ever taken out. */
const upgrades: readonly Upgrade[] = [];

/** @param steps those of this release, unless told. */
export const upgraded = (document: BackupDocument, format: number, steps = upgrades): BackupDocument =>
  steps.slice(format - 1).reduce((now, step) => step(now), document);

/** @throws McpctlError `backup_newer`, which names both. */
export function needKnownFormat({ format, app }: Pick<BackupHeader, 'format' | 'app'>): void {
  if (format <= FORMAT) return;
  throw new McpctlError(
    'backup_newer',
    `The backup has format ${format} (made by mcpctl ${app}), and this release reads formats to ${FORMAT}; update it first.`,
  );
}
