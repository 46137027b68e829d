import { McpctlError } from '../../../core/errors.ts';
import type { Context } from '../../who/context.ts';
import { readAll } from '../../input/stdin.ts';
import { showAnswer } from '../../answer.ts';
import { converse } from './converse.ts';
import { inferCallOf, type Asking } from './asking.ts';

export interface ChatLlmOptions extends Asking {
  message?: string | undefined;
  async: boolean;
}

export async function runChatLlm(ctx: Context, options: ChatLlmOptions): Promise<void> {
  const message = await messageOf(ctx, options);
  const client = await ctx.client();
  if (message === null) return converse(ctx, client, options);
  const call = inferCallOf(options, [{ role: 'user', content: message }]);
  if (options.async) return ctx.out.line((await client.infer.async(call)).key);
  const events = options.stream ? client.infer.stream(call) : client.infer.once(call);
  await showAnswer(ctx, events);
}

/** null: a person is there to talk. */
async function messageOf(ctx: Context, { message, async }: ChatLlmOptions): Promise<string | null> {
  if (message === undefined && ctx.terminal.tty.stdin && ctx.globals().input === false)
    throw new McpctlError(
      'usage',
      'With --no-input there is no conversation: say --message, or pipe one in.',
    );
  if (message === undefined && ctx.terminal.tty.stdin) {
    if (async) throw new McpctlError('usage', '--async needs a message: say --message, or pipe one in.');
    return null;
  }
  const text = message ?? (await readAll(ctx)).replace(/\r?\n$/, '');
  if (text.trim() === '')
    throw new McpctlError('usage', 'The message is empty: say --message, or pipe one in.');
  return text;
}
