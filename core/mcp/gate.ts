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

/** What a task may be told as, and what it may have read to it. */
const MOST_TASK_CHARS = 2_000;
const MOST_NAMES = 50;

const askedTags = z.array(z.string().max(48)).max(MOST_TAGS).optional();

export const beginSchema = z.object({
  task: z.string().min(1).max(MOST_TASK_CHARS).describe('What is to be done, in a sentence or two'),
  tags: askedTags.describe('Words that the task is about'),
});

export const readSchema = z.object({
  names: z.array(z.string().max(128)).max(MOST_NAMES).optional().describe('Names of prompts'),
  tags: askedTags.describe('Words that prompts are about'),
});
