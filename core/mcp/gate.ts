import { z } from 'zod';
import { textSchema } from '../names.ts';
import { serverNameSchema } from './names.ts';

/**
 * Whether who uses a project's tools is told its prompts first: not at all; before the first result; or nothing runs until
 * `begin_session` was called. `hide` shows nothing else until then, to clients who began with `initialize`.
 */
export const gateSchema = z.enum(['off', 'brief', 'require', 'hide']);
export type Gate = z.infer<typeof gateSchema>;

const MOST_TAGS = 10;

/** Of a prompt, or of a task. */
export const tagsSchema = z.array(textSchema(48).min(1)).max(MOST_TAGS);

/** Where the text of a prompt is: a resource of a server that its project has. */
export const linkSchema = z.strictObject({
  server: serverNameSchema,
  uri: textSchema(1_024).min(1),
});
export type Link = z.infer<typeof linkSchema>;
