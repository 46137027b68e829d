import { Command, Option } from '@commander-js/extra-typings';
import { countOf, temperatureOf } from '../../input/arguments.ts';
import type { Context } from '../../who/context.ts';
import type { ChatLlmOptions } from './run-chat-llm.ts';

export function makeChatLlm(ctx: Context, run?: (options: ChatLlmOptions) => Promise<void>) {
  return new Command('chat-llm')
    .summary('talk to an llm')
    .description(
      'Talk to an llm, or send it one message (--message, or stdin when it is a pipe). The server keeps no conversation: this program sends it along each time.',
    )
    .argument('<name>', "an llm's name or alias, or a pool")
    .option('-m, --message <text>', 'send this, print the answer, leave')
    .option('--system <text>', 'a system prompt')
    .addOption(new Option('--temperature <n>', 'between 0 and 2').argParser(temperatureOf))
    .addOption(new Option('--max-tokens <n>', 'most tokens of an answer').argParser(countOf))
    .option('--no-stream', 'print the answer in one piece')
    .addOption(new Option('--async', 'print the id of the task and leave').default(false))
    .option('--pin <member>', 'only this member of the pool may answer')
    .addHelpText(
      'before',
      `Examples:
  mcpctl chat-llm tiny-chat
  mcpctl chat-llm tiny-chat --message "What is a task?" --max-tokens 100
  git diff | mcpctl chat-llm tiny-chat --system "Write a commit message for this diff."
  mcpctl task wait $(mcpctl chat-llm tiny-chat --async --message "Write a poem")
`,
    )
    .addHelpText(
      'after',
      `
Ctrl-C stops the answer and its generation, a second one leaves; Ctrl-D leaves, too.
In a conversation """ begins and ends a message of several lines; /help lists /model, /system, /clear, /save and /usage.
The answer goes to stdout; reasoning, the place in the queue and tokens per second to stderr.`,
    )
    .action(async (name, options) => {
      const all = { name, ...options };
      if (run) return run(all);
      const { runChatLlm } = await import('./run-chat-llm.ts');
      return runChatLlm(ctx, all);
    });
}
