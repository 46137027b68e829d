import { McpctlError } from '../../../core/errors.ts';
import type { Context } from '../../who/context.ts';
import { eachOf } from '../../each.ts';
import { hinted } from '../../hint.ts';
import { confirm } from '../../input/question.ts';
import { namedRefsOf } from '../../resources/refs.ts';
import { typesFor } from '../../resources/types.ts';

export interface DeleteOptions {
  args: string[];
  yes: boolean;
  /** Also what a running worker publishes: it is put out. */
  force: boolean;
  /** Of a user: who is to have what is theirs. */
  transferTo?: string | undefined;
}

export async function runDelete(
  ctx: Context,
  { args, yes, force, transferTo }: DeleteOptions,
): Promise<void> {
  const refs = namedRefsOf(args, await typesFor(ctx, 'delete', args));
  if (transferTo !== undefined && refs.some(({ type }) => type.word !== 'user'))
    throw new McpctlError('usage', '--transfer-to goes with users: only what is theirs is handed over.');
  const named = refs.map(({ type, name }) => `${type.word}/${name}`).join(', ');
  if (!yes) await confirm(ctx, `Delete ${named}?`);
  const client = await ctx.client();
  await eachOf(ctx, refs, async ({ type: { word, entry }, name }) => {
    if (word === 'task') {
      const task = await client.tasks.cancel(name);
      ctx.out.line(`task/${name} ${task.view.status ?? 'cancelled'}`);
      return;
    }
    await hinted(client, { type: word, name }, () =>
      entry ? client.resources.delete(entry, name, { transferTo }) : client.llms.delete(name, { force }),
    );
    ctx.out.line(`${word}/${name} deleted`);
  });
}
