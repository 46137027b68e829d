import { Command } from '@commander-js/extra-typings';
import { plain } from '../../../core/runtime/plain.ts';
import { confirm } from '../../input/question.ts';
import type { Context } from '../../who/context.ts';

interface ApproveOptions {
  code: string;
  deny: boolean;
  yes: boolean;
}

export function makeWorkerApprove(
  ctx: Context,
  run: (options: ApproveOptions) => Promise<void> = (o) => runWorkerApprove(ctx, o),
) {
  return new Command('approve')
    .description(
      'Let in the machine that shows this code (mcplocal join), after it was shown which one it is and what it asks for. Approve only what you yourself have begun.',
    )
    .argument('<code>', 'what the machine shows, like BCDF-GHJK')
    .option('--deny', 'turn it away', false)
    .option('-y, --yes', 'do not ask', false)
    .addHelpText(
      'before',
      'Examples:\n  mcpctl worker approve BCDF-GHJK\n  mcpctl worker approve BCDF-GHJK --deny\n',
    )
    .action((code, options) => run({ code, ...options }));
}

async function runWorkerApprove(ctx: Context, { code, deny, yes }: ApproveOptions): Promise<void> {
  const client = await ctx.client();
  const { machine, address, pools } = await client.workers.request(code);
  const who = `'${plain(machine)}' at ${plain(address)}`;
  ctx.out.note(`${who} asks to publish and serve in: ${plain(pools.join(', '))}.`);
  if (!deny) {
    ctx.out.note(
      'Whoever runs that machine reads the prompts that are sent to it. It chose its name itself.',
    );
    if (!yes) await confirm(ctx, 'Let it in?');
  }
  const { status } = await client.workers.request(code, deny ? 'deny' : 'approve');
  ctx.out.line(`worker/${plain(machine)} ${plain(status)}`);
}
