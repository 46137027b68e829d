import { Command } from '@commander-js/extra-typings';
import { McpctlError } from '../../../core/errors.ts';
import type { Context } from '../../who/context.ts';

export interface RenameOptions {
  /** Which one, as `group gpu` or `group/gpu`, and behind it the new name. */
  args: string[];
}

export function makeRename(
  ctx: Context,
  run: (options: RenameOptions) => Promise<void> = (o) => runRename(ctx, o),
) {
  return new Command('rename')
    .summary('give a user or a group another name')
    .description(
      'Give a user or a group another name. Members, rights, tokens and what is theirs follow; the former name is kept back for 30 days.',
    )
    .argument('<type>', 'user or group, or type/name')
    .argument('<name>', 'how it is called')
    .argument('[new]', 'how it is to be called')
    .addHelpText('before', 'Examples:\n  mcpctl rename group gpu rack\n  mcpctl rename user/ada grace\n')
    .action((type, name, to) => run({ args: [type, name, ...(to === undefined ? [] : [to])] }));
}

async function runRename(ctx: Context, { args }: RenameOptions): Promise<void> {
  const [{ namedRefsOf }, { typesFor }] = await Promise.all([
    import('../../resources/refs.ts'),
    import('../../resources/types.ts'),
  ]);
  const [to = '', which] = [args.at(-1), args.slice(0, -1)];
  const [ref, ...more] = namedRefsOf(which, await typesFor(ctx, 'rename', which));
  if (!ref?.type.entry || more.length > 0)
    throw new McpctlError('usage', 'Write which one, and its new name: mcpctl rename group gpu rack');
  const { word } = ref.type;
  await (await ctx.client()).resources.rename(ref.type.entry, ref.name, to);
  ctx.out.line(`${word}/${ref.name} is ${word}/${to} now`);
}
