import { Command, Option } from '@commander-js/extra-typings';
import { collect, countOf, shareOf, temperatureOf, wholeOf } from '../../input/arguments.ts';
import type { Context } from '../../who/context.ts';
import type { ChatOptions } from './run-chat.ts';

const examples = `Examples:
  mcpctl chat reviewer
  mcpctl chat reviewer --continue
  mcpctl chat reviewer -m "Is this migration safe?"
  git diff | mcpctl chat reviewer --thread 019a6f3e
`;

const hints = `
Ctrl-C stops the answer, on the server too, and what came of it stays in the thread; a second one leaves. Ctrl-D leaves, and so
does a terminal that is closed: then the answer goes on, and is there when you come back.
Tools that the agent calls are run here: --tool NAME=COMMAND, asked for before each run; for others you are asked for the result.
In a conversation """ begins and ends a message of several lines; /help lists /new, /threads, /history, /set, /personality and more.
The answer goes to stdout; reasoning, the thread and tokens per second to stderr.`;

/** What is said of how an agent is asked. */
const asked = () =>
  new Command('chat')
    .option('--personality <name>', "one of the agent's, for what is said now; none: in spite of its default")
    .option('--system <text>', "in place of the agent's own system prompt; none: without it")
    .addOption(new Option('--system-file <path>', 'the file with that text; - is stdin').conflicts('system'))
    .option('--system-append <text>', "a text behind the agent's own, for what is said now")
    .addOption(new Option('--temperature <n>', 'between 0 and 2').argParser(temperatureOf))
    .addOption(new Option('--top-p <n>', 'between 0 and 1').argParser(shareOf))
    .addOption(new Option('--top-k <n>', 'a whole number').argParser(countOf))
    .addOption(new Option('--seed <n>', 'a whole number').argParser(wholeOf))
    .addOption(new Option('--stop <text>', 'the answer ends before it; again for more').argParser(collect))
    .addOption(new Option('--max-tokens <n>', 'most tokens of an answer').argParser(countOf))
    .addOption(
      new Option('--param <name=value>', 'a parameter of the chat, as JSON or text; again for more')
        .argParser(collect)
        .default([]),
    )
    .option('--tools <file>', 'a JSON list of tools that the agent may call, as chat completions know them')
    .addOption(
      new Option(
        '--tool <name=command>',
        'what is run where it calls that tool, arguments on stdin; again for more',
      )
        .argParser(collect)
        .default([]),
    )
    .option('--yes-tools', 'run the commands of tools without asking', false);

export function makeChat(ctx: Context, run?: (options: ChatOptions) => Promise<void>) {
  return asked()
    .summary('talk to an agent, in a thread that is kept')
    .description(
      'Talk to an agent, or send it one message (--message, or stdin when it is a pipe). The server keeps the thread: go on in it from any terminal.',
    )
    .argument('<agent>', "an agent's name")
    .option('-m, --message <text>', 'send this, print the answer, leave')
    .addOption(
      new Option('--thread <id>', 'go on in this thread; the beginning of its id will do').conflicts(
        'continue',
      ),
    )
    .option('--continue', 'go on in the newest thread with this agent', false)
    .addOption(
      new Option('--on-busy <what>', 'where another answer is under way').choices([
        'queue',
        'reject',
        'interrupt',
      ] as const),
    )
    .addOption(
      new Option('--ephemeral', 'delete the thread on leaving; the server does in any case, after a day')
        .conflicts(['thread', 'continue', 'async'])
        .default(false),
    )
    .addOption(
      new Option(
        '--truncation <how>',
        'where the thread outgrows the model: leave turns out, or refuse',
      ).choices(['auto', 'disabled'] as const),
    )
    .option('--markdown', 'on a terminal, show headings, bold, code and lists as such, line by line', false)
    .option('--no-thinking', 'do not show reasoning')
    .option('--no-stream', 'print the answer in one piece')
    .addOption(new Option('--async', 'print the id of the task and leave').default(false))
    .addOption(
      new Option('-o, --output <format>', 'with --message: the answer and its facts as one object').choices([
        'json',
      ] as const),
    )
    .option('--pin <member>', 'only this member of the pool may answer')
    .addHelpText('before', examples)
    .addHelpText('after', hints)
    .action(async (agent, options) => {
      const all = { agent, ...options };
      if (run) return run(all);
      const { runChat } = await import('./run-chat.ts');
      return runChat(ctx, all);
    });
}
