import { z } from 'zod';
import { nameSchema } from '../../names.ts';
import { pinSchema } from './pins.ts';
import { MOST_TOOLS } from '../tools.ts';

const toolNameSchema = z.string().min(1).max(256);

/** `GET /api/v1/servers/:name/changes` */
export const changesQuerySchema = z.strictObject({
  project: nameSchema.optional(),
  tool: toolNameSchema.optional(),
});

/**
 * Why a tool is not approved: nobody has seen it, it is too large to be trusted unread or to be kept at all, or its
 * name here is another's, which was there first.
 */
const reasons = ['new', 'too_large', 'name_taken'] as const;

const changeSchema = z.object({
  name: z.string(),
  state: z.enum(['pending', 'changed', 'gone']),
  reason: z.enum(reasons).nullable(),
  /** Of what it is now, as an approval names it; null of one that cannot be approved. */
  hash: z.string().nullable(),
  /** What of its definition is other than was approved, a line each; null: ask for this one by project and tool. */
  diff: z.array(z.string()).nullable(),
});
export type ToolChange = z.infer<typeof changeSchema>;

export const changesViewSchema = z.object({
  server: z.string(),
  projects: z.array(
    z.object({
      project: z.string(),
      /** The strictest of its bindings of the server. */
      pin: pinSchema,
      /** Tools that are as they were approved. */
      approved: z.array(z.string()),
      changes: z.array(changeSchema),
    }),
  ),
  /** Of projects that have the server and are not shown: ask for one by its name. */
  more: z.number(),
});
export type ChangesView = z.infer<typeof changesViewSchema>;

/**
 * Body of `POST /api/v1/servers/:name/approve`. A tool is approved as what its hash says and as nothing else, so that nobody approves
 * what they have not seen.
 */
export const approveSchema = z.strictObject({
  /** None: all of one's own that have the server. */
  project: nameSchema.optional(),
  tools: z
    .array(z.strictObject({ name: toolNameSchema, hash: z.string().regex(/^[0-9a-f]{64}$/) }))
    .max(MOST_TOOLS),
});
export type Approve = z.infer<typeof approveSchema>;

export const approvedViewSchema = z.object({
  server: z.string(),
  projects: z.array(z.object({ project: z.string(), approved: z.array(z.string()) })),
});
export type ApprovedView = z.infer<typeof approvedViewSchema>;
