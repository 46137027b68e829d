import { Argument, Command } from '@commander-js/extra-typings';
import { McpctlError } from '../../../core/errors.ts';
import { oneLine } from '../../../core/runtime/plain.ts';
import { objectFormatOption, type ObjectFormat } from '../../say/formats.ts';
import { cell } from '../../say/text.ts';
import type { Context } from '../../who/context.ts';

/** An MCP server is one process, so it is the same by both words. */
export const processWords = ['instance', 'server'] as const;

export interface ProcessOptions {
  name: string;
  output: ObjectFormat;
}

const ofProcess = (): Argument<string, undefined> =>
  new Argument('<type>', 'instance or server, which is the same: each is one process').argParser(
    (type: string) => {
      if ((processWords as readonly string[]).includes(type)) return type;
      throw new McpctlError('usage', `A ${cell(type)} is no process; say "instance NAME" or "server NAME".`);
    },
  );

export interface LogsOptions extends ProcessOptions {
  follow?: true;
}

/** What an MCP server printed, asked of the worker that runs it. */
export function makeLogs(
  ctx: Context,
  run: (options: LogsOptions) => Promise<void> = (o) => (o.follow ? followLogs(ctx, o) : showLogs(ctx, o)),
) {
  return new Command('logs')
    .summary('show what an MCP server printed last')
    .description(
      'Show what an MCP server printed last beside its messages (64 KiB), without the values of its secrets; of the process before, where it has ended. For its owner, and for who may edit it and has the operation "logs".',
    )
    .addArgument(ofProcess())
    .argument('<name>', 'which server')
    .option('-f, --follow', 'go on with what it prints, in whole lines, until Ctrl-C')
    .addOption(objectFormatOption())
    .addHelpText(
      'before',
      'Examples:\n  mcpctl logs instance files\n  mcpctl logs instance files -f\n  mcpctl logs server files -o json\n',
    )
    .action((_type, name, options) => run({ name, ...options }));
}

/** Has the worker that runs it begin an MCP server anew. */
export function makeRestart(
  ctx: Context,
  run: (options: ProcessOptions) => Promise<void> = (o) => restart(ctx, o),
) {
  return new Command('restart')
    .summary('begin an MCP server anew')
    .description(
      'End the process of an MCP server and begin it anew, however often it has failed. Of its calls that run nobody knows what became of them (outcome_unknown). For who may edit the server.',
    )
    .addArgument(ofProcess())
    .argument('<name>', 'which server')
    .addOption(objectFormatOption())
    .addHelpText('before', 'Examples:\n  mcpctl restart instance files\n  mcpctl restart server files\n')
    .action((_type, name, options) => run({ name, ...options }));
}

async function showLogs(ctx: Context, { name, output }: ProcessOptions): Promise<void> {
  const [{ printObject }, client] = await Promise.all([import('../../say/print.ts'), ctx.client()]);
  const view = await client.servers.logs(name);
  ctx.out.note(stateOf(name, view));
  const lines = (): string[] => view.printed.trimEnd().split('\n').map(oneLine);
  await printObject(ctx.out, output, { object: { ...view }, lines });
}

async function followLogs(ctx: Context, { name, output }: LogsOptions): Promise<void> {
  if (output === 'yaml') throw new McpctlError('usage', 'What goes on is text or JSON; leave out -o yaml.');
  const [{ followPrinted }, client] = await Promise.all([import('./follow-printed.ts'), ctx.client()]);
  const isJson = output === 'json';
  let before = '';
  for await (const view of followPrinted(ctx, (after) => client.servers.logsAfter(name, after))) {
    const state = stateOf(name, view);
    if (state !== before) ctx.out.note(state);
    before = state;
    if (isJson) ctx.out.data(`${JSON.stringify(view)}\n`);
    else {
      if (view.isMissed) ctx.out.note('… some that was printed meanwhile is kept no more');
      for (const line of view.printed.trimEnd().split('\n'))
        if (view.printed !== '') ctx.out.data(`${oneLine(line)}\n`);
    }
  }
}

async function restart(ctx: Context, { name, output }: ProcessOptions): Promise<void> {
  const [{ printObject }, client] = await Promise.all([import('../../say/print.ts'), ctx.client()]);
  const view = await client.servers.restart(name);
  await printObject(ctx.out, output, { object: { ...view }, lines: () => [stateOf(name, view)] });
}

const stateOf = (name: string, { state, reason }: { state: string; reason: string | null }): string =>
  `server/${cell(name)} ${cell(state)}${reason === null ? '' : `: ${cell(reason)}`}`;
