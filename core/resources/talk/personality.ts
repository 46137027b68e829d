import { z } from 'zod';
import { nameSchema, textSchema } from '../../names.ts';
import { agent } from './agent.ts';
import { defineResource, optional, ownership, required, requiredReference, shown } from '../define.ts';

/** Prompts that one personality may have. */
const MOST_PROMPTS = 64;

/** `none` is how a caller says that there is to be none, and `latest` what clients of Ollama write behind any name. */
const personalityNameSchema = nameSchema.refine(
  (name) => name !== 'none' && name !== 'latest',
  'none and latest mean something else where an agent is called; take another name',
);

/** One prompt of it: its id, or its name where the agent has one of that name in reach. */
const bindingSchema = z.strictObject({
  prompt: z.string().min(1).max(128),
  /** In place of the prompt's own. */
  priority: z.int().min(0).max(1_000).optional(),
});
export const bindingsSchema = z.array(bindingSchema).max(MOST_PROMPTS);
export type Binding = z.infer<typeof bindingSchema>;

export const personality = defineResource({
  word: 'personality',
  plural: 'personalities',
  short: ['pers'],
  about: 'prompts that an agent is told besides, for a turn that asks for it',
  key: 'id',
  fields: {
    name: required(personalityNameSchema),
    agent: requiredReference(agent, { onDelete: 'cascade', needs: 'edit' }),
    description: optional(textSchema(2_000), ''),
    priority: optional(z.int().min(0).max(1_000), 0),
    prompts: optional(bindingsSchema, [], {
      json: true,
      apart: true,
      item: { flag: 'prompt', parts: ['prompt', 'priority'], numbers: ['priority'] },
    }),
  },
  derived: { isDefault: z.boolean() },
  unique: ['agent', 'name'],
  filters: ['agent'],
  // Of an agent that one may edit: the reference asks that.
  may: { view: 'owner', create: 'everyone', edit: 'owner', delete: 'owner' },
  quota: { user: 500, all: 20_000 },
  missing: 'personality_not_found',
  columns: [
    shown('NAME', 'name'),
    shown('AGENT', 'agent'),
    shown('PROMPTS', 'prompts.prompt', { as: 'list' }),
    shown('DEFAULT', 'isDefault'),
    shown('OWNER', 'owner', { wide: true }),
    shown('UPDATED', 'updatedAt', { as: 'ago', spare: true }),
    shown('ID', 'id'),
  ],
  describe: [
    shown('Name', 'name'),
    shown('Agent', 'agent'),
    shown('Default', 'isDefault'),
    shown('Description', 'description'),
    shown('Priority', 'priority'),
    shown('Prompts', 'prompts.prompt', { as: 'list' }),
    ...ownership,
  ],
  backup: 'with',
  example: { name: 'grumpy', agent: 'reviewer', description: 'Says what is bad first' },
});
