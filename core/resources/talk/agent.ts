import { z } from 'zod';
import { nameSchema, textBlockSchema, textSchema } from '../../names.ts';
import {
  defineResource,
  optional,
  ownership,
  reference,
  required,
  requiredReference,
  shown,
  visibilities,
} from '../define.ts';
import { llm } from '../guarded.ts';
import { project } from './project.ts';

/** What a call says itself, or what is between a caller and this server: no default of an agent. */
const callsOwn = ['model', 'messages', 'stream', 'stream_options', 'n', 'store', 'user', 'metadata'];
const MOST_CHARS = 16_384;

const isExact = (value: unknown): boolean => {
  if (typeof value === 'number') return !Number.isInteger(value) || Number.isSafeInteger(value);
  return typeof value !== 'object' || value === null || Object.values(value).every(isExact);
};

/** Parameters of a chat, for when a call does not say its own. They are kept, and sent, as JSON text. */
const paramsSchema = z.record(z.string().min(1).max(128), z.unknown()).superRefine((params, context) => {
  const refuse = (message: string, name?: string): void =>
    context.addIssue({ code: 'custom', message, ...(name === undefined ? {} : { path: [name] }) });
  for (const name of Object.keys(params)) {
    if (callsOwn.includes(name)) refuse('is for each call to say; leave it out', name);
    else if (!isExact(params[name]))
      refuse('holds a number that is not kept exactly: at most 9007199254740991', name);
  }
  if (JSON.stringify(params).length > MOST_CHARS) refuse(`must be at most ${MOST_CHARS} characters of JSON`);
});

export const agent = defineResource({
  word: 'agent',
  plural: 'agents',
  short: ['a'],
  about: 'a persona that is called as a model: a system prompt and defaults, over an llm',
  key: 'name',
  reachedBy: ['pool'],
  fields: {
    name: required(nameSchema),
    description: optional(textSchema(2_000), ''),
    llm: requiredReference(llm, { onDelete: 'refuse', needs: 'run' }),
    pinMode: optional(z.enum(['pool', 'only']), 'pool', { audit: 'value' }),
    project: reference(project, { onDelete: 'clear', needs: 'edit' }),
    /** One of its own, by its name: what is said where a call says none. */
    defaultPersonality: optional(nameSchema.nullable(), null, { afterwards: true }),
    visibility: optional(z.enum(visibilities), 'shared', { audit: 'value' }),
    defaultParams: optional(paramsSchema, {}, { json: true, hidden: true }),
    systemPrompt: optional(textBlockSchema(100_000, 0), '', { long: true, hidden: true }),
  },
  derived: { status: z.enum(['active', 'hibernating', 'inactive']), pool: z.string() },
  filters: ['llm', 'project'],
  may: { view: 'shared', edit: 'owner', delete: 'owner', run: 'shared' },
  quota: { user: 100, all: 5_000 },
  missing: 'agent_not_found',
  columns: [
    shown('NAME', 'name'),
    shown('STATUS', 'status'),
    shown('LLM', 'llm'),
    shown('POOL', 'pool'),
    shown('PROJECT', 'project', { spare: true }),
    shown('PERSONALITY', 'defaultPersonality', { spare: true }),
    shown('OWNER', 'owner', { spare: true }),
    shown('VISIBILITY', 'visibility', { wide: true }),
    shown('UPDATED', 'updatedAt', { as: 'ago', wide: true }),
    shown('DESCRIPTION', 'description', { wide: true }),
  ],
  describe: [
    shown('Name', 'name'),
    shown('Description', 'description'),
    shown('Status', 'status'),
    shown('Llm', 'llm'),
    shown('Pool', 'pool'),
    shown('Pin mode', 'pinMode'),
    shown('Project', 'project'),
    shown('Personality', 'defaultPersonality'),
    shown('Visibility', 'visibility'),
    shown('Default params', 'defaultParams'),
    ...ownership,
    shown('System prompt', 'systemPrompt', { as: 'block' }),
  ],
  backup: 'with',
  example: {
    name: 'reviewer',
    llm: 'tiny-chat',
    defaultParams: { temperature: 0.2 },
    systemPrompt: 'You review code.\nSay what breaks first.',
  },
});
