import { z } from 'zod';
import { jsonObjectSchema } from './default-params.ts';

/** What an agent is besides its texts: what others call so there, is kept. */
const knownSchema = z.looseObject({
  /** Of the tools that a call brings, those that its answer may call; missing: all. */
  tools: z.strictObject({ allow: z.array(z.string().min(1).max(128)).max(256) }).optional(),
  /** System texts of a call: behind the agent's own, or none. */
  callerSystem: z.enum(['append', 'refuse']).optional(),
  /** Whether what was thought before an answer goes back to the model: while its turn calls tools, never, or in later turns too. */
  reasoning: z.enum(['loop', 'never', 'always']).optional(),
});

/** It means something of its own one day. */
const reserved = ['lora'];

/** As people write them. */
export const extrasSchema = jsonObjectSchema.superRefine((extras, context) => {
  for (const name of reserved)
    if (name in extras)
      context.addIssue({ code: 'custom', path: [name], message: 'is kept for later; leave it out' });
  for (const { path, message } of knownSchema.safeParse(extras).error?.issues ?? [])
    context.addIssue({ code: 'custom', path: [...path], message });
});

/** What of them changes how an agent is asked. */
export interface Extras {
  /** Null: all. */
  allowedTools: readonly string[] | null;
  refusesSystem: boolean;
}

/** @param stored as a row has them; of a release that writes them in another way, no tool is let through. */
export function extrasOf(stored: unknown): Extras {
  const { tools, callerSystem } = readSchema.parse(stored);
  return { allowedTools: tools?.allow ?? null, refusesSystem: callerSystem === 'refuse' };
}

const readSchema = z
  .looseObject({
    tools: z
      .looseObject({ allow: z.array(z.string()) })
      .optional()
      .catch({ allow: [] }),
    callerSystem: z.string().optional().catch('refuse'),
  })
  .catch({});
