import type { Context } from '../../who/context.ts';
import { showAnswer } from '../../answer.ts';
import { messageSaid } from '../../talk/message.ts';
import { converse } from './converse.ts';
import { inferCallOf, type Asking } from './asking.ts';

export interface ChatLlmOptions extends Asking {
  message?: string | undefined;
  async: boolean;
}

export async function runChatLlm(ctx: Context, options: ChatLlmOptions): Promise<void> {
  const message = await messageSaid(ctx, options);
  const client = await ctx.client();
  if (message === null) return converse(ctx, client, options);
  const call = inferCallOf(options, [{ role: 'user', content: message }]);
  if (options.async) return ctx.out.line((await client.infer.async(call)).key);
  const events = options.stream ? client.infer.stream(call) : client.infer.once(call);
  await showAnswer(ctx, events);
}
