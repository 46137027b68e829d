import { z } from 'zod';
import { nameSchema } from '../../names.ts';
import { offerKinds } from '../offers.ts';
import { MOST_TOOLS } from '../tools.ts';
import { pinSchema } from './pins.ts';

/** What of a server is pinned. */
export const thingKinds = ['tool', ...offerKinds] as const;
export type ThingKind = (typeof thingKinds)[number];

const toolNameSchema = z.string().min(1).max(256);
/** A prompt's name, a resource's URI, a template's. */
const offerNameSchema = z.string().min(1).max(1_024);
const offerKindSchema = z.enum(offerKinds);

/** `GET /api/v1/servers/:name/changes`; where any of the last four is told, what it names alone. */
export const changesQuerySchema = z.strictObject({
  project: nameSchema.optional(),
  tool: toolNameSchema.optional(),
  prompt: offerNameSchema.optional(),
  resource: offerNameSchema.optional(),
  template: offerNameSchema.optional(),
});
/** Undefined: all of that kind; but none where another kind is named. */
export type Only = Partial<Record<ThingKind, string | undefined>>;

/**
 * Why something is not approved: nobody has seen it, it is too large to be trusted unread or to be kept at all, or its
 * name here is another's, which was there first.
 */
const reasons = ['new', 'too_large', 'name_taken'] as const;

const changeSchema = z.object({
  kind: z.enum(thingKinds),
  name: z.string(),
  state: z.enum(['pending', 'changed', 'gone']),
  reason: z.enum(reasons).nullable(),
  /** Of what it is now, as an approval names it; null of one that cannot be approved. */
  hash: z.string().nullable(),
  /** What of its definition is other than was approved, a line each; null: ask for this one by project and name. */
  diff: z.array(z.string()).nullable(),
});
export type ThingChange = z.infer<typeof changeSchema>;

export const changesViewSchema = z.object({
  server: z.string(),
  projects: z.array(
    z.object({
      project: z.string(),
      /** The strictest of its bindings of the server. */
      pin: pinSchema,
      /** Tools that are as they were approved. */
      approved: z.array(z.string()),
      /** How many prompts, resources and templates are. */
      approvedOffers: z.record(offerKindSchema, z.number()),
      changes: z.array(changeSchema),
      /** So many further changes are not shown: these first. */
      unshown: z.number(),
    }),
  ),
  /** Of projects that have the server and are not shown: ask for one by its name. */
  more: z.number(),
});
export type ChangesView = z.infer<typeof changesViewSchema>;

const hash = z.string().regex(/^[0-9a-f]{64}$/);

/**
 * Body of `POST /api/v1/servers/:name/approve`. Each is approved as what its hash says and as nothing else, so that nobody approves
 * what they have not seen.
 */
export const approveSchema = z.strictObject({
  /** None: all of one's own that have the server. */
  project: nameSchema.optional(),
  tools: z
    .array(z.strictObject({ name: toolNameSchema, hash }))
    .max(MOST_TOOLS)
    .default([]),
  offers: z
    .array(z.strictObject({ kind: offerKindSchema, name: offerNameSchema, hash }))
    .max(MOST_TOOLS)
    .default([]),
});
export type Approve = z.infer<typeof approveSchema>;

export const approvedViewSchema = z.object({
  server: z.string(),
  projects: z.array(
    z.object({
      project: z.string(),
      approved: z.array(z.string()),
      offers: z.array(z.object({ kind: offerKindSchema, name: z.string() })),
    }),
  ),
});
export type ApprovedView = z.infer<typeof approvedViewSchema>;
