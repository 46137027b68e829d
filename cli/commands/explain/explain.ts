import { Command } from '@commander-js/extra-typings';
import type { ExplainView } from '../../../core/task/explain.ts';
import type { Context } from '../../who/context.ts';
import { objectFormatOption, type ObjectFormat } from '../../say/formats.ts';
import { cell } from '../../say/text.ts';

export interface ExplainOptions {
  kind: 'llm' | 'task';
  name: string;
  output: ObjectFormat;
}

type Run = (options: ExplainOptions) => Promise<void>;

const llm = (run: Run) =>
  new Command('llm')
    .description('Say who would take a call now, and why not the others.')
    .argument('<name>', 'an llm, pool or agent')
    .addOption(objectFormatOption())
    .addHelpText('before', 'Examples:\n  mcpctl explain llm tiny-chat\n')
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

async function runExplain(ctx: Context, { kind, name, output }: ExplainOptions): Promise<void> {
  const [{ printObject }, { tableLines }, client] = await Promise.all([
    import('../../say/print.ts'),
    import('../../say/table.ts'),
    ctx.client(),
  ]);
  const view: ExplainView = await client.explain(kind, name);
  const columns = [
    { head: 'MEMBER', of: (one: ExplainView['candidates'][number]) => one.name },
    { head: 'VERDICT', of: (one: ExplainView['candidates'][number]) => one.verdict },
    { head: 'REASON', of: (one: ExplainView['candidates'][number]) => one.reason },
  ];
  const lines = (): string[] => [
    cell(view.summary),
    ...(view.candidates.length === 0
      ? []
      : ['', ...tableLines(view.candidates, columns, { headers: true, paint: ctx.out.paint })]),
  ];
  await printObject(ctx.out, output, { object: { ...view }, lines });
}
