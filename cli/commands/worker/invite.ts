import { Command, Option } from '@commander-js/extra-typings';
import { plain } from '../../../core/runtime/plain.ts';
import { collect } from '../../input/arguments.ts';
import { objectFormatOption, type ObjectFormat } from '../../say/formats.ts';
import type { Context } from '../../who/context.ts';

interface InviteOptions {
  pool: string[];
  name?: string | undefined;
  user?: string | undefined;
  output: ObjectFormat;
}

export function makeWorkerInvite(
  ctx: Context,
  run: (options: InviteOptions) => Promise<void> = (o) => runWorkerInvite(ctx, o),
) {
  return new Command('invite')
    .description(
      'Print what somebody pastes at a machine to make it a worker of yours: good once, for ten minutes. What it gets may publish and serve in these pools, and call nothing.',
    )
    .addOption(
      new Option('--pool <key>', 'what it may publish in; may be given again')
        .argParser(collect)
        .makeOptionMandatory(),
    )
    .option('--name <name>', 'how the worker is to be called; its machine’s own name unless told')
    .option('--user <name>', 'whose worker it is to be, as their token would be (admins only)')
    .addOption(objectFormatOption())
    .addHelpText(
      'before',
      'Examples:\n  mcpctl worker invite --pool qwen3-8b\n  mcpctl worker invite --pool gpu --name ada-desk -o json\n',
    )
    .action((options) => run(options));
}

async function runWorkerInvite(
  ctx: Context,
  { pool: pools, name, user, output }: InviteOptions,
): Promise<void> {
  const [{ printObject }, client] = await Promise.all([import('../../say/print.ts'), ctx.client()]);
  const invited = await client.workers.invite({ pools, name, user });
  const { command, expiresAt, credentialEndsAt } = invited;
  ctx.out.note(`Paste this at the machine that is to join, before ${plain(expiresAt)}; it works once:`);
  await printObject(ctx.out, output, { object: invited, lines: () => [plain(command)] });
  if (credentialEndsAt !== null)
    ctx.out.note(
      `What it gets ends with your token, at ${plain(credentialEndsAt)}: invite with one that lasts, if it is to serve for longer.`,
    );
}
