import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { eachOf } from '../../each.ts';

export interface GroupChangeOptions {
  how: 'add' | 'remove';
  group: string;
  users: string[];
}

const about = {
  add: 'Put users into a group: they have what its members are granted, within seconds, everywhere.',
  remove: 'Take users out of a group: what they had by it alone ends within seconds, everywhere.',
} as const;

export function makeGroupChange(
  ctx: Context,
  how: GroupChangeOptions['how'],
  run: (options: GroupChangeOptions) => Promise<void> = (o) => runGroupChange(ctx, o),
) {
  return new Command(how)
    .description(about[how])
    .argument('<group>', 'which group')
    .argument('<user...>', 'who')
    .addHelpText('before', `Examples:\n  mcpctl group ${how} gpu ada\n`)
    .action((group, users) => run({ how, group, users }));
}

async function runGroupChange(ctx: Context, { how, group, users }: GroupChangeOptions): Promise<void> {
  const client = await ctx.client();
  await eachOf(ctx, users, async (user) => {
    await client.groups[how](group, user);
    ctx.out.line(
      how === 'add' ? `user/${user} is in group/${group}` : `user/${user} is not in group/${group}`,
    );
  });
}
