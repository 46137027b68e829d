import { McpctlError } from '../../core/errors.ts';
import { readAll } from '../input/stdin.ts';
import type { Context } from '../who/context.ts';
import type { Prompt } from './prompt.ts';

const BLOCK = '"""';

/** Between `"""` and `"""` a message goes on over lines. @returns null after Ctrl-D. */
export async function wholeMessage(prompt: Prompt): Promise<string | null> {
  const first = await prompt.next();
  if (!first?.trimStart().startsWith(BLOCK)) return first;
  let text = first.trimStart().slice(BLOCK.length);
  while (!text.trimEnd().endsWith(BLOCK)) {
    const more = await prompt.next();
    if (more === null) return null;
    text += `\n${more}`;
  }
  const inner = text
    .trimEnd()
    .slice(0, -BLOCK.length)
    .replace(/^\n|\n$/g, '');
  // A block is never a command, whatever it begins with.
  return inner.startsWith('/') ? ` ${inner}` : inner;
}

/** What was said with the command, or came through a pipe; null: a person is there to talk. */
export async function messageSaid(
  ctx: Context,
  { message, async }: { message?: string | undefined; async: boolean },
): Promise<string | null> {
  if (message === undefined && ctx.terminal.tty.stdin && ctx.globals().input === false)
    throw new McpctlError(
      'usage',
      'With --no-input there is no conversation: say --message, or pipe one in.',
    );
  if (message === undefined && ctx.terminal.tty.stdin) {
    if (async) throw new McpctlError('usage', '--async needs a message: say --message, or pipe one in.');
    return null;
  }
  const text = message ?? (await readAll(ctx, { decode: (bytes) => bytes.toString() })).replace(/\r?\n$/, '');
  if (text.trim() === '')
    throw new McpctlError('usage', 'The message is empty: say --message, or pipe one in.');
  return text;
}
