import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { formatOption, type Format } from '../../say/formats.ts';
import type { Column } from '../../say/table.ts';

export interface GetContextsOptions {
  names: string[];
  output: Format;
  headers: boolean;
}

export function makeGetContexts(
  ctx: Context,
  run: (options: GetContextsOptions) => Promise<void> = (o) => runGetContexts(ctx, o),
) {
  return new Command('get-contexts')
    .summary('list contexts')
    .description('List contexts, and say which is the current one. Tokens are never shown.')
    .argument('[name...]', 'only these')
    .addOption(formatOption())
    .option('--no-headers', 'leave the line of headings out')
    .addHelpText('before', 'Examples:\n  mcpctl config get-contexts\n  mcpctl config get-contexts -o name\n')
    .action((names, options) => run({ names, ...options }));
}

interface SeenContext {
  key: string;
  raw: { name: string; server: string; current: boolean };
}

async function runGetContexts(ctx: Context, { names, output, headers }: GetContextsOptions): Promise<void> {
  const { contextNamed, readContexts } = await import('../../who/contexts-file.ts');
  const [{ listingOf, printListings }, home] = await Promise.all([import('../../say/print.ts'), ctx.home()]);
  const kept = await readContexts(home);
  const wanted = names.length > 0 ? names : Object.keys(kept.contexts);
  const items = wanted.map((name): SeenContext => {
    const { server } = contextNamed(kept, name, home);
    return { key: name, raw: { name, server, current: name === kept.current } };
  });
  const columns: Column<SeenContext>[] = [
    { head: 'CURRENT', of: ({ raw }) => (raw.current ? '*' : '') },
    { head: 'NAME', of: ({ key }) => key },
    { head: 'SERVER', of: ({ raw }) => raw.server },
  ];
  const look = { format: output, headers, single: names.length === 1 };
  await printListings(ctx, [listingOf('context', items, columns)], look);
}
