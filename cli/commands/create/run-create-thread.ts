import { z } from 'zod';
import { McpctlError } from '../../../core/errors.ts';
import { catalogueEntry } from '../../../core/resources/catalogue.ts';
import { thread } from '../../../core/resources/talk/thread.ts';
import { readText } from '../../input/stdin.ts';
import type { Format } from '../../say/formats.ts';
import type { Context } from '../../who/context.ts';
import { printMade } from './run-create-one.ts';

export interface CreateThreadOptions {
  agent: string;
  title?: string | undefined;
  from?: string | undefined;
  output: Format;
}

const messagesSchema = z.array(z.looseObject({ role: z.string() }));
const spokenSchema = z.union([
  messagesSchema.transform((messages) => ({ messages, title: undefined })),
  z.looseObject({ title: z.string().optional(), messages: messagesSchema }),
]);

/** @throws McpctlError `usage`. */
async function spokenIn(ctx: Context, from: string): Promise<z.infer<typeof spokenSchema>> {
  const text = await readText(ctx, from);
  try {
    return spokenSchema.parse(JSON.parse(text));
  } catch (thrown) {
    const advice = 'it must be JSON like {"messages":[{"role":"user","content":"…"}]}, as /export writes it';
    throw new McpctlError(
      'usage',
      `${from === '-' ? 'What came on stdin' : from} cannot be read: ${advice}.`,
      {
        cause: thrown,
      },
    );
  }
}

export async function runCreateThread(
  ctx: Context,
  { agent, title, from, output }: CreateThreadOptions,
): Promise<void> {
  const spoken = from === undefined ? undefined : await spokenIn(ctx, from);
  const client = await ctx.client();
  const called = title ?? spoken?.title;
  const id = await client.turns.begin(agent, {
    ...(called !== undefined && { title: called }),
    // Of a system message the agent has its own.
    ...(spoken && { messages: spoken.messages.filter(({ role }) => role !== 'system') }),
  });
  const entry = catalogueEntry(thread);
  await printMade(ctx, { entry, made: await client.resources.get(entry, id), output });
}
