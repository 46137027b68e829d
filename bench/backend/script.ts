import { z } from 'zod';

const scriptSchema = z.object({
  /** Names the call in what the backend tells. */
  id: z.string().default(''),
  tokens: z.int().default(5),
  /** Sends nothing at all for so long. */
  silentMs: z.number().default(0),
  /** Sends its tokens and then nothing, until the caller closes. */
  holds: z.boolean().default(false),
});
type Script = z.infer<typeof scriptSchema> & { streaming: boolean };

const bodySchema = z.looseObject({
  stream: z.boolean().optional(),
  messages: z.array(z.looseObject({ content: z.string() })),
});

/** What the backend tells its parent; `atMs` is by the monotonic clock of the machine. */
export const toldSchema = z.object({
  event: z.enum(['listening', 'reached', 'closed']),
  /** Of the call; the port for `listening`. */
  id: z.string(),
  atMs: z.number(),
});
export type Told = z.infer<typeof toldSchema>;

/** What a call asks the backend to do. */
export function readScript(text: string): Script {
  const body = bodySchema.parse(JSON.parse(text));
  const asked = scriptSchema.safeParse(asJson(body.messages.at(-1)?.content ?? ''));
  return { ...(asked.data ?? scriptSchema.parse({})), streaming: body.stream === true };
}

/** The body of a streamed call with a script for the backend. */
export function scripted(script: Partial<z.infer<typeof scriptSchema>>, model = 'bench'): string {
  return JSON.stringify({
    model,
    stream: true,
    messages: [{ role: 'user', content: JSON.stringify(script) }],
  });
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a person's words: npm start's first chat
  }
}
