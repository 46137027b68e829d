import { Command } from '@commander-js/extra-typings';
import { McpctlError } from '../../../core/errors.ts';
import type { ExplainView } from '../../../core/task/explain.ts';
import type { Context } from '../../who/context.ts';
import { objectFormatOption, type ObjectFormat } from '../../say/formats.ts';
import { cell } from '../../say/text.ts';

export interface ExplainOptions {
  kind: 'llm' | 'task';
  name: string;
  output: ObjectFormat;
  /** A file, or `-`. */
  request?: string | undefined;
  operation?: string | undefined;
}

type Run = (options: ExplainOptions) => Promise<void>;

const llm = (run: Run) =>
  new Command('llm')
    .description('Say who would take a call now, and why not the others.')
    .argument('<name>', 'an llm, pool or agent')
    .option('--request <file>', 'of this request, JSON as it would be sent; - for standard input')
    .option(
      '--operation <kind>',
      'what kind of request it is: chat, completions, embeddings …; chat if not said',
    )
    .addOption(objectFormatOption())
    .addHelpText(
      'before',
      'Examples:\n  mcpctl explain llm tiny-chat\n  mcpctl explain llm tiny-chat --request call.json\n',
    )
    .action((name, options) => run({ kind: 'llm', name, ...options }));

const task = (run: Run) =>
  new Command('task')
    .description('Say why this member: who has, had, or would take the task.')
    .argument('<id>', 'the task')
    .addOption(objectFormatOption())
    .addHelpText('before', 'Examples:\n  mcpctl explain task 019a6f3e-0000-7000-8000-000000000000\n')
    .action((name, options) => run({ kind: 'task', name, ...options }));

export function makeExplain(ctx: Context, run: Run = (o) => runExplain(ctx, o)) {
  return new Command('explain')
    .summary('why this member, and why not the others')
    .description('Say who takes a call or a task, and why not the others.')
    .addHelpText('before', 'Examples:\n  mcpctl explain llm tiny-chat\n')
    .addCommand(llm(run))
    .addCommand(task(run));
}

/** @throws McpctlError `usage`. */
async function askedIn(ctx: Context, { request, operation }: ExplainOptions) {
  if (request === undefined && operation === undefined) return undefined;
  if (request === undefined) throw new McpctlError('usage', '--operation goes with --request.');
  const [{ readText }, { explainAskSchema }] = await Promise.all([
    import('../../input/stdin.ts'),
    import('../../../core/task/explain.ts'),
  ]);
  const text = await readText(ctx, request);
  const asked = explainAskSchema.safeParse({ request: jsonOf(text), operation });
  if (asked.success) return asked.data;
  const isOfRequest = asked.error.issues.some(({ path }) => path[0] === 'request');
  throw new McpctlError(
    'usage',
    isOfRequest
      ? '--request names a file without a JSON object.'
      : `--operation: there is no such kind of request as ${String(operation)}.`,
  );
}

/** undefined: it is none. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function runExplain(ctx: Context, options: ExplainOptions): Promise<void> {
  const { kind, name, output } = options;
  const asked = await askedIn(ctx, options);
  const [{ printObject }, { tableLines }, client] = await Promise.all([
    import('../../say/print.ts'),
    import('../../say/table.ts'),
    ctx.client(),
  ]);
  const view: ExplainView = await client.explain(kind, name, asked);
  const columns = [
    { head: 'MEMBER', of: (one: ExplainView['candidates'][number]) => one.name },
    { head: 'VERDICT', of: (one: ExplainView['candidates'][number]) => one.verdict },
    { head: 'REASON', of: (one: ExplainView['candidates'][number]) => one.reason },
  ];
  const lines = (): string[] => [
    cell(view.summary),
    ...(view.place === undefined ? [] : [`Its place would be ${String(view.place)}.`]),
    ...(view.candidates.length === 0
      ? []
      : ['', ...tableLines(view.candidates, columns, { headers: true, paint: ctx.out.paint })]),
  ];
  await printObject(ctx.out, output, { object: { ...view }, lines });
}
