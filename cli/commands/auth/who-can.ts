import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { objectFormatOption, type ObjectFormat } from '../../say/formats.ts';
import { cell } from '../../say/text.ts';
import { askedOf } from './ask.ts';

export interface WhoCanOptions {
  verb: string;
  /** `llm`, or one by its name: `llm/gpt`. */
  what: string;
  output: ObjectFormat;
}

export function makeWhoCan(
  ctx: Context,
  run: (options: WhoCanOptions) => Promise<void> = (o) => runWhoCan(ctx, o),
) {
  return new Command('who-can')
    .description('List who may do that, and by what (for who may view users, groups and rbac).')
    .argument('<verb>', 'view, create, edit, delete or run')
    .argument('<what>', 'a resource, or one by its name: llm/gpt')
    .addOption(objectFormatOption())
    .addHelpText('before', 'Examples:\n  mcpctl auth who-can run llm/gpt\n')
    .action((verb, what, options) => run({ verb, what, ...options }));
}

async function runWhoCan(ctx: Context, { verb, what, output }: WhoCanOptions): Promise<void> {
  const [{ printObject }, client] = await Promise.all([import('../../say/print.ts'), ctx.client()]);
  const holders = await client.access.whoCan({ verb, ...askedOf(what) });
  const lines = (): string[] =>
    holders.items.flatMap(({ user, why }) =>
      why.map(({ rbac, via, binding }) =>
        cell(rbac === '' ? `${user}  ${binding}: its owner` : `${user}  ${binding}: rbac ${rbac}, ${via}`),
      ),
    );
  await printObject(ctx.out, output, { object: { ...holders }, lines });
  if (holders.more) ctx.out.note('There are others after these.');
}
